"""Parses queries with sqlglot, which comes with the extra `sql` and is imported with the first one.

A process that executes a run never parses. Results are kept; they depend on nothing but what is
asked, and on sqlglot's version.
"""

import logging
import re
import threading
from collections.abc import Iterable

from openlineage_dagster_core.caches import PerValue
from openlineage_dagster_core.queries.model import Asked, Parsed

LONGEST_QUERY = 100_000  # Characters; sqlglot parses that many in about a second
DEEPEST_QUERY = 100  # Brackets inside brackets; sqlglot recurses, and its compiled form can crash
CHARACTERS_KEPT = 2_000_000  # Of what was asked, whose results are kept
MISSING = 'sqlglot is not installed: pip install "openlineage-dagster-core[sql]"'
# sqlglot's dialects, by the names of storages, of kinds and of the schemes of namespaces
DIALECTS = {name: name for name in (
    "athena", "bigquery", "clickhouse", "databricks", "doris", "duckdb", "fabric", "hive", "mysql",
    "oracle", "postgres", "presto", "redshift", "snowflake", "spark", "sqlite", "starrocks",
    "teradata", "trino",
)} | {
    "awsathena": "athena", "cockroachdb": "postgres", "mariadb": "mysql", "motherduck": "duckdb",
    "mssql": "tsql", "postgresql": "postgres", "sqlserver": "tsql", "synapse": "tsql",
    "unitycatalog": "databricks",
}  # fmt: skip

_CHAIN = re.compile(r"\]\s*\[")


def dialect_of(names: Iterable[str | None]) -> str | None:
    """Return the dialect of the first of these names that has one."""
    known = (DIALECTS.get((name or "").strip().lower()) for name in names)
    return next((dialect for dialect in known if dialect), None)


def _parsed(asked: Asked) -> Parsed:
    if len(asked.query) > LONGEST_QUERY or _depth(asked.query) > DEEPEST_QUERY:
        return Parsed(fault="the query is too long or too deep to be parsed")
    try:
        # Expensive, and not everyone has it.
        from openlineage_dagster_core.queries import resolving
    except ImportError:
        return Parsed(fault=MISSING)
    _parsing.here = True
    try:
        return resolving.read(asked)
    except Exception as error:
        # Not with its message, which quotes the query.
        return Parsed(fault=f"the query cannot be parsed ({type(error).__name__})")
    finally:
        _parsing.here = False


def _depth(query: str) -> int:
    """Return how many brackets are inside each other; `a[1][2]` also takes long to parse."""
    depth = deepest = 0
    for character in query:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return max(deepest, len(_CHAIN.findall(query)))


def _is_of_others(_: logging.LogRecord) -> bool:
    return not getattr(_parsing, "here", False)


_parsing = threading.local()
# sqlglot quotes queries, and secrets with them, in what it logs.
logging.getLogger("sqlglot").addFilter(_is_of_others)

parsed = PerValue[Asked, Parsed](_parsed, lambda asked: asked.weight, CHARACTERS_KEPT)
