"""What a page shows: datasets, jobs, and what reads, writes and is made of what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

Name = tuple[str, str]
"""Namespace and name of a dataset or a job."""

ColumnName = tuple[Name, str]
"""A dataset and one of its columns."""


class State(str, Enum):
    """How a run is; its value is the OpenLineage event that says so."""

    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    FAIL = "FAIL"
    ABORT = "ABORT"


@dataclass(frozen=True)
class Run:
    """The latest run of a job.

    Args:
        id: OpenLineage's run id.
        state: how it is.
        at: since when it is so; None where nobody says.
    """

    id: str
    state: State
    at: datetime | None = None


@dataclass(frozen=True)
class Column:
    """A column of a dataset; one of a nested type has a dotted name.

    Args:
        name: unique in the dataset.
        type: as the source names it; may be empty.
        description: may be empty.
    """

    name: str
    type: str = ""
    description: str = ""


@dataclass(frozen=True)
class Dataset:
    """A dataset, which is an asset where Dagster is the source.

    Args:
        kind: such as `TABLE`; may be empty.
        description: may be empty.
        columns: its schema.
    """

    kind: str = ""
    description: str = ""
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Job:
    """A job.

    Args:
        kind: its `jobType`, such as `ASSET` or `STEP`; may be empty.
        description: may be empty.
        parent: the job that its runs are part of.
        run: the latest; None where it had none.
    """

    kind: str = ""
    description: str = ""
    parent: Name | None = None
    run: Run | None = None


@dataclass(frozen=True)
class Lineage:
    """Everything that a source tells.

    Args:
        datasets: by name.
        jobs: by name.
        reads: pairs of a dataset and a job that reads it, both among those above.
        writes: pairs of a job and a dataset that it writes.
        columns: pairs of a column and one that is made of it; their datasets are among those above.
    """

    datasets: Mapping[Name, Dataset]
    jobs: Mapping[Name, Job]
    reads: frozenset[tuple[Name, Name]]
    writes: frozenset[tuple[Name, Name]]
    columns: frozenset[tuple[ColumnName, ColumnName]]


def with_all_ends(lineage: Lineage) -> Lineage:
    """Make it whole: what an edge names is there.

    Args:
        lineage: may have edges to what only they name.

    Returns:
        The lineage with nodes for those, and without columns of datasets that nothing else names.
    """
    datasets = {name: Dataset() for name, _ in lineage.reads}
    datasets |= {name: Dataset() for _, name in lineage.writes} | dict(lineage.datasets)
    jobs = {name: Job() for _, name in lineage.reads}
    jobs |= {name: Job() for name, _ in lineage.writes} | dict(lineage.jobs)
    columns = frozenset(
        (source, target)
        for source, target in lineage.columns
        if source[0] in datasets and target[0] in datasets
    )
    return Lineage(datasets, jobs, lineage.reads, lineage.writes, columns)
