"""Reads from the error of a dbt command which models failed; dbt skips what depends on them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from dagster import AssetKey

from openlineage_dagster_core.facts.model import ErrorFacts

_COMMAND_FAILED = "DagsterDbtCliRuntimeError"
"""The error that dagster-dbt raises for a command that failed; its message has dbt's own lines."""

_BUILDS = frozenset({"model", "seed", "snapshot"})
"""The kinds of dbt nodes that are assets; a test that fails is a check."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_HEADING = re.compile(
    r"^[ \t]*(?:Failure|\w+ Error) in (?P<kind>[a-z_ ]+) (?P<name>\S+) \(.*\)[ \t]*$", re.MULTILINE
)


def skipped_or_failed(
    error: ErrorFacts, keys: Collection[AssetKey]
) -> Mapping[AssetKey, tuple[bool, ErrorFacts]]:
    """Return which assets of a dbt command failed and which dbt skipped, and why.

    Args:
        error: why the step that ran the command failed.
        keys: the assets that the step was to make.

    Returns:
        By asset: True and dbt's error for a model that failed, False and the names of what failed
        for every other asset: dbt skipped it, unless it was made. Empty where the error is not one
        of dbt's. Where the name of a failed model ends no asset key, any asset may be that model:
        then only the failed ones are returned.
    """
    if _COMMAND_FAILED not in error.message.partition("\n")[0]:
        return {}
    text = _COLOUR.sub("", error.message)
    headings = list(_HEADING.finditer(text))
    if not headings:
        return {}
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    own_text: dict[str, str] = {}
    for heading, end in zip(headings, ends, strict=True):
        if heading["kind"] in _BUILDS:
            name = heading["name"]
            # dbt may repeat the heading below the first, with the kind of error.
            own_text[name] = own_text.get(name, "") + text[heading.start() : end]
    found = {
        key: (True, ErrorFacts(own_text[key.path[-1]].strip()))
        for key in keys
        if key.path[-1] in own_text
    }
    if own_text.keys() == {key.path[-1] for key in found}:
        causes = ", ".join(dict.fromkeys(heading["name"] for heading in headings))
        skipped = ErrorFacts(f"dbt skipped this asset after the failure of: {causes}")
        found.update({key: (False, skipped) for key in keys if key not in found})
    return found
