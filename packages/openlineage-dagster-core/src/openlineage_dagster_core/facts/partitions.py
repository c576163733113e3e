"""Partitions that are times: what window a partition key stands for.

The only way to write a partitions definition down is a private class of Dagster's, used here alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dagster import (
    DagsterError,
    MultiPartitionsDefinition,
    PartitionsDefinition,
    TimeWindowPartitionsDefinition,
    deserialize_value,
    serialize_value,
)
from dagster._core.definitions.partitions.snap import TimeWindowPartitionsSnap

DIMENSION_SEPARATOR = "|"
"""Dagster writes a multi-partition key as its dimensions' keys, in the order of their names."""


@dataclass(frozen=True)
class TimePartitions:
    """The partitions of an asset, or the dimension of them, that are windows of time.

    Args:
        definition: cuts the time.
        dimension: where the time stands in a multi-partition key; None where it is the whole key.
    """

    definition: TimeWindowPartitionsDefinition
    dimension: int | None = None

    def window(self, partition: str) -> tuple[datetime, datetime] | None:
        """Find the window of a partition.

        Args:
            partition: the partition key.

        Returns:
            Begin (included) and end (excluded), None where the key is not one of this definition:
            it may have changed since.
        """
        key = partition
        if self.dimension is not None:
            parts = partition.split(DIMENSION_SEPARATOR)
            if self.dimension >= len(parts):
                return None
            key = parts[self.dimension]
        try:
            window = self.definition.time_window_for_partition_key(key)
        except (ValueError, DagsterError):
            return None
        return window.start, window.end


def time_partitions(definition: PartitionsDefinition | None) -> TimePartitions | None:
    """Find the time in an asset's partitions.

    Args:
        definition: the asset's, None for an asset without partitions.

    Returns:
        The time partitions, None where no key is a time, however it looks.
    """
    if isinstance(definition, TimeWindowPartitionsDefinition):
        return TimePartitions(definition)
    if isinstance(definition, MultiPartitionsDefinition):
        # Dagster sorts the dimensions by name, and allows one of them to be a time.
        for index, dimension in enumerate(definition.partitions_defs):
            if isinstance(dimension.partitions_def, TimeWindowPartitionsDefinition):
                return TimePartitions(dimension.partitions_def, index)
    return None


def encode_time_partitions(partitions: TimePartitions) -> list[object]:
    """Write time partitions down for another process.

    Args:
        partitions: of an asset.

    Returns:
        What JSON can hold.
    """
    snap = TimeWindowPartitionsSnap.from_def(partitions.definition)
    return [serialize_value(snap), partitions.dimension]


def decode_time_partitions(encoded: list[object]) -> TimePartitions:
    """Read what `encode_time_partitions` wrote.

    Args:
        encoded: from JSON.

    Returns:
        The time partitions.
    """
    text, dimension = encoded
    snap = deserialize_value(str(text), TimeWindowPartitionsSnap)
    return TimePartitions(
        snap.get_partitions_definition(),  # type: ignore[no-untyped-call]
        dimension if isinstance(dimension, int) else None,
    )
