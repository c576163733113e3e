"""Answers what a process must know about the configured transport, and checks it.

A process that executes a run must not pay for importing openlineage-python's client. Everywhere,
`environ` is the process's environment.
"""

import contextlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from openlineage_dagster_core.delivery import configured
from openlineage_dagster_core.delivery.configured import ConfigFileError, config_file
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.settings import ENV_TRANSPORT, ENV_URL, check_url, is_disabled
from openlineage_dagster_core.validation import check_http_url

HOW_TO_CONFIGURE = f"set {ENV_URL}, or name a transport in openlineage.yml or {ENV_TRANSPORT}__TYPE"

# Transports that openlineage-python knows by name; a class's path names any other
# fmt: off
TYPES = frozenset({
    "amazon_datazone_api", "async_http", "composite", "console", "datadog", "file", "gcplineage",
    "http", "kafka", "msk-iam", "noop", "transform",
})
# fmt: on
ATLAS = "openlineage_dagster_core.atlas.AtlasTransport"
# Names of the transport that writes events to the process's log
CONSOLE = frozenset({"console", "openlineage.client.transport.console.ConsoleTransport"})
CONSOLE_LOGGER = "openlineage.client.transport.console"


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
    option = f"{config_file(environ)}: transport" if in_file else ENV_TRANSPORT
    # The file wins over the environment.
    transport = {**named, **in_file}
    kind, url = transport.get("type"), transport.get("url")
    if isinstance(kind, str) and kind not in TYPES and "." not in kind:
        allowed = ", ".join(sorted(TYPES)) + ", or the path of a class"
        raise ConfigurationError(f"{option} type", kind, allowed)
    if kind in ("http", "async_http", ATLAS):
        if not isinstance(url, str):
            raise ConfigurationError(f"{option} url", url, "an http address: it is required")
        check_http_url(f"{option} url", url)


def names_console(environ: Mapping[str, str]) -> bool:
    """Return True if the configured transport writes events to the process's log.

    A console transport may be inside a composite or transform transport. Where OpenLineage is
    disabled, and without any configuration, the result is False.
    """
    found = _transport(environ)
    if found is None:
        return _falls_back_to_console(environ)
    return any(each.kind in CONSOLE for each in configured.destinations(found.config))


def prints_unseen(environ: Mapping[str, str]) -> bool:
    """Return True if the console transport is configured and no log handler shows its events."""
    log = logging.getLogger(CONSOLE_LOGGER)
    is_shown = log.isEnabledFor(logging.INFO) and log.hasHandlers()
    return not is_shown and names_console(environ)


def is_console(environ: Mapping[str, str]) -> bool:
    """Return True if events go nowhere but to the log of the process that delivers them."""
    found = _transport(environ)
    return _falls_back_to_console(environ) if found is None else found.kind in CONSOLE


def _falls_back_to_console(environ: Mapping[str, str]) -> bool:
    """Return True if something is configured, but no type: the client then uses the console."""
    with contextlib.suppress(ValueError, RecursionError):
        whole: object = json.loads(environ.get(ENV_TRANSPORT) or "{}")
        # The client raises where the whole transport is no object.
        return isinstance(whole, dict) and is_configured(environ)
    return False


def config_file_text(environ: Mapping[str, str]) -> str | None:
    """Return the text of `openlineage.yml`; None where no such file can be read."""
    path = config_file(environ)
    try:
        return path.read_text(encoding="utf-8") if path is not None else None
    except (OSError, UnicodeError):
        return None


def _transport(environ: Mapping[str, str]) -> configured.ConfiguredTransport | None:
    if is_disabled(environ):
        return None
    return configured.transport(environ, ignores_wrong_file=True)


def _in_file(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the file's transport, empty where it names no type or cannot be read."""
    transport: object = None
    with contextlib.suppress(ConfigFileError):
        transport = configured.transport_in_file(environ)
    return transport if isinstance(transport, dict) and transport.get("type") else {}
