"""A query that is to be parsed, and what it reads."""

from dataclasses import dataclass

Table = tuple[str, ...]  # Database, schema and name, as far as they are given


@dataclass(frozen=True)
class Asked:
    """A query, and what helps to resolve its columns; tables and columns in lower case."""

    query: str
    dialect: str | None = None  # One of sqlglot's
    known: tuple[tuple[Table, tuple[str, ...]], ...] = ()  # Tables with all of their columns
    wanted: tuple[str, ...] = ()  # Columns of the result, where a `*` of it is not resolved

    @property
    def weight(self) -> int:
        """Number of characters, about."""
        return 500 + len(self.query) + 20 * sum(len(columns) for _, columns in self.known)


@dataclass(frozen=True)
class Origin:
    """A column of a table that a column of the result is made from."""

    table: Table  # In lower case
    column: str  # As the query writes it
    ways: tuple[str, ...]  # Subtypes of OpenLineage's transformations, such as `IDENTITY`


@dataclass(frozen=True)
class Parsed:
    """What a query reads: tables as it writes them, and origins by column of the result."""

    tables: tuple[Table, ...] = ()
    columns: tuple[tuple[str, tuple[Origin, ...]], ...] = ()
    fault: str | None = None  # Why nothing, or not all, is known


def agree(one: Table, other: Table) -> bool:
    """Return True if two tables may be one: as far as both name their parts, these are equal."""
    length = min(len(one), len(other))
    return length > 0 and one[-length:] == other[-length:]
