"""Finds what a materialization was made from, in its tags."""

from __future__ import annotations

from collections.abc import Mapping

from dagster import AssetKey

INPUT_DATA_VERSION_PREFIX = "dagster/input_data_version/"
"""Tags of a materialization, followed by an upstream asset's key: the version that it read."""

INPUT_TAG_PREFIXES = ("dagster/input_event_pointer/", INPUT_DATA_VERSION_PREFIX)
"""One tag for every declared parent, also where no definition is at hand."""


STEP_TAG = "dagster/code_version"
"""Every materialization has it that a step made of an asset of its own."""


def tells_upstream(tags: Mapping[str, str]) -> bool:
    """Tell whether a materialization says what it was made from, if only that it was of nothing.

    Args:
        tags: the materialization's.

    Returns:
        False where it was reported from outside, or logged by hand.
    """
    return STEP_TAG in tags or bool(upstream_in_tags(tags))


def upstream_in_tags(tags: Mapping[str, str]) -> tuple[AssetKey, ...]:
    """Find what a materialization was made from.

    Args:
        tags: the materialization's.

    Returns:
        The keys of every declared parent, sorted.
    """
    return tuple(
        sorted(
            {
                AssetKey.from_user_string(tag[len(prefix) :])
                for tag in tags
                for prefix in INPUT_TAG_PREFIXES
                if tag.startswith(prefix)
            }
        )
    )
