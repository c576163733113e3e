"""Tells whether openlineage-python has a transport configured, without importing it.

The thread that writes an event must not pay for the import; this answers from the same places and
in the same order as the client's documentation names them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
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


TYPES = frozenset(
    {
        "amazon_datazone_api",
        "async_http",
        "composite",
        "console",
        "datadog",
        "file",
        "gcplineage",
        "http",
        "kafka",
        "msk-iam",
        "noop",
        "transform",
    }
)
"""The transports that openlineage-python knows by name; others are named by their class's path."""


def is_configured(environ: Mapping[str, str]) -> bool:
    """Tell whether there is somewhere to send events to.

    Args:
        environ: the process's environment.

    Returns:
        Whether the client will find a transport; False where OpenLineage is disabled.
    """
    if is_disabled(environ):
        return False
    # Not any variable with the prefix: the client itself sets some beside OPENLINEAGE_URL.
    if any(environ.get(name) for name in (ENV_URL, ENV_TRANSPORT, f"{ENV_TRANSPORT}__TYPE")):
        return True
    path = _config_file(environ)
    return path is not None and bool(_transport_in(path))


def check(environ: Mapping[str, str]) -> None:
    """Check type and address of the transport, where they are plain to see.

    Args:
        environ: the process's environment.

    Raises:
        ConfigurationError: there is no transport of this type, or the address is none.
    """
    if is_disabled(environ):
        return
    check_url(environ)
    for option, transport in _transports(environ):
        kind = transport.get("type")
        if isinstance(kind, str) and kind not in TYPES and "." not in kind:
            allowed = ", ".join(sorted(TYPES)) + ", or the path of a class"
            raise ConfigurationError(f"{option} type", kind, allowed)
        url = transport.get("url")
        if kind in ("http", "async_http"):
            if not isinstance(url, str):
                raise ConfigurationError(f"{option} url", url, "an http address: it is required")
            check_http_url(f"{option} url", url)


def _transports(environ: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    named = {
        key: environ[name]
        for key in ("type", "url")
        if (name := f"{ENV_TRANSPORT}__{key.upper()}") in environ
    }
    path = _config_file(environ)
    found = _transport_in(path) if path is not None else None
    if found:
        # What the file says wins over the environment.
        yield f"{path}: transport", {**named, **found}
    elif "type" in named:
        yield ENV_TRANSPORT, named


def _config_file(environ: Mapping[str, str]) -> Path | None:
    """Find the file that the client takes: the first that it can read, whatever stands there."""
    named = environ.get(ENV_CONFIG)
    # Not Path.home(), which raises where a container's user has none.
    home = Path(os.path.expanduser("~/.openlineage"))  # noqa: PTH111
    files = [
        *([Path(named)] if named else []),
        Path.cwd() / "openlineage.yml",
        home / "openlineage.yml",
    ]
    return next((path for path in files if path.is_file() and os.access(path, os.R_OK)), None)


def _transport_in(path: Path) -> Mapping[str, Any] | None:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return None
    transport = config.get("transport") if isinstance(config, dict) else None
    return transport if isinstance(transport, dict) and transport.get("type") else None
