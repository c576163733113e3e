"""Tells whether openlineage-python has a transport configured, without importing it.

The thread that writes an event must not pay for the import; this answers from the same places and
in the same order as the client's documentation names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from openlineage_dagster_core.settings import (
    ENV_CONFIG,
    ENV_TRANSPORT,
    ENV_URL,
    is_disabled,
)

HOW_TO_CONFIGURE = f"set {ENV_URL}, or name a transport in openlineage.yml or {ENV_TRANSPORT}__TYPE"


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
    return any(_names_transport(path) for path in _config_files(environ))


def _config_files(environ: Mapping[str, str]) -> list[Path]:
    named = environ.get(ENV_CONFIG)
    return [
        *([Path(named)] if named else []),
        Path.cwd() / "openlineage.yml",
        Path.home() / ".openlineage" / "openlineage.yml",
    ]


def _names_transport(path: Path) -> bool:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return False
    transport = config.get("transport") if isinstance(config, dict) else None
    return isinstance(transport, dict) and bool(transport.get("type"))
