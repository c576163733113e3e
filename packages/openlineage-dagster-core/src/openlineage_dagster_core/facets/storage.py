"""The dataset facets that say where an asset is kept, under which names, and as what."""

import re
from functools import lru_cache
from posixpath import splitext
from urllib.parse import quote, urlsplit

from openlineage.client.generated import hierarchy_dataset as hierarchy
from openlineage.client.generated.dataset_type_dataset import DatasetTypeDatasetFacet
from openlineage.client.generated.datasource_dataset import DatasourceDatasetFacet
from openlineage.client.generated.storage_dataset import StorageDatasetFacet
from openlineage.client.generated.symlinks_dataset import Identifier, SymlinksDatasetFacet

from openlineage_dagster_core.facts.model import AssetFacts
from openlineage_dagster_core.names import limited, safe_dataset_namespace, safe_name
from openlineage_dagster_core.redaction import public_uri
from openlineage_dagster_core.serialisation import shared
from openlineage_dagster_core.version import PRODUCER

FILES = "file"  # The namespace of files on disks
TABLE = "TABLE"  # DataHub takes a symlink of this type for the dataset's own identity
# dbt's materializations, and what each makes
_TYPE_OF_MATERIALIZATION: dict[str, tuple[str, str | None]] = {
    "view": ("VIEW", None),
    "materialized_view": ("VIEW", "MATERIALIZED"),
    "materializedview": ("VIEW", "MATERIALIZED"),
    "ephemeral": ("VIEW", "TEMPORARY"),
    **dict.fromkeys(("table", "incremental", "snapshot", "seed"), ("TABLE", None)),
}
# Formats by a kind's name or a file's extension
_FORMAT_OF_NAME = {
    "avro": "avro", "csv": "csv", "excel": "excel", "feather": "feather", "geojson": "geojson",
    "json": "json", "jsonl": "json", "ndjson": "json", "orc": "orc", "parquet": "parquet",
    "text": "text", "tsv": "tsv", "txt": "text", "xls": "excel", "xlsx": "excel", "xml": "xml",
    "yaml": "yaml", "yml": "yaml",
}  # fmt: skip
_COMPRESSIONS = frozenset({".bz2", ".gz", ".lz4", ".snappy", ".xz", ".zip", ".zst"})
# The storage that keeps files, by the scheme of their addresses
_FILE_SCHEMES = {
    "abfs": "adls", "abfss": "adls", "dbfs": "dbfs", "file": "file", "gcs": "gcs", "gs": "gcs",
    "hdfs": "hdfs", "s3": "s3", "s3a": "s3", "s3n": "s3", "wasb": "adls", "wasbs": "adls",
}  # fmt: skip
_TABLE_FORMATS = {
    "delta": "delta", "delta_lake": "delta", "deltalake": "delta", "hudi": "hudi",
    "iceberg": "iceberg", "paimon": "paimon",
}  # fmt: skip
_STORAGES = {name: name for name in (
    "adls", "athena", "bigquery", "cassandra", "clickhouse", "cockroachdb", "databricks", "dbfs",
    "duckdb", "dynamodb", "elasticsearch", "gcs", "hdfs", "hive", "kafka", "mariadb", "mongodb",
    "motherduck", "mysql", "oracle", "postgres", "redis", "redshift", "s3", "snowflake", "sqlite",
    "sqlserver", "synapse", "teradata", "trino",
)} | {"mssql": "sqlserver", "postgresql": "postgres"}  # fmt: skip
_LAYERS = _FILE_SCHEMES | _TABLE_FORMATS | _STORAGES
# One part of a table's name, in any of the quotes of databases
_PART = re.compile(r'"([^"]+)"|`([^`]+)`|\[([^\]]+)\]|([^."`\[\]]+)')


def dataset_type_facet(asset: AssetFacts) -> DatasetTypeDatasetFacet | None:
    """Build the facet (DatasetTypeDatasetFacet 1-0-1); None if nothing tells the type.

    dbt's materialization counts first. Then come the kind of a view; the kind of a table, or a
    table's name; the kinds of a model, a topic and a file; and the address of a file.
    """
    known = _TYPE_OF_MATERIALIZATION.get(_folded(asset.physical.materialization or ""))
    dataset_type, sub_type = known or _type_of(asset)
    if dataset_type is None:
        return None
    return DatasetTypeDatasetFacet(dataset_type, subType=sub_type, producer=PRODUCER)


