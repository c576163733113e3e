"""Chooses the environment variables that may be told, without their secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase


def allowed_variables(environ: Mapping[str, str], allowed: Sequence[str]) -> dict[str, str]:
    """Choose the variables that may be told.

    It needs nothing of openlineage-python: the process of a step may call it.

    Args:
        environ: a process's environment.
        allowed: shell patterns of names, in which case counts.

    Returns:
        The variables whose name matches one of them, by name, with secrets masked.
    """
    if not allowed:
        return {}
    # Its patterns take time to be made, in a run, and most are told nothing to show.
    from openlineage_dagster_core.redaction import redacted

    return {
        name: redacted(name, value)
        for name, value in sorted(environ.items())
        if any(fnmatchcase(name, pattern) for pattern in allowed)
    }
