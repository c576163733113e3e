"""Chooses the environment variables that may be told, without their secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase


def allowed_variables(environ: Mapping[str, str], allowed: Sequence[str]) -> dict[str, str]:
    """Return the variables that match one of the shell patterns, by name, with secrets masked.

    The process of a step may call it: it imports nothing of openlineage-python.
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
