"""The dataset facets that say what holds an asset: `datasetType`, `storage` and `dataSource`."""

from __future__ import annotations

from collections.abc import Collection
from posixpath import splitext
from urllib.parse import quote, urlsplit

from openlineage.client.generated.dataset_type_dataset import DatasetTypeDatasetFacet
from openlineage.client.generated.datasource_dataset import DatasourceDatasetFacet
from openlineage.client.generated.storage_dataset import StorageDatasetFacet

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.redaction import public_uri
from openlineage_dagster_core.version import PRODUCER

FILES = "file"
"""The namespace of files on disks."""

_TYPE_OF_MATERIALIZATION: dict[str, tuple[str, str | None]] = {
    "view": ("VIEW", None),
    "materialized_view": ("VIEW", "MATERIALIZED"),
    "materializedview": ("VIEW", "MATERIALIZED"),
    "ephemeral": ("VIEW", "TEMPORARY"),
    "table": ("TABLE", None),
    "incremental": ("TABLE", None),
    "snapshot": ("TABLE", None),
    "seed": ("TABLE", None),
}
"""dbt's materializations, and what each makes."""

_FORMAT_OF_NAME = {
    "avro": "avro",
    "csv": "csv",
    "excel": "excel",
    "feather": "feather",
    "geojson": "geojson",
    "json": "json",
    "jsonl": "json",
    "ndjson": "json",
    "orc": "orc",
    "parquet": "parquet",
    "text": "text",
    "tsv": "tsv",
    "txt": "text",
    "xls": "excel",
    "xlsx": "excel",
    "xml": "xml",
    "yaml": "yaml",
    "yml": "yaml",
}
"""Formats by the name of a kind, or by what a file's name ends with."""

_COMPRESSIONS = frozenset({".bz2", ".gz", ".lz4", ".snappy", ".xz", ".zip", ".zst"})

_FILE_SCHEMES = {
    "abfs": "adls",
    "abfss": "adls",
    "dbfs": "dbfs",
    "file": "file",
    "gcs": "gcs",
    "gs": "gcs",
    "hdfs": "hdfs",
    "s3": "s3",
    "s3a": "s3",
    "s3n": "s3",
    "wasb": "adls",
    "wasbs": "adls",
}
"""The storage that holds files under a scheme."""

_TABLE_FORMATS = {
    "delta": "delta",
    "delta_lake": "delta",
    "deltalake": "delta",
    "hudi": "hudi",
    "iceberg": "iceberg",
    "paimon": "paimon",
}
_STORAGES = {
    "adls": "adls",
    "athena": "athena",
    "bigquery": "bigquery",
    "cassandra": "cassandra",
    "clickhouse": "clickhouse",
    "cockroachdb": "cockroachdb",
    "databricks": "databricks",
    "dbfs": "dbfs",
    "duckdb": "duckdb",
    "dynamodb": "dynamodb",
    "elasticsearch": "elasticsearch",
    "gcs": "gcs",
    "hdfs": "hdfs",
    "hive": "hive",
    "kafka": "kafka",
    "mariadb": "mariadb",
    "mongodb": "mongodb",
    "motherduck": "motherduck",
    "mssql": "sqlserver",
    "mysql": "mysql",
    "oracle": "oracle",
    "postgres": "postgres",
    "postgresql": "postgres",
    "redis": "redis",
    "redshift": "redshift",
    "s3": "s3",
    "snowflake": "snowflake",
    "sqlite": "sqlite",
    "sqlserver": "sqlserver",
    "synapse": "synapse",
    "teradata": "teradata",
    "trino": "trino",
}


def dataset_type_facet(
    *,
    kinds: Collection[str],
    table_name: str | None,
    uri: str | None,
    materialization: str | None,
) -> DatasetTypeDatasetFacet | None:
    """Build the facet (DatasetTypeDatasetFacet 1-0-1).

    The first of these that says something counts: dbt's materialization; the kind of a view; the
    kind of a table, or a table's name; the kinds of a model, a topic, a file; the address of a
    file.

    Args:
        kinds: of the asset.
        table_name: from the metadata `dagster/table_name`.
        uri: from the metadata `dagster/uri`.
        materialization: as dbt has it.

    Returns:
        The facet, None where nothing says what it is.
    """
    known = _TYPE_OF_MATERIALIZATION.get(_folded(materialization or ""))
    dataset_type, sub_type = known or _type_of(frozenset(map(_folded, kinds)), table_name, uri)
    if dataset_type is None:
        return None
    return DatasetTypeDatasetFacet(dataset_type, subType=sub_type, producer=PRODUCER)


def _type_of(
    kinds: frozenset[str], table_name: str | None, uri: str | None
) -> tuple[str | None, str | None]:
    if "materialized_view" in kinds:
        return "VIEW", "MATERIALIZED"
    choices = (
        ("VIEW", "view" in kinds),
        ("TABLE", "table" in kinds or bool(table_name)),
        ("MODEL", "mlmodel" in kinds),
        ("TOPIC", "topic" in kinds or "kafka" in kinds),
        (
            "FILE",
            not kinds.isdisjoint(_FORMAT_OF_NAME) or _scheme_and_path(uri)[0] in _FILE_SCHEMES,
        ),
    )
    return next((name for name, is_it in choices if is_it), None), None


def storage_facet(
    *, kinds: Collection[str], storage_kind: str | None, uri: str | None
) -> StorageDatasetFacet | None:
    """Build the facet (StorageDatasetFacet 1-0-1).

    The layer is the storage kind; else the first in order of the kinds that are table formats
    (delta, iceberg), as the schema means it; else the first of those that are storages; else it is
    by the address.

    Args:
        kinds: of the asset.
        storage_kind: from the tag `dagster/storage_kind`.
        uri: from the metadata `dagster/uri`.

    Returns:
        The facet, None where the layer is not known.
    """
    names = sorted(map(_folded, kinds))
    scheme, path = _scheme_and_path(uri)
    layer = (
        _layer(_folded(storage_kind or ""))
        or _first(names, _TABLE_FORMATS)
        or _first(names, _STORAGES)
        or _FILE_SCHEMES.get(scheme)
        or _TABLE_FORMATS.get(scheme)
        or _STORAGES.get(scheme)
    )
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


def data_source_facet(name: str) -> DatasourceDatasetFacet:
    """Build the facet (DatasourceDatasetFacet 1-0-1).

    Every dataset has one, and one name has one address: Marquez keys sources by name, and answers
    500 to everybody who lists them once one dataset has none.

    Args:
        name: of the place: the namespace of what is there.

    Returns:
        The facet, with the name as a URI: as it is where it is one, without user and password.
    """
    uri = public_uri(name) if "://" in name else None
    if name == FILES:
        uri = f"{FILES}:///"
    return DatasourceDatasetFacet(
        name=limited(name),
        uri=uri or f"urn:dagster:{quote(name, safe='/:', errors='replace')}",
        producer=PRODUCER,
    )


def _folded(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _layer(name: str) -> str:
    return _TABLE_FORMATS.get(name) or _STORAGES.get(name) or _FILE_SCHEMES.get(name) or name


def _first(names: list[str], known: dict[str, str]) -> str | None:
    return next((known[name] for name in names if name in known), None)


def _scheme_and_path(uri: str | None) -> tuple[str, str]:
    """Give both in small letters; a driver is no part of the scheme (postgresql+psycopg2)."""
    try:
        parts = urlsplit((uri or "").strip().lower().removeprefix("jdbc:"))
    except ValueError:
        return "", ""
    return parts.scheme.partition("+")[0], parts.path
