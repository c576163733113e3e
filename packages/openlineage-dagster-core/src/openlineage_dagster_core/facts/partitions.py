"""Partitions: the time window of a key, its dimensions, and what is upstream of it.

Only a private class of Dagster's can write a partitions definition down; it is used here alone.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.partitions.snap import PartitionsSnap

from openlineage_dagster_core.caches import PerValue

DIMENSION_SEPARATOR = "|"  # Between the parts of a multi-partition key, sorted by dimension
THE_DIMENSION = "partition"  # The name of the only dimension of other keys
MOST_UPSTREAM_PARTITIONS = 1000  # More are not listed: so large a part says no more than the whole
MOST_REMEMBERED = 8192  # Cached answers for all assets

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Partitions:
    """The partitions of an asset or a job; the definition is None if it cannot be written down."""

    definition: dg.PartitionsDefinition | None

    def window(self, key: str) -> tuple[datetime, datetime] | None:
        """Return the begin (included) and the end (excluded) of a partition's time.

        None if no part of the key is a time, however it looks, or if the definition does not have
        the key: it may have changed since.
        """
        definition: dg.PartitionsDefinition | None = self.definition
        if isinstance(definition, dg.MultiPartitionsDefinition):
            parts = self.dimensions(key)
            # Dagster allows one dimension to be a time.
            for dimension in definition.partitions_defs:
                if isinstance(dimension.partitions_def, dg.TimeWindowPartitionsDefinition):
                    definition = dimension.partitions_def
                    key = parts.get(dimension.name, "")
                    break
        if not isinstance(definition, dg.TimeWindowPartitionsDefinition):
            return None
        try:
            window = definition.time_window_for_partition_key(key)
        except (ValueError, OverflowError, dg.DagsterError):
            # A key of another definition, or one at the end of time, such as 9999-12-31.
            return None
        return window.start, window.end

    def dimensions(self, key: str) -> dict[str, str]:
        """Return a partition key's parts, by the names of the dimensions."""
        if isinstance(self.definition, dg.MultiPartitionsDefinition):
            # Dagster sorts the dimensions by name.
            names = [dimension.name for dimension in self.definition.partitions_defs]
            parts = key.split(DIMENSION_SEPARATOR)
            if len(parts) == len(names):
                return dict(zip(names, parts, strict=True))
        return {THE_DIMENSION: key}


@dataclass(frozen=True)
class UpstreamPartitions:
    """Which partitions of an upstream asset a partition is made from."""

    mapping: dg.PartitionMapping
    upstream: Partitions

    @property
    def only_last_of(self) -> str | None:
        """The name of the dynamic partitions of which only the last one is read."""
        definition = self.upstream.definition
        is_last = isinstance(self.mapping, dg.LastPartitionMapping)
        if is_last and isinstance(definition, dg.DynamicPartitionsDefinition):
            return definition.name
        return None

    def keys(
        self,
        downstream: Partitions | None,
        key: str | None,
        now: datetime,
        last_partitions: Mapping[str, str | None],
    ) -> tuple[str, ...] | None:
        """Return the upstream keys, sorted; None for the whole asset, or if they are unknown.

        They are empty if the first partition reads the one before. An asset without partitions has
        None as `downstream` and `key`. Only partitions up to `now` exist: the run's creation, so
        that the result stays the same. `last_partitions` is by the name of dynamic partitions.
        """
        if isinstance(self.mapping, dg.AllPartitionMapping):
            return None
        if self.only_last_of is not None:
            last = last_partitions.get(self.only_last_of)
            return None if last is None else (last,)
        # Cached: each event of a run asks, and Dagster answers slowly.
        return _mapped((id(self), key, now), self, downstream)


_Asked = tuple[int, str | None, datetime]


def _map(
    asked: _Asked, partitions: UpstreamPartitions, downstream: Partitions | None
) -> tuple[str, ...] | None:
    _, key, now = asked
    mapping, upstream = partitions.mapping, partitions.upstream.definition
    if upstream is None:
        return None
    of = downstream.definition if downstream is not None and key is not None else None
    try:
        subset = None if of is None else of.subset_with_partition_keys([str(key)])
        find = mapping.get_upstream_mapped_partitions_result_for_partitions
        found = find(subset, of, upstream, current_time=now)
        keys = set(map(str, found.partitions_subset.get_partition_keys()))
        if isinstance(upstream, dg.TimeWindowPartitionsDefinition):
            # An early run also reads a window that is not over yet.
            keys |= set(map(str, found.required_but_nonexistent_subset.get_partition_keys()))
    except Exception as error:
        # The key may be gone, only the instance knows dynamic partitions, or the mapping is the
        # user's own. The whole asset is right, but less exact.
        logger.debug("OpenLineage: upstream partitions unknown: %s", type(error).__name__)
        is_same = isinstance(mapping, dg.IdentityPartitionMapping) and key is not None
        return (str(key),) if is_same else None
    return tuple(sorted(keys)) if len(keys) <= MOST_UPSTREAM_PARTITIONS else None


_mapped = PerValue[_Asked, "tuple[str, ...] | None"](_map, lambda _: 1, MOST_REMEMBERED)


class PartitionsTable:
    """Writes partitions definitions and mappings to `texts`, each once: many assets share one."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self.texts = list(texts)
        self._definitions: dict[int, tuple[dg.PartitionsDefinition, int | None]] = {}
        self._mappings: dict[dg.PartitionMapping, int | None] = {}
        self._read: dict[int, Any] = {}

    def encode(self, partitions: Partitions) -> int | None:
        """Write partitions, and return their place; None if they cannot be written."""
        definition = partitions.definition
        if definition is None:
            return None
        if id(definition) not in self._definitions:
            position = self._append(lambda: PartitionsSnap.from_def(definition))
            # With the definition, so that no other object can get its identity.
            self._definitions[id(definition)] = (definition, position)
        return self._definitions[id(definition)][1]

    def encode_mapping(self, mapping: dg.PartitionMapping) -> int | None:
        """Write a partition mapping, and return its place; None for a user's own class."""
        try:
            # Dagster infers a mapping for each dependency, and most are equal.
            if mapping not in self._mappings:
                self._mappings[mapping] = self._append(lambda: mapping)
            return self._mappings[mapping]
        except TypeError:
            # Some mappings cannot be hashed.
            return self._append(lambda: mapping)

    def _append(self, make: Callable[[], Any]) -> int | None:
        try:
            text = dg.serialize_value(make())
        except Exception as error:
            # A user's own class, or dynamic partitions by a function.
            logger.debug("OpenLineage: partitions not kept: %s", type(error).__name__)
            return None
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)

    def decode(self, position: int | None) -> Partitions:
        """Return the partitions at a place; None is the place of those not written."""
        if position is None:
            return Partitions(None)
        if position not in self._read:
            snap: Any = dg.deserialize_value(self.texts[position])
            self._read[position] = Partitions(snap.get_partitions_definition())
        return cast("Partitions", self._read[position])

    def decode_mapping(self, position: int) -> dg.PartitionMapping:
        """Return the partition mapping at a place."""
        if position not in self._read:
            self._read[position] = dg.deserialize_value(self.texts[position])
        return cast("dg.PartitionMapping", self._read[position])


def dimensions_in_tags(key: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Return a key's parts from the tags of its run, which has one for each dimension."""
    prefix = "dagster/partition/"
    parts = {tag[len(prefix) :]: value for tag, value in tags.items() if tag.startswith(prefix)}
    if parts and DIMENSION_SEPARATOR.join(parts[name] for name in sorted(parts)) == key:
        return dict(sorted(parts.items()))
    return {THE_DIMENSION: key}
