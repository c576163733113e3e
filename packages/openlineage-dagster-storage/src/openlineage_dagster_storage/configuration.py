"""Tells the configurations of a deployment's processes apart, without their secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

from openlineage_dagster_core.deliverer_state import Configuration
from openlineage_dagster_core.delivery import transport
from openlineage_dagster_core.settings import (
    ENV_CONTEXT,
    ENV_DISABLED,
    ENV_PARENT_ID,
    ENV_ROOT_PARENT_ID,
)
from openlineage_dagster_core.version import __version__

if TYPE_CHECKING:
    from openlineage_dagster_core.settings import Settings

PREFIX = "OPENLINEAGE"

OF_ONE_RUN = frozenset({ENV_PARENT_ID, ENV_ROOT_PARENT_ID, ENV_CONTEXT, ENV_DISABLED})
"""Variables that differ from run to run and mean nothing to a deliverer."""

DIGITS = 6
"""Hexadecimal digits of a part's digest: they tell values apart and give none away."""


def configuration_of(settings: Settings, environ: Mapping[str, str]) -> Configuration:
    """Sum up what a deliverer of this process would work with.

    Args:
        settings: from `dagster.yaml`.
        environ: the process's environment.

    Returns:
        The configuration, with a short digest of each part.
    """
    parts = {"version": __version__}
    for each in fields(settings):
        parts[f"option {each.name}"] = _digest(repr(_in_order(getattr(settings, each.name))))
    for name, value in environ.items():
        if name.startswith(PREFIX) and name not in OF_ONE_RUN:
            parts[f"variable {name}"] = _digest(value)
    content = transport.config_file_text(environ)
    if content is not None:
        parts["file openlineage.yml"] = _digest(content)
    parts = dict(sorted(parts.items()))
    return Configuration(hashlib.sha256(repr(parts).encode()).hexdigest()[:16], parts)


def _in_order(value: object) -> object:
    return sorted(map(repr, value)) if isinstance(value, (set, frozenset)) else value


def _digest(text: str) -> str:
    encoded = text.encode("utf-8", "surrogatepass")
    return hashlib.sha256(encoded).hexdigest()[:DIGITS]
