"""Reads which models failed from the error of a dbt command; dbt skips what depends on them."""

import re
from collections.abc import Collection, Mapping

from dagster import AssetKey

from openlineage_dagster_core.facts.model import ErrorFacts

# The error of dagster-dbt for a command that failed; its message has dbt's own lines
_COMMAND_FAILED = "DagsterDbtCliRuntimeError"
# Nodes of dbt that are assets; a test that fails is a check
_BUILDS = frozenset({"model", "seed", "snapshot"})
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_HEADING = re.compile(
    r"^[ \t]*(?:Failure|\w+ Error) in (?P<kind>[a-z_ ]+) (?P<name>\S+) \(.*\)[ \t]*$", re.MULTILINE
)


def skipped_or_failed(
    error: ErrorFacts, keys: Collection[AssetKey]
) -> Mapping[AssetKey, tuple[bool, ErrorFacts]]:
    """Return which assets of a dbt command failed and which dbt skipped, and why.

    `error` is why the step failed that was to make the assets. A failed model gets True and dbt's
    error, every other asset False and the names of what failed: dbt skipped it, unless it was made.
    If the name of a failed model ends no asset key, any asset may be that model: then the result
    has the failed ones only. It is empty if the error is not dbt's.
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
    failed = [key for key in keys if key.path[-1] in own_text]
    found = {key: (True, ErrorFacts(own_text[key.path[-1]].strip())) for key in failed}
    if own_text.keys() == {key.path[-1] for key in found}:
        causes = ", ".join(dict.fromkeys(heading["name"] for heading in headings))
        skipped = ErrorFacts(f"dbt skipped this asset after the failure of: {causes}")
        found.update({key: (False, skipped) for key in keys if key not in found})
    return found
