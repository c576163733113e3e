"""Tells the configurations of a deployment's processes apart, without their secrets."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields

from openlineage_dagster_core.deliverer_state import Configuration
from openlineage_dagster_core.delivery import transport
from openlineage_dagster_core.settings import (
    ENV_CONTEXT,
    ENV_DISABLED,
    ENV_PARENT_ID,
    ENV_ROOT_PARENT_ID,
    Settings,
)
from openlineage_dagster_core.version import __version__

PREFIX = "OPENLINEAGE"
# Variables that differ from run to run and mean nothing to a deliverer.
OF_ONE_RUN = frozenset({ENV_PARENT_ID, ENV_ROOT_PARENT_ID, ENV_CONTEXT, ENV_DISABLED})
DIGITS = 6  # Hexadecimal digits of a part's digest: they tell values apart and give none away


def configuration_of(settings: Settings, environ: Mapping[str, str]) -> Configuration:
    """Return digests of what a deliverer started by this process would work with."""
    parts = {"version": __version__}
    for each in fields(settings):
        value = getattr(settings, each.name)
        # The order of a set differs from process to process.
        ordered = sorted(map(repr, value)) if isinstance(value, frozenset) else value
        parts[f"option {each.name}"] = _digest(repr(ordered))
    for name, value in environ.items():
        if name.startswith(PREFIX) and name not in OF_ONE_RUN:
            parts[f"variable {name}"] = _digest(value)
    content = transport.config_file_text(environ)
    if content is not None:
        parts["file openlineage.yml"] = _digest(content)
    parts = dict(sorted(parts.items()))
    return Configuration(hashlib.sha256(repr(parts).encode()).hexdigest()[:16], parts)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
