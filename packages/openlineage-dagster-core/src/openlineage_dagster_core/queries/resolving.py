"""Resolves the tables and columns of a query with sqlglot, which this module imports.

A column is traced from the result through subqueries to tables. What is not certain is left out: a
name that several tables may have, and what a pivot or an unresolved `*` makes.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope, walk_in_scope

from openlineage_dagster_core.queries.model import Asked, Origin, Parsed, Table, agree

# How a column enters another, the strongest last: that of the whole way is the strongest on it.
WAYS = ("IDENTITY", "TRANSFORMATION", "AGGREGATION", "CONDITIONAL", "WINDOW")
IDENTITY, TRANSFORMATION, AGGREGATION, CONDITIONAL, WINDOW = range(len(WAYS))
_Origins = dict[tuple[Table, str], set[int]]  # By table and column, the ways
_Sources = dict[str, tuple[Any, Any]]  # By alias, the node in the query, and a table or a scope
_NO_TABLE = re.compile(r"[./\\*@#%{}()'\"]|^$")  # A file, a stage, a temporary table, a wildcard
_SYSTEM = frozenset({"dual", "information_schema", "pg_catalog", "sys"})
_WRITERS = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create)
_OF_ONE_ROW = (exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue)
MOST_STEPS = 30_000  # Parts of a query that are looked at to trace its columns: about half a second
_UNITS = frozenset(
    {"day", "hour", "microsecond", "millisecond", "minute", "month", "quarter", "second", "week"}
    | {"year"}
)


def read(asked: Asked) -> Parsed:
    """Return what a query reads; raises what sqlglot raises."""
    parsed = sqlglot.parse(asked.query, read=asked.dialect)
    statements = [each for each in parsed if isinstance(each, (exp.Query, *_WRITERS))]
    written: dict[str, str] = {}  # Names as they are written, by those in lower case
    tables: dict[Table, Table] = {}
    targets: set[Table] = set()
    for statement in statements:
        spelled = {id(each): _parts(each) for each in statement.find_all(exp.Table)}
        for identifier in statement.find_all(exp.Identifier):
            written.setdefault(identifier.name.lower(), identifier.name)
            identifier.set("this", identifier.name.lower())
        for table in _tables_read(statement):
            if _parts(table) not in targets:
                tables.setdefault(_parts(table), spelled[id(table)])
        targets.update(map(_parts, _tables_written(statement)))
    if len(statements) != 1:
        return Parsed(tuple(tables.values()))
    columns = tuple(
        (
            written.get(column, column),
            tuple(
                Origin(table, written.get(name, name), tuple(WAYS[way] for way in sorted(ways)))
                for (table, name), ways in sorted(origins.items())
            ),
        )
        for column, origins in _columns(asked, statements[0])
    )
    return Parsed(tuple(tables.values()), columns)


def _parts(table: Any) -> Table:
    return tuple(part.name for part in table.parts)


def _is_table(table: Any) -> bool:
    parts, named = _parts(table), table.this
    is_named = isinstance(named, exp.Identifier) and not named.args.get("temporary")
    return is_named and _SYSTEM.isdisjoint(parts) and not any(map(_NO_TABLE.search, parts))


def _tables_written(statement: Any) -> Iterator[Any]:
    if isinstance(statement, _WRITERS):
        yield from statement.this.find_all(exp.Table)
    yield from (into.this for into in statement.find_all(exp.Into))


def _tables_read(statement: Any) -> Iterator[Any]:
    others = {id(each) for each in _tables_written(statement)}
    for scope in traverse_scope(statement):
        for table in scope.tables:
            first, *rest = _parts(table)
            # BigQuery: FROM orders, orders.items
            is_column = rest and first in scope.selected_sources and first != table.alias_or_name
            is_query = not rest and isinstance(scope.sources.get(table.alias_or_name), Scope)
            others |= {id(table)} if is_query or is_column else set()
    names = {cte.alias for cte in getattr(statement, "ctes", ())}
    for table in statement.find_all(exp.Table):
        is_cte = not table.find_ancestor(exp.Query) and table.name in names and not table.db
        if _is_table(table) and not is_cte and id(table) not in others:
            yield table


def _columns(asked: Asked, statement: Any) -> Iterator[tuple[str, _Origins]]:
    """Yield the columns of a query, or of what it makes a new table from, with their origins."""
    is_written = isinstance(statement, (exp.Create, exp.Insert))
    query = statement.expression if is_written else statement
    if not isinstance(query, exp.Query):
        return
    resolver, inner = _Resolver(asked.known), query.unnest()
    for scope in [each for each in traverse_scope(statement) if each.expression is inner][-1:]:
        if is_written and isinstance(statement.this, exp.Schema):
            scope.outer_columns = [each.name for each in statement.this.expressions]
        for column in dict.fromkeys([*(resolver.columns(scope) or ()), *asked.wanted]):
            if column and (origins := resolver.origins(scope, column)):
                yield column, origins


class TooComplexError(Exception):
    """A query takes more than `MOST_STEPS`."""


class _Resolver:
    """Traces columns through the scopes of one query; `known` are tables with all their columns."""

    def __init__(self, known: Sequence[tuple[Table, tuple[str, ...]]]) -> None:
        self._known = known
        self.columns = cache(self._columns)
        self.origins = cache(self._origins)
        self._selected = cache(_selected)
        self._steps = 0
        self._traced: dict[int, _Origins] = {}  # By the id of an expression, which the query keeps

    def _columns(self, scope: Any) -> list[str] | None:
        """Return the columns of a query in order; None if a `*` in it is not resolved."""
        query, branches = scope.expression, _branches(scope)
        names: list[str] = []
        if isinstance(query, exp.UDTF) and not branches:
            return list(query.alias_column_names) or None
        for projection in getattr(query, "selects", ()) if not branches else ():
            if not projection.is_star:
                names.append(projection.output_name)
                continue
            excluded, modified = _star(projection)
            for source in _starred(scope, projection).values():
                columns = self._names(*source)
                if columns is None or modified:
                    return None
                names += [each for each in columns if each not in excluded]
        if branches:
            first = self.columns(branches[0])
            if first is None:
                return None
            names = list(first)
        names[: len(scope.outer_columns)] = scope.outer_columns
        return names

    def _names(self, node: Any, source: Any) -> list[str] | None:
        if node.args.get("pivots"):
            return None
        if isinstance(source, Scope):
            return self.columns(source)
        known = [columns for table, columns in self._known if agree(table, _parts(source))]
        return list(known[0]) if len(known) == 1 else None

    def _origins(self, scope: Any, column: str) -> _Origins:
        """Return the columns of tables that a column of a query is made from."""
        query, outer = scope.expression, scope.outer_columns
        if branches := _branches(scope):
            return self._of_branches(scope, branches, column)
        if isinstance(query, exp.UDTF):
            return _merged([self._within(scope, query)], TRANSFORMATION)
        selects = list(getattr(query, "selects", ()))
        selected = self._selected(scope)
        chosen, starred = selected.get(column, []), selected.get("*", [])
        if column in outer:
            chosen = [] if starred else selects[outer.index(column) : outer.index(column) + 1]
        if len(chosen) == 1:
            return self._within(scope, chosen[0])
        if (
            chosen
            or len(starred) != 1
            or column in outer
            or column in set().union(*_star(starred[0]))
        ):
            return {}
        sources = _starred(scope, starred[0])
        return self._of_each(sources, self._holding(scope, column, sources), column)

    def _of_branches(self, scope: Any, branches: Any, column: str) -> _Origins:
        """Trace a column through the branches of a UNION, which match by their positions."""
        names, found = self.columns(scope), []
        for branch in branches:
            theirs = self.columns(branch)
            if scope.expression.args.get("by_name") or (len(branches) == 1 and names is None):
                found.append(self.origins(branch, column))
            elif names is None or theirs is None or names.count(column) != 1:
                return {}
            elif names.index(column) < len(theirs):
                found.append(self.origins(branch, theirs[names.index(column)]))
        return _merged(found)

    def _within(self, scope: Any, expression: Any) -> _Origins:
        """Trace all columns in an expression, also those of subqueries in it."""
        if id(expression) in self._traced:
            return self._traced[id(expression)]
        found = []
        for node in walk_in_scope(expression):
            self._step()
            inner: _Origins = {}
            if isinstance(node, exp.Column) and not node.is_star:
                inner = self._of_column(scope, node, expression)
            elif isinstance(node, (exp.Select, exp.SetOperation)):
                for subquery in scope.subquery_scopes:
                    if subquery.expression is node:
                        names = self.columns(subquery) or ()
                        inner = _merged(self.origins(subquery, name) for name in names)
            if inner:
                found.append(_merged([inner], self._way(node, expression)))
        self._traced[id(expression)] = merged = _merged(found)
        return merged

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise TooComplexError

    def _way(self, node: Any, expression: Any) -> int:
        """Return how a part of an expression enters its value."""
        way = IDENTITY
        while node is not expression:
            self._step()
            node, key = node.parent, node.arg_key
            if isinstance(node, exp.Window) and key != "this":
                way = WINDOW
            elif isinstance(node, (exp.Case, exp.Filter, exp.If)) and (
                (key == "this") != isinstance(node, exp.Filter)
            ):
                way = max(way, CONDITIONAL)
            elif isinstance(node, (exp.AggFunc, exp.WithinGroup)) and not isinstance(
                node, _OF_ONE_ROW
            ):
                way = max(way, AGGREGATION)
            elif not isinstance(node, (exp.Alias, exp.Paren, exp.Subquery)):
                way = max(way, TRANSFORMATION)
        return way

    def _of_column(self, scope: Any, column: Any, expression: Any) -> _Origins:
        name, *more = names = [part.name for part in column.parts]
        for at in _outwards(scope):
            for place, alias in enumerate(names[:-1]):
                if alias in (sources := _sources(at)):
                    origins = self._of_each(sources, [alias], names[place + 1])
                    return _merged([origins], _of_struct(names[place + 2 :]))
        if not more and name in _UNITS and isinstance(column.parent, exp.Func):
            return {}
        for at in _outwards(scope):
            sources = _sources(at)
            holding = self._holding(at, name, sources)
            aliased = self._earlier(scope, name, expression) if at is scope else None
            if holding:
                # Some databases prefer a column of a table, which must then be known.
                is_sure = aliased is None or all(self._names(*sources[each]) for each in holding)
                origins = self._of_each(sources, holding, name) if is_sure else {}
                return _merged([origins], _of_struct(more))
            if any(self._names(*source) is None for source in sources.values()):
                return {}
            if aliased is not None:
                return self._within(at, aliased)
        return {}

    def _earlier(self, scope: Any, name: str, expression: Any) -> Any:
        """Return an earlier column of the same SELECT, which some databases let a later name."""
        for each in self._selected(scope).get(name, ()) if expression.index is not None else ():
            is_made = isinstance(each, exp.Alias) and not isinstance(each.this, exp.Column)
            if is_made and each.index < expression.index:
                return each
        return None

    def _holding(self, scope: Any, name: str, sources: _Sources) -> list[str]:
        """Return the sources that a column without a table means; empty if that is not certain."""
        columns = {alias: self._names(*source) for alias, source in sources.items()}
        having = [alias for alias, names in columns.items() if names and name in names]
        joins = scope.expression.args.get("joins") or ()
        using = [
            join.alias_or_name
            for join in joins
            if name in {each.name for each in join.args.get("using") or ()}
        ]
        if using and sources.keys() >= set(using):
            before = list(sources)[: list(sources).index(using[0])]
            left = [each for each in before if each in having] or before
            return [*left, *using] if len(left) == 1 else using
        unknown = [alias for alias, names in columns.items() if names is None]
        found = having or unknown
        return found if len(found) == 1 else []

    def _of_each(self, sources: _Sources, aliases: Iterable[str], name: str) -> _Origins:
        return _merged(self._of_one(*sources[alias], name) for alias in aliases)

    def _of_one(self, node: Any, source: Any, name: str) -> _Origins:
        if node.args.get("pivots") or (isinstance(node, exp.Table) and node.alias_column_names):
            return {}
        if isinstance(source, Scope):
            return self.origins(source, name)
        names = self._names(node, source)
        has_column = _is_table(source) and (names is None or name in names)
        return {(_parts(source), name): {IDENTITY}} if has_column else {}


def _selected(scope: Any) -> dict[str, list[Any]]:
    """Return what a SELECT selects by name; `*` is the name of all stars."""
    found: dict[str, list[Any]] = {}
    for each in getattr(scope.expression, "selects", ()):
        found.setdefault("*" if each.is_star else each.output_name, []).append(each)
    return found


def _sources(scope: Any) -> _Sources:
    if isinstance(scope.expression, exp.UDTF):
        return {
            name: (getattr(each, "expression", None) or each, each)
            for name, each in scope.lateral_sources.items()
        }
    return dict(scope.selected_sources)


def _branches(scope: Any) -> Any:
    """Return the branches of a UNION, or the query in brackets or behind LATERAL."""
    if isinstance(scope.expression, exp.Subquery):
        return scope.derived_table_scopes[:1]
    if isinstance(scope.expression, exp.Lateral):
        return scope.subquery_scopes[:1]
    # Until sqlglot 30.16 they are called otherwise.
    return getattr(scope, "set_operation_scopes", None) or getattr(scope, "union_scopes", ())


def _outwards(scope: Any) -> Iterator[Any]:
    """Yield a scope, and those whose columns it may read."""
    while scope is not None:
        yield scope
        if scope.is_udtf:
            # It reads what its parent reads before it.
            scope = scope.parent
        scope = scope.parent if scope.is_subquery else None


def _starred(scope: Any, projection: Any) -> _Sources:
    """Return the sources whose columns a `*` means."""
    sources, alias = _sources(scope), getattr(projection, "table", "")
    return {name: each for name, each in sources.items() if alias in ("", name)}


def _star(projection: Any) -> tuple[set[str], set[str]]:
    """Return the columns that a `*` does without, and those that REPLACE or RENAME make of it."""
    args = (projection if isinstance(projection, exp.Star) else projection.this).args
    changed = [*(args.get("replace") or ()), *(args.get("rename") or ())]
    return {each.name for each in args.get("except_") or ()}, {
        each.alias_or_name for each in changed
    }


def _of_struct(fields: Sequence[str]) -> int:
    return TRANSFORMATION if fields else IDENTITY


def _merged(found: Iterable[_Origins], way: int = IDENTITY) -> _Origins:
    merged: _Origins = {}
    for origins in found:
        for origin, ways in origins.items():
            merged.setdefault(origin, set()).update(max(way, each) for each in ways)
    return merged
