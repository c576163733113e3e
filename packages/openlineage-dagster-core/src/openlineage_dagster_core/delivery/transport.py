"""Reads which transport openlineage-python's client will use, without importing the client.

A process that executes a run must not pay for the import. The configuration comes from the same
places, in the same order, as the client's documentation names them. Everywhere, `environ` is the
process's environment.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.settings import (
    ENV_CONFIG,
    ENV_TRANSPORT,
    ENV_URL,
    check_url,
    is_disabled,
)
from openlineage_dagster_core.validation import check_http_url

HOW_TO_CONFIGURE = f"set {ENV_URL}, or name a transport in openlineage.yml or {ENV_TRANSPORT}__TYPE"

# Transports that openlineage-python knows by name; a class's path names any other
# fmt: off
TYPES = frozenset({
    "amazon_datazone_api", "async_http", "composite", "console", "datadog", "file", "gcplineage",
    "http", "kafka", "msk-iam", "noop", "transform",
})
# fmt: on
# Names of the transport that writes events to the process's log
CONSOLE = frozenset({"console", "openlineage.client.transport.console.ConsoleTransport"})


def is_configured(environ: Mapping[str, str]) -> bool:
    """Return True if the client will find a transport, and OpenLineage is not disabled."""
    if is_disabled(environ):
        return False
    # Not any variable with the prefix: where OPENLINEAGE_URL is set, the client sets some itself.
    if any(environ.get(name) for name in (ENV_URL, ENV_TRANSPORT, f"{ENV_TRANSPORT}__TYPE")):
        return True
    return bool(_in_file(environ))


def check(environ: Mapping[str, str]) -> None:
    """Raise ConfigurationError where the transport's type is unknown or its address not valid."""
    if is_disabled(environ):
        return
    check_url(environ)
    named = {
        key: environ[name]
        for key in ("type", "url")
        if (name := f"{ENV_TRANSPORT}__{key.upper()}") in environ
    }
    in_file = _in_file(environ)
    option = f"{_config_file(environ)}: transport" if in_file else ENV_TRANSPORT
    if not in_file and "type" not in named:
        return
    # The file wins over the environment.
    transport = {**named, **(in_file or {})}
    kind, url = transport.get("type"), transport.get("url")
    if isinstance(kind, str) and kind not in TYPES and "." not in kind:
        allowed = ", ".join(sorted(TYPES)) + ", or the path of a class"
        raise ConfigurationError(f"{option} type", kind, allowed)
    if kind in ("http", "async_http"):
        if not isinstance(url, str):
            raise ConfigurationError(f"{option} url", url, "an http address: it is required")
        check_http_url(f"{option} url", url)


def names_console(environ: Mapping[str, str]) -> bool:
    """Return True if the configured transport writes events to the process's log.

    A console transport may be inside a composite or transform transport. Where OpenLineage is
    disabled, and without any configuration, the result is False.
    """
    return not is_disabled(environ) and _includes_console(_configured(environ))


def is_console(environ: Mapping[str, str]) -> bool:
    """Return True if events go nowhere but to the log of the process that delivers them."""
    transport = _configured(environ)
    kind = transport.get("type") if isinstance(transport, Mapping) else None
    return not is_disabled(environ) and kind in CONSOLE


def _configured(environ: Mapping[str, str]) -> object:
    return _merged(_content(environ).get("transport"), _in_environment(environ))


def _includes_console(transport: object) -> bool:
    if not isinstance(transport, Mapping):
        return False
    kind = transport.get("type")
    if kind == "composite":
        inner = transport.get("transports")
        children = inner.values() if isinstance(inner, Mapping) else inner
        return isinstance(children, Iterable) and any(_includes_console(each) for each in children)
    if kind == "transform":
        return _includes_console(transport.get("transport"))
    return kind in CONSOLE


def _in_environment(environ: Mapping[str, str]) -> object:
    """Return the transport that the environment names, as the client reads it.

    `OPENLINEAGE__TRANSPORT` is the whole as JSON; each `__` in a longer name leads one level down.
    Shorter names win over longer ones, as in the client.
    """
    config: dict[str, Any] = {}
    for name in sorted(environ, reverse=True):
        if name == ENV_TRANSPORT or name.startswith(f"{ENV_TRANSPORT}__"):
            *outer, last = name.removeprefix("OPENLINEAGE__").lower().split("__")
            place = config
            for key in outer:
                if not isinstance(place.get(key), dict):
                    place[key] = {}
                place = place[key]
            place[last] = environ[name]
            with contextlib.suppress(ValueError, RecursionError):
                place[last] = json.loads(environ[name])
    return config.get("transport")


def _merged(first: object, second: object) -> object:
    """Merge two configurations; the first wins where they differ."""
    if first is None:
        return second
    if not isinstance(first, Mapping) or not isinstance(second, Mapping):
        return first
    return {**second, **{key: _merged(value, second.get(key)) for key, value in first.items()}}


def _config_file(environ: Mapping[str, str]) -> Path | None:
    """Return the file that the client reads: the first readable one, whatever is in it."""
    named = environ.get(ENV_CONFIG)
    paths = [Path(named)] if named else []
    with contextlib.suppress(OSError):
        # The working directory may have been deleted.
        paths.append(Path.cwd() / "openlineage.yml")
    # Not Path.home(), which raises where the account of a container has no name and no home.
    paths.append(Path(os.path.expanduser("~/.openlineage/openlineage.yml")))  # noqa: PTH111
    for path in paths:
        # `is_file` raises where a directory on the way may not be searched.
        with contextlib.suppress(OSError):
            if path.is_file() and os.access(path, os.R_OK):
                return path
    return None


def _in_file(environ: Mapping[str, str]) -> Mapping[str, Any] | None:
    transport = _content(environ).get("transport")
    return transport if isinstance(transport, dict) and transport.get("type") else None


def _content(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what the file configures; nothing where it cannot be read."""
    try:
        config = yaml.safe_load(config_file_text(environ) or "")
    except (RecursionError, yaml.YAMLError):
        return {}
    return config if isinstance(config, dict) else {}


def config_file_text(environ: Mapping[str, str]) -> str | None:
    """Return the text of `openlineage.yml`; None where no such file can be read."""
    path = _config_file(environ)
    try:
        return path.read_text(encoding="utf-8") if path is not None else None
    except (OSError, UnicodeError):
        return None