def _type_of(asset: AssetFacts) -> tuple[str | None, str | None]:
    kinds = frozenset(map(_folded, asset.kinds))
    if "materialized_view" in kinds:
        return "VIEW", "MATERIALIZED"
    scheme, _ = _scheme_and_path(asset.physical.address)
    is_file = not kinds.isdisjoint(_FORMAT_OF_NAME) or scheme in _FILE_SCHEMES
    choices = (
        ("VIEW", "view" in kinds),
        ("TABLE", "table" in kinds or bool(asset.physical.table_name)),
        ("MODEL", "mlmodel" in kinds),
        ("TOPIC", "topic" in kinds or "kafka" in kinds),
        ("FILE", is_file),
    )
    return next((name for name, applies in choices if applies), None), None


def hierarchy_facet(table_name: str, table_type: str) -> hierarchy.HierarchyDatasetFacet | None:
    """Build the facet (HierarchyDatasetFacet 1-0-0) of `schema.table` or `db.schema.table`."""
    parts = table_parts(table_name)
    if len(parts) not in (2, 3) or ".." in table_name:
        return None
    types = ["DATABASE", "SCHEMA", table_type][-len(parts) :]
    levels = [
        hierarchy.HierarchyDatasetFacetLevel(type=kind, name=limited(name))
        for kind, name in zip(types, parts, strict=True)
    ]
    return hierarchy.HierarchyDatasetFacet(levels, producer=PRODUCER)


def table_parts(table_name: str) -> tuple[str, ...]:
    """Return the parts of a table's name, without quotes."""
    return tuple(match[match.lastindex or 0] for match in _PART.finditer(table_name))


def storage_facet(asset: AssetFacts) -> StorageDatasetFacet | None:
    """Build the facet (StorageDatasetFacet 1-0-1); None if the storage layer is not known.

    The layer is the storage kind; else the first of the sorted kinds that is a table format, as the
    schema means it; else the first that is a storage; else the address gives it.
    """
    names, kind = sorted(map(_folded, asset.kinds)), _folded(asset.physical.storage_kind or "")
    scheme, path = _scheme_and_path(asset.physical.address)
    layer = _LAYERS.get(kind, kind) or _first(names, _TABLE_FORMATS) or _first(names, _STORAGES)
    layer = layer or _LAYERS.get(scheme)
    if not layer:
        return None
    stem, extension = splitext(path)
    if extension in _COMPRESSIONS:
        extension = splitext(stem)[1]
    return StorageDatasetFacet(
        storageLayer=limited(layer),
        fileFormat=_first(names, _FORMAT_OF_NAME) or _FORMAT_OF_NAME.get(extension[1:]),
        producer=PRODUCER,
    )


@lru_cache(maxsize=4096)
def data_source_facet(name: str) -> DatasourceDatasetFacet:
    """Build the facet (DatasourceDatasetFacet 1-0-1) of a namespace, with its public URI or a URN.

    Every dataset has one, and one name has one URI: Marquez keys sources by name, and once one
    dataset has no source, its list of sources answers 500.
    """
    uri = public_uri(name) if "://" in name else None
    if name == FILES:
        uri = f"{FILES}:///"
    uri = uri or f"urn:dagster:{quote(name, safe='/:', errors='replace')}"
    return shared(DatasourceDatasetFacet(name=limited(name), uri=uri, producer=PRODUCER))


def symlinks_facet(namespace: str, name: str, kind: str) -> SymlinksDatasetFacet:
    """Build the facet (SymlinksDatasetFacet 1-0-1) of a dataset's other name; never for a TABLE."""
    if kind.strip().upper() == TABLE:
        raise ValueError(f"a symlink of type {TABLE} takes the dataset's identity in DataHub")
    symlink = Identifier(safe_dataset_namespace(namespace), safe_name(name), limited(kind))
    return SymlinksDatasetFacet(identifiers=[symlink], producer=PRODUCER)


def _folded(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _first(names: list[str], known: dict[str, str]) -> str | None:
    return next((known[name] for name in names if name in known), None)


def _scheme_and_path(uri: str | None) -> tuple[str, str]:
    """Return both in lower case, the scheme without a driver (`postgresql+psycopg2`)."""
    try:
        parts = urlsplit((uri or "").strip().lower().removeprefix("jdbc:"))
    except ValueError:
        return "", ""
    return parts.scheme.partition("+")[0], parts.path
