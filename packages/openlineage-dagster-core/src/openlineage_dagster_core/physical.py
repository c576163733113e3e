"""Names datasets after where their data is: the table or address that metadata gives.

Dagster's metadata has a table's name, never the host that it is on: the namespace comes from the
user's map. A URI has all of it (OpenLineage naming specification).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from openlineage.client.naming.dataset import (
    ABFSS,
    DBFS,
    GCS,
    HDFS,
    S3,
    WASBS,
    DatasetNaming,
    LocalFileSystem,
)

from openlineage_dagster_core.facts.model import AssetFacts
from openlineage_dagster_core.redaction import without_secrets, without_user

HDFS_PORT = 8020
AZURE_SUFFIXES = (".dfs.core.windows.net", ".blob.core.windows.net")

KIND_PATTERN = "kind:"
"""Begins a key of the map that stands for all assets of a kind, not for asset keys."""

DATABASES = {
    "cassandra": ("cassandra", 9042),
    "crate": ("crate", 4200),
    "db2": ("db2", 50000),
    "hive": ("hive", 10000),
    "kafka": ("kafka", 9092),
    "mysql": ("mysql", 3306),
    "oceanbase": ("oceanbase", 2881),
    "oracle": ("oracle", 1521),
    "postgres": ("postgres", 5432),
    "postgresql": ("postgres", 5432),
    "redshift": ("redshift", 5439),
    "snowflake": ("snowflake", None),
    "teradata": ("teradata", 1025),
    "trino": ("trino", 8080),
}
"""By scheme, that of the namespace and the port where the address has none.

A table is named with dots; so openlineage-python's classes do it, which want all its parts.
"""

_REDSHIFT_HOST = re.compile(r"([^.]+)\.(?:[^.]+\.)?([a-z]+(?:-[a-z]+)+-\d+)\.redshift\..+")
_WILDCARDS = re.compile(r"\[[^\]]*\]|[*?]")


class PhysicalName(NamedTuple):
    """What a dataset is called after the place where it is.

    Args:
        namespace: the place, such as `s3://lake` or `postgres://host:5432`.
        name: within it.
        is_table: whether a table is named, and not an address.
    """

    namespace: str
    name: str
    is_table: bool


def physical_name(
    asset: AssetFacts, asset_path: str, namespaces: Mapping[str, str]
) -> PhysicalName | None:
    """Find out where an asset's data is.

    Args:
        asset: as its definition and its materialization describe it.
        asset_path: its key as a text, for the map's patterns.
        namespaces: by `kind:KIND` or a pattern for asset keys, in which namespace its table is;
            the most specific one that fits counts, whatever their order.

    Returns:
        The name; None where no table or address is known, or the map has no namespace for the
        table.
    """
    physical = asset.physical
    if physical.table_name is not None:
        namespace = _mapped(asset, asset_path, namespaces)
        if namespace is not None:
            return PhysicalName(namespace, physical.table_name, is_table=True)
    return _of_uri(physical.address) if physical.address is not None else None


def _mapped(asset: AssetFacts, asset_path: str, namespaces: Mapping[str, str]) -> str | None:
    kinds = {asset.physical.storage_kind, *asset.kinds}
    fitting = [
        pattern
        for pattern in namespaces
        if (
            pattern[len(KIND_PATTERN) :] in kinds
            if pattern.startswith(KIND_PATTERN)
            else fnmatchcase(asset_path, pattern)
        )
    ]
    storage_kind = f"{KIND_PATTERN}{asset.physical.storage_kind}"
    best = min(fitting, key=lambda each: _rank(each, storage_kind), default=None)
    return namespaces[best] if best is not None else None


def _rank(pattern: str, storage_kind: str) -> tuple[int, int, str]:
    """Order keys of the map, the most specific first: Dagster sorts what a configuration has.

    An asset's key; a pattern, the more characters it fixes the better; the storage kind; another
    kind; `*`.
    """
    if pattern.startswith(KIND_PATTERN):
        return 2, pattern != storage_kind, pattern
    fixed = len(_WILDCARDS.sub("", pattern))
    if fixed == len(pattern):
        return 0, 0, pattern
    return (1, -fixed, pattern) if fixed else (3, 0, pattern)


@lru_cache(maxsize=4096)
def _of_uri(uri: str) -> PhysicalName | None:
    try:
        # A dataset's name is shown everywhere.
        parts = urlsplit(without_secrets(without_user(uri.strip())))
        if parts.scheme == "dbfs" and not parts.netloc:
            # The address does not contain the workspace.
            return PhysicalName("dbfs", unquote(parts.path), is_table=False)
        naming = _naming(parts)
        if naming is None:
            return _of_host(parts)
        return PhysicalName(naming.get_namespace(), naming.get_name(), is_table=False)
    except ValueError:
        return None


def _of_host(parts: SplitResult) -> PhysicalName | None:
    """Name what is on a host, or on none: not by the user and the password of the address."""
    # A driver is no part of the place: postgresql+psycopg2.
    scheme, host, port = parts.scheme.partition("+")[0], parts.hostname, parts.port
    path = unquote(parts.path).strip("/")
    if not (scheme and host and path):
        return None
    if scheme == "bigquery":
        return PhysicalName(scheme, ".".join([host, *path.split("/")]), is_table=False)
    if scheme in DATABASES:
        scheme, usual_port = DATABASES[scheme]
        port, path = port or usual_port, path.replace("/", ".")
    if scheme == "redshift" and (cluster := _REDSHIFT_HOST.fullmatch(host)):
        host = f"{cluster[1]}.{cluster[2]}"
    namespace = f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}"
    return PhysicalName(namespace, path, is_table=False)


def _naming(parts: SplitResult) -> DatasetNaming | None:
    path = unquote(parts.path)
    key = path.strip("/") or "/"
    # Not in lower case, as `hostname` is, and without a user and a password.
    bucket = parts.netloc.rpartition("@")[2]
    naming: DatasetNaming | None = None
    if parts.scheme in ("s3", "s3a", "s3n"):
        naming = S3(bucket, key)
    elif parts.scheme in ("gs", "gcs"):
        naming = GCS(bucket, key)
    elif parts.scheme == "file":
        naming = LocalFileSystem(path)
    elif parts.scheme == "hdfs":
        naming = HDFS(parts.hostname or "", str(parts.port or HDFS_PORT), path)
    elif parts.scheme == "dbfs":
        naming = DBFS(bucket, key)
    elif parts.scheme in ("abfs", "abfss", "wasb", "wasbs") and parts.username:
        naming = _azure(parts, key)
    return naming


def _azure(parts: SplitResult, key: str) -> DatasetNaming:
    account = parts.hostname or ""
    for suffix in AZURE_SUFFIXES:
        account = account.removesuffix(suffix)
    if parts.scheme.startswith("wasb"):
        return WASBS(parts.username or "", account, key)
    return ABFSS(parts.username or "", account, key)
