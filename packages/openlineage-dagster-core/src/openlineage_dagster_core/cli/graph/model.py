"""The lineage that a page shows: datasets, jobs, columns, and the edges between them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from openlineage_dagster_core.cli.foreign_json import mappings, text

Name = tuple[str, str]  # Namespace and name of a dataset or a job
ColumnName = tuple[Name, str]  # A dataset and one of its columns


class State(str, Enum):
    """The state of a run; the value is the OpenLineage event that sets it."""

    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    FAIL = "FAIL"
    ABORT = "ABORT"


@dataclass(frozen=True)
class Run:
    """A run by OpenLineage's id, its state, and the time of that state if it is known."""

    id: str
    state: State
    at: datetime | None = None


@dataclass(frozen=True)
class Column:
    """A column, with a dotted name inside a nested type. Type and description may be empty."""

    name: str
    type: str = ""
    description: str = ""


def columns_of(fields: object, prefix: str = "") -> Iterator[Column]:
    """Yield the columns of a schema's fields, each before the columns inside it."""
    for field in mappings(fields):
        if name := text(field, "name"):
            path = f"{prefix}{name}"
            yield Column(path, text(field, "type"), text(field, "description"))
            yield from columns_of(field.get("fields"), f"{path}.")


@dataclass(frozen=True)
class Dataset:
    """A dataset; `kind` is its datasetType, such as `TABLE`. Everything may be empty."""

    kind: str = ""
    description: str = ""
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Job:
    """A job: its jobType (such as `ASSET`), the job that it is part of, and its latest run."""

    kind: str = ""
    description: str = ""
    parent: Name | None = None
    run: Run | None = None


@dataclass(frozen=True)
class Lineage:
    """All lineage of a source."""

    datasets: Mapping[Name, Dataset]
    jobs: Mapping[Name, Job]
    reads: frozenset[tuple[Name, Name]]  # Pairs of a dataset and a job that reads it
    writes: frozenset[tuple[Name, Name]]  # Pairs of a job and a dataset that it writes
    columns: frozenset[tuple[ColumnName, ColumnName]]  # Of a column and one that is made from it

    def with_all_ends(self) -> "Lineage":
        """Add the datasets and jobs that only edges name; drop columns of unknown datasets."""
        datasets = {name: Dataset() for name, _ in self.reads}
        datasets |= {name: Dataset() for _, name in self.writes} | dict(self.datasets)
        jobs = {name: Job() for _, name in self.reads}
        jobs |= {name: Job() for name, _ in self.writes} | dict(self.jobs)
        columns = frozenset(
            pair for pair in self.columns if all(dataset in datasets for dataset, _ in pair)
        )
        return Lineage(datasets, jobs, self.reads, self.writes, columns)
