"""A small project with one integration in it: its definitions, its runs, and its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import dagster as dg


@dataclass(frozen=True)
class Table:
    """A table of the project's DuckDB database.

    Args:
        schema: the schema that it is in.
        name: its name in that schema.
        types: what the integration calls DuckDB's types, where it has names of its own for them.
        children: names of the tables in the same schema that hold its nested fields.
    """

    schema: str
    name: str
    types: Mapping[str, str] = field(default_factory=dict)
    children: tuple[str, ...] = ()

    def with_children(self) -> tuple[Table, ...]:
        """Return this table and those of its nested fields."""
        return (self, *(replace(self, name=name, children=()) for name in self.children))


@dataclass(frozen=True)
class Described:
    """What every event says of an asset, as output and as input.

    Args:
        columns: names and types, in order.
        facets: the dataset has these at least.
        made_with: the output of a COMPLETE has these at least, of the dataset or of the output.
        file: where it is; None for an asset that no I/O manager writes to a file.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    facets: frozenset[str] = frozenset({"dataSource", "tags"})
    made_with: frozenset[str] = frozenset({"version"})
    file: Path | None = None


@dataclass(frozen=True)
class Run:
    """A run of one of the project's jobs.

    Args:
        job: the Dagster job.
        tags: of the run; the project's assets read them.
        succeeds: whether Dagster ends the run as a success.
    """

    job: str = "everything"
    tags: Mapping[str, str] = field(default_factory=dict)
    succeeds: bool = True


@dataclass(frozen=True)
class Project:
    """A project that is ready to run.

    Args:
        definitions: of its code location.
        database: the file of its DuckDB database; None for a project without one.
        tables: by asset key (`a/b`), the tables that its assets and their sources are.
        described: by asset key, what events say of each asset of a project without a database.
        release: closes what a run leaves open until its process ends.
    """

    definitions: dg.Definitions
    database: Path | None = None
    tables: Mapping[str, Table] = field(default_factory=dict)
    described: Mapping[str, Described] = field(default_factory=dict)
    release: Callable[[], None] = lambda: None


@dataclass(frozen=True, eq=False)
class Integration:
    """An integration of Dagster with another tool, as a project that uses it.

    Args:
        name: for the ids of tests.
        project: makes the project in an empty folder; the project is usable inside the context.
        runs: by name, one after another. The first two are `first` and `second`, and do the same.
    """

    name: str
    project: Callable[[Path], AbstractContextManager[Project]]
    runs: Mapping[str, Run]
