"""What an asset's query adds to its lineage where Dagster does not say it (`sql_lineage`)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dagster import AssetKey
from openlineage.client.event_v2 import InputDataset

from openlineage_dagster_core.conversion import custom
from openlineage_dagster_core.conversion.dataset import dataset_name
from openlineage_dagster_core.conversion.envelope import Lineage, Source
from openlineage_dagster_core.facets.schema import FieldLineage
from openlineage_dagster_core.facets.storage import data_source_facet, table_parts
from openlineage_dagster_core.facts.materialized import described
from openlineage_dagster_core.facts.metadata import additions, named_assets
from openlineage_dagster_core.facts.model import AssetFacts
from openlineage_dagster_core.identity import DatasetName
from openlineage_dagster_core.names import safe_name
from openlineage_dagster_core.queries.model import Asked, Parsed, Table, agree
from openlineage_dagster_core.queries.parsing import dialect_of, parsed
from openlineage_dagster_core.redaction import public_text


@dataclass(frozen=True)
class Query:
    """What the query of an asset reads; `tables` are those of the assets that it may read."""

    source: Source
    key: AssetKey
    parsed: Parsed
    tables: Mapping[AssetKey, Table]

    def with_tables(self, lineage: Lineage) -> Lineage:
        """Add the tables that the query reads and that are no upstream assets."""
        there = {(each.namespace, each.name) for each in (*lineage.inputs, *lineage.outputs)}
        added: dict[DatasetName, InputDataset] = {}
        for table in self.parsed.tables:
            name, _ = self._dataset(table)
            if name is not None and name not in there:
                source_facet = data_source_facet(name.namespace)
                added[name] = InputDataset(*name, facets={"dataSource": source_facet})
        return Lineage((*lineage.inputs, *added.values()), lineage.outputs)

    def column_lineage(self) -> tuple[FieldLineage, ...]:
        """Return what the query makes columns from, without unknown columns."""
        fields: list[FieldLineage] = []
        for column, origins in self.parsed.columns:
            made_from = {}
            for origin in origins:
                name, asset = self._dataset(origin.table)
                field = _column(asset, origin.column)
                if name is not None and field is not None:
                    made_from[name.namespace, name.name, field] = origin.ways
            made = _column(described(self.source.facts, self.key), column)
            if made is not None and made_from:
                fields.append((made, tuple((*place, ways) for place, ways in made_from.items())))
        return tuple(fields)

    def _dataset(self, table: Table) -> tuple[DatasetName | None, AssetFacts | None]:
        """Return the dataset that is a table, and its asset, if it has one.

        The name is None for the asset's own table, and where several upstream assets may be meant.
        """
        source, key, tables, wanted = self.source, self.key, self.tables, _lower(table)
        asset = described(source.facts, key)
        own = _table(key, asset)
        owners = [parent for parent, each in tables.items() if agree(wanted, each)]
        shared = max((min(len(tables[each]), len(wanted)) for each in owners), default=0)
        if len(wanted) > 1 and agree(wanted, own) and min(len(own), len(wanted)) >= shared:
            return None, None
        if len(owners) > 1:
            owners = [each for each in owners if tables[each] == own[: -len(wanted)] + wanted]
            if len(owners) != 1:
                return None, None
        if owners:
            return dataset_name(source, owners[0]), described(source.facts, owners[0])
        place = source.identity.physical(key, asset)
        if place is None or not place.is_table or agree(wanted, own):
            return None, None
        lead = table_parts(place.name)[: -len(table)]
        if len(lead) > 1:
            # Which schema is the default one is not known.
            return None, None
        name = safe_name(public_text(".".join((*lead, *table))))
        return DatasetName(place.namespace, name), None


def _column(asset: AssetFacts | None, name: str) -> str | None:
    """Return a column as an asset's schema spells it; None if the schema does not have it."""
    if asset is None or asset.columns is None:
        return name
    names = (column.name for column in asset.columns.columns)
    return next((each for each in names if each.lower() == name.lower()), None)


def query_of(
    source: Source, key: AssetKey, upstream: Iterable[AssetKey], metadata: Mapping[str, Any]
) -> Query | None:
    """Return the query of an asset; None without one, and where `sql_lineage` is off.

    `metadata` is that of the materialization; it and the definition may name further inputs.
    """
    asset = described(source.facts, key)
    if not source.identity.settings.sql_lineage or asset is None or asset.sql is None:
        return None
    definition = source.facts.assets.get(key)
    added = (definition.additions if definition is not None else {}, additions(metadata))
    tables: dict[AssetKey, Table] = {}
    known = []
    for parent in sorted({*upstream, *(each for one in added for each in named_assets(one))}):
        made = described(source.facts, parent)
        tables[parent] = _table(parent, made)
        defined = source.facts.assets.get(parent)
        schema = made.columns if made is not None else None
        # A definition may describe some of the columns only.
        if schema is not None and (defined is None or schema is not defined.columns):
            known.append((tables[parent], _lower(each.name for each in schema.columns)))
    wanted = _lower(each.name for each in asset.columns.columns) if asset.columns else ()
    physical = source.identity.physical(key, asset)
    scheme = physical.namespace.partition(":")[0] if physical is not None else None
    dialect = dialect_of((asset.physical.storage_kind, *asset.kinds, scheme))
    found = parsed(Asked(asset.sql, dialect, tuple(known), wanted))
    if found.fault is not None:
        custom.mistake(f"the query of {key}", found.fault)
    return Query(source, key, found, tables)


def _table(key: AssetKey, asset: AssetFacts | None) -> Table:
    """Return the table of an asset; without one, the schema and the name that its key gives."""
    name = asset.physical.table_name if asset is not None else None
    return _lower(table_parts(name) if name is not None else key.path[-2:])


def _lower(names: Iterable[str]) -> Table:
    return tuple(name.lower() for name in names)
