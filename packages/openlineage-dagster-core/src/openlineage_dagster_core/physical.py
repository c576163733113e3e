"""Names datasets after where their data is: the table or address that metadata gives.

Dagster's metadata has a table's name, never the host that it is on: the namespace comes from the
user's map. A URI has all of it (OpenLineage naming specification).
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from openlineage.client.naming import dataset as naming

from openlineage_dagster_core.facts.model import AssetFacts
from openlineage_dagster_core.redaction import public_text

HDFS_PORT = 8020
AZURE_SUFFIXES = (".dfs.core.windows.net", ".blob.core.windows.net")

KIND_PATTERN = "kind:"  # Begins a key of the map that means all assets of a kind
PORTS = {
    "cassandra": 9042, "crate": 4200, "db2": 50000, "hive": 10000, "kafka": 9092, "mysql": 3306,
    "oceanbase": 2881, "oracle": 1521, "postgres": 5432, "redshift": 5439, "snowflake": None,
    "teradata": 1025, "trino": 8080,
}  # fmt: skip
"""Ports of databases where the address has none. Dots separate the parts of a table's name, as in
openlineage-python's classes, which require all parts."""

_REDSHIFT_HOST = re.compile(r"([^.]+)\.(?:[^.]+\.)?([a-z]+(?:-[a-z]+)+-\d+)\.redshift\..+")
_WILDCARDS = re.compile(r"\[[^\]]*\]|[*?]")


class PhysicalName(NamedTuple):
    """Place of a dataset (`s3://lake`, `postgres://host:5432`), and its name there."""

    namespace: str
    name: str
    is_table: bool


def physical_name(
    asset: AssetFacts, asset_path: str, namespaces: Mapping[str, str]
) -> PhysicalName | None:
    """Return where an asset's data is; None where no known namespace has its table.

    `namespaces` maps `kind:KIND` or a pattern for `asset_path` to the namespace of the table; the
    most specific one that fits counts, whatever their order.
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
    return _public(namespaces[best]) if best is not None else None


_public = lru_cache(maxsize=1024)(public_text)  # The user may name a password


def _rank(pattern: str, storage_kind: str) -> tuple[int, int, str]:
    """Order keys of the map, the most specific first: Dagster sorts a configuration.

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
        parts = urlsplit(public_text(uri.strip()))
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
    """Return the name of data on a host, without the user and the password of the address."""
    # A driver is no part of the place: postgresql+psycopg2.
    scheme, host, port = parts.scheme.partition("+")[0], parts.hostname, parts.port
    path = unquote(parts.path).strip("/")
    if not (scheme and host and path):
        return None
    if scheme == "bigquery":
        return PhysicalName(scheme, ".".join([host, *path.split("/")]), is_table=False)
    scheme = "postgres" if scheme == "postgresql" else scheme
    if scheme in PORTS:
        port, path = port or PORTS[scheme], path.replace("/", ".")
    if scheme == "redshift" and (cluster := _REDSHIFT_HOST.fullmatch(host)):
        host = f"{cluster[1]}.{cluster[2]}"
    namespace = f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}"
    return PhysicalName(namespace, path, is_table=False)


def _naming(parts: SplitResult) -> naming.DatasetNaming | None:
    scheme, path, account = parts.scheme, unquote(parts.path), parts.hostname or ""
    key = path.strip("/") or "/"
    # Not in lower case, as `hostname` is, and without a user and a password.
    bucket = parts.netloc.rpartition("@")[2]
    if scheme in ("s3", "s3a", "s3n"):
        return naming.S3(bucket, key)
    if scheme in ("gs", "gcs", "dbfs"):
        return naming.DBFS(bucket, key) if scheme == "dbfs" else naming.GCS(bucket, key)
    if scheme == "file":
        return naming.LocalFileSystem(path)
    if scheme == "hdfs":
        return naming.HDFS(account, str(parts.port or HDFS_PORT), path)
    if scheme in ("abfs", "abfss", "wasb", "wasbs") and parts.username:
        for suffix in AZURE_SUFFIXES:
            account = account.removesuffix(suffix)
        azure = naming.WASBS if scheme.startswith("wasb") else naming.ABFSS
        return azure(parts.username, account, key)
    return None
