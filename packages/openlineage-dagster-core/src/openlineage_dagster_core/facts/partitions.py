"""Partitions: which time a key stands for, its dimensions, and what is upstream of it.

The only way to write a partitions definition down is a private class of Dagster's, used here alone.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from dagster import (
    AllPartitionMapping,
    DagsterError,
    DynamicPartitionsDefinition,
    IdentityPartitionMapping,
    LastPartitionMapping,
    MultiPartitionsDefinition,
    PartitionMapping,
    PartitionsDefinition,
    TimeWindowPartitionsDefinition,
    deserialize_value,
    serialize_value,
)
from dagster._core.definitions.partitions.snap import PartitionsSnap

DIMENSION_SEPARATOR = "|"
"""Dagster writes a multi-partition key as its dimensions' keys, in the order of their names."""

THE_DIMENSION = "partition"
"""What the one dimension of a key without dimensions is called."""

MOST_UPSTREAM_PARTITIONS = 1000
"""More are not named: a part that large says no more than the whole."""

MOST_REMEMBERED = 8192
"""Of all assets together."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Partitions:
    """The partitions of an asset or a job.

    Args:
        definition: Dagster's own; None where it is of a kind that cannot be written down.
    """

    definition: PartitionsDefinition | None

    def window(self, key: str) -> tuple[datetime, datetime] | None:
        """Find the time that a partition stands for.

        Args:
            key: the partition key.

        Returns:
            Begin (included) and end (excluded). None where no part of the key is a time, however
            it looks, or where the key is not one of this definition: it may have changed since.
        """
        definition: PartitionsDefinition | None = self.definition
        if isinstance(definition, MultiPartitionsDefinition):
            parts = self.dimensions(key)
            # Dagster allows one dimension to be a time.
            for dimension in definition.partitions_defs:
                if isinstance(dimension.partitions_def, TimeWindowPartitionsDefinition):
                    definition = dimension.partitions_def
                    key = parts.get(dimension.name, "")
                    break
        if not isinstance(definition, TimeWindowPartitionsDefinition):
            return None
        try:
            window = definition.time_window_for_partition_key(key)
        except (ValueError, OverflowError, DagsterError):
            # A key of another definition, or one at the end of time, such as 9999-12-31.
            return None
        return window.start, window.end

    def dimensions(self, key: str) -> dict[str, str]:
        """Take a partition key apart.

        Args:
            key: the partition key.

        Returns:
            The key in each dimension, by the dimension's name.
        """
        if isinstance(self.definition, MultiPartitionsDefinition):
            # Dagster sorts the dimensions by name.
            names = [dimension.name for dimension in self.definition.partitions_defs]
            parts = key.split(DIMENSION_SEPARATOR)
            if len(parts) == len(names):
                return dict(zip(names, parts, strict=True))
        return {THE_DIMENSION: key}


@dataclass(frozen=True)
class UpstreamPartitions:
    """Which partitions of an upstream asset a partition is made from.

    Args:
        mapping: Dagster's own.
        upstream: the partitions of the upstream asset.
    """

    mapping: PartitionMapping
    upstream: Partitions

    @property
    def only_last_of(self) -> str | None:
        """The name of the dynamic partitions of which only the last one is read."""
        definition = self.upstream.definition
        is_last = isinstance(self.mapping, LastPartitionMapping)
        if is_last and isinstance(definition, DynamicPartitionsDefinition):
            return definition.name
        return None

    def keys(
        self,
        downstream: Partitions | None,
        key: str | None,
        now: datetime,
        last_partitions: Mapping[str, str],
    ) -> tuple[str, ...] | None:
        """Find the upstream partitions.

        Args:
            downstream: the partitions of the asset that is made, None for one without.
            key: the partition that is made, None for an asset without partitions.
            now: up to when partitions exist; a run's creation, so that it is always the same.
            last_partitions: the last partition by the name of dynamic partitions.

        Returns:
            The upstream keys, sorted, and none at all where the first partition reads the one
            before; None where it is the whole asset, or cannot be told.
        """
        if isinstance(self.mapping, AllPartitionMapping):
            return None
        if self.only_last_of is not None:
            last = last_partitions.get(self.only_last_of)
            return None if last is None else (last,)
        # Asked for each event of a partition's run, and answered slowly.
        asked = (id(self), key, now)
        answer = _answers.get(asked)
        if answer is None or answer[0] is not self:
            # Kept with this object, so that no other can have its identity meanwhile.
            answer = _answers[asked] = (self, self._mapped(downstream, key, now))
            while len(_answers) > MOST_REMEMBERED:
                # At one stroke: several threads may be at it.
                _answers.popitem(last=False)
        return answer[1]

    def _mapped(
        self, downstream: Partitions | None, key: str | None, now: datetime
    ) -> tuple[str, ...] | None:
        if self.upstream.definition is None:
            return None
        of = downstream.definition if downstream is not None and key is not None else None
        try:
            subset = None if of is None else of.subset_with_partition_keys([str(key)])
            found = self.mapping.get_upstream_mapped_partitions_result_for_partitions(
                subset, of, self.upstream.definition, current_time=now
            )
            keys = set(map(str, found.partitions_subset.get_partition_keys()))
            if isinstance(self.upstream.definition, TimeWindowPartitionsDefinition):
                # A window that is not over yet: the run was early, and reads it none the less.
                keys |= set(map(str, found.required_but_nonexistent_subset.get_partition_keys()))
        except Exception as error:
            # A key that is no longer one, dynamic partitions that only the instance knows, or a
            # mapping of the user's own: the whole asset is right, if less exact.
            logger.debug("OpenLineage: upstream partitions unknown: %s", type(error).__name__)
            is_same = isinstance(self.mapping, IdentityPartitionMapping) and key is not None
            return (str(key),) if is_same else None
        return tuple(sorted(keys)) if len(keys) <= MOST_UPSTREAM_PARTITIONS else None


_answers: OrderedDict[
    tuple[int, str | None, datetime], tuple[UpstreamPartitions, tuple[str, ...] | None]
] = OrderedDict()


class PartitionsTable:
    """Writes partitions definitions and mappings down, each once: many assets share one.

    Args:
        texts: what has been written, where it is to be read.
    """

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self.texts = list(texts)
        self._definitions: dict[int, tuple[PartitionsDefinition, int | None]] = {}
        self._mappings: dict[PartitionMapping, int | None] = {}
        self._read: dict[int, Any] = {}

    def encode(self, partitions: Partitions) -> int | None:
        """Write partitions down.

        Args:
            partitions: to write.

        Returns:
            Their place in the table; None where they cannot be written.
        """
        definition = partitions.definition
        if definition is None:
            return None
        if id(definition) not in self._definitions:
            position = self._append(lambda: PartitionsSnap.from_def(definition))
            # With the definition, so that its identity stays its own.
            self._definitions[id(definition)] = (definition, position)
        return self._definitions[id(definition)][1]

    def encode_mapping(self, mapping: PartitionMapping) -> int | None:
        """Write a partition mapping down.

        Args:
            mapping: Dagster's own, or a class of the user's.

        Returns:
            Its place in the table; None for a class that another process may not have.
        """
        try:
            # Dagster infers one for each dependency, and most are equal.
            if mapping not in self._mappings:
                self._mappings[mapping] = self._append(lambda: mapping)
            return self._mappings[mapping]
        except TypeError:
            # Some hold what cannot be hashed.
            return self._append(lambda: mapping)

    def _append(self, make: Callable[[], Any]) -> int | None:
        try:
            text = serialize_value(make())
        except Exception as error:
            # A class of the user's own, or dynamic partitions by a function.
            logger.debug("OpenLineage: partitions not kept: %s", type(error).__name__)
            return None
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)

    def decode(self, position: int | None) -> Partitions:
        """Read partitions.

        Args:
            position: their place in the table; None for those that could not be written.

        Returns:
            The partitions.
        """
        if position is None:
            return Partitions(None)
        if position not in self._read:
            snap: Any = deserialize_value(self.texts[position])
            self._read[position] = Partitions(snap.get_partitions_definition())
        return cast("Partitions", self._read[position])

    def decode_mapping(self, position: int) -> PartitionMapping:
        """Read a partition mapping.

        Args:
            position: its place in the table.

        Returns:
            The mapping.
        """
        if position not in self._read:
            self._read[position] = deserialize_value(self.texts[position])
        return cast("PartitionMapping", self._read[position])


def dimensions_in_tags(key: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Take a partition key apart where no definition is at hand.

    Args:
        key: the partition key.
        tags: the run's; a run for a multi-partition has a tag for each dimension.

    Returns:
        The key in each dimension, by the dimension's name.
    """
    prefix = "dagster/partition/"
    parts = {tag[len(prefix) :]: value for tag, value in tags.items() if tag.startswith(prefix)}
    if parts and DIMENSION_SEPARATOR.join(parts[name] for name in sorted(parts)) == key:
        return dict(sorted(parts.items()))
    return {THE_DIMENSION: key}
