"""Names datasets after where their data is: the table or address that metadata gives.

Dagster's metadata has a table's name, never the host that it is on: the namespace comes from the
user's map. A URI has all of it (OpenLineage naming specification).
"""

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from openlineage.client.naming import dataset as naming

from openlineage_dagster_core.facts.model import AssetFacts
from openlineage_dagster_core.redaction import (
    MASK,
    public_text,
    redacted,
    without_secrets,
    without_user,
)

HDFS_PORT = 8020
KIND_PATTERN = "kind:"  # Begins a key of the map that means all assets of a kind
PORTS = {
    "awsathena": None, "cassandra": 9042, "crate": 4200, "db2": 50000, "fabric-warehouse": 0,
    "hive": 10000, "kafka": 9092, "milvus": 19530, "mssql": 1433, "mysql": 3306, "oceanbase": 2881,
    "oracle": 1521, "postgres": 5432, "redshift": 5439, "snowflake": None, "sqlserver": 1433,
    "teradata": 1025, "trino": 8080, "unitycatalog": 0,
}  # fmt: skip
"""Ports of databases where the address has none: 0 if there is no usual one, None if a name never
has one. Dots separate the parts of a table's name, as in openlineage-python's classes, which
require all parts."""

_AZURE = {"abfss": naming.ABFSS, "wasbs": naming.WASBS}
_BUCKETS: dict[str, Callable[[str, str], naming.DatasetNaming]] = {
    "dbfs": naming.DBFS, "gs": naming.GCS, "s3": naming.S3
}  # fmt: skip
# Schemes in which ? and # are part of a name; in others options of a connection follow.
_FILES = (*_AZURE, "adl", "az", "ftp", "ftps", "http", "https", "oss", "sftp")
_SCHEMES = {
    "abfs": "abfss", "gcs": "gs", "postgresql": "postgres", "s3a": "s3", "s3n": "s3",
    "wasb": "wasbs",
}  # fmt: skip

_AZURE_HOST = re.compile(r"([^.]+)(?:\.(?:blob|dfs)\.core\.windows\.net)?")
_COSMOS = re.compile(r"(?:dbs/)?([^/]+)/(?:colls/)?([^/]+)")
_PUBSUB = re.compile(r"(?:projects/)?([^/]+)/(?:(topic|subscription)s/)?([^/]+)")
# sqlserver://host;database=db/schema.table
_SQL_SERVER = re.compile(r"(?i)(sqlserver://[^/?#;]*);(?:[^/;]*;)*?database(?:name)?=([^/;]+)[^/]*")
_FOLDER = re.compile(r"(?<=/)([^/?#&=;]+)=([^/?#&;]*)")
_SIGNATURE = re.compile(r"(?i)(?:x-(?:amz|goog|oss)-)?sig(?:nature)?=")
_SIGNED = re.compile(  # The other parameters of a signature of AWS, Google, Alibaba or Azure
    r"(?i)(?:x-(?:amz|goog|oss)-[^=]*|(?:aws|oss)accesskeyid|googleaccessid|expires|key-pair-id"
    r"|policy|s(?:aoid|cid|dd|es|ip|k(?:oid|tid|[estv])|pr|rt|uoid|[eiprstv]))="
)
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
        parts = _public_parts(uri)
        if parts.scheme in ("bigquery", "dbfs", "pubsub") and not parts.netloc:
            # bigquery:project.dataset.table; an address dbfs:/a does not contain the workspace.
            return PhysicalName(parts.scheme, unquote(parts.path + _rest(parts)), is_table=False)
        named = _naming(parts)
        if named is None:
            return _of_host(parts)
        return PhysicalName(named.get_namespace(), named.get_name(), is_table=False)
    except ValueError:
        return None


def _public_parts(uri: str) -> SplitResult:
    """Split an address, without parameters that only grant access; other secrets are masked.

    No digest replaces a secret: it would tell a short one to anyone who tries all, with a key it
    would be another one in each deployment, and a renewed secret would rename the dataset.
    """
    uri = _SQL_SERVER.sub(r"\1/\2", without_user(uri.strip()))
    # Take secrets out of folders `token=x`, before they are taken for the rest of the path.
    uri = _FOLDER.sub(lambda m: f"{m[1]}\0" if redacted(m[1], m[2]) == MASK else m[0], uri)
    parts = urlsplit(uri)
    given = parts.query.split("&")
    kept = [each for each in given if redacted(*unquote(each).partition("=")[::2]) != MASK]
    if any(map(_SIGNATURE.match, given)):
        kept = [each for each in kept if not _SIGNED.match(each)]
    if kept != given:
        uri = parts._replace(query="&".join(kept)).geturl()
    parts = urlsplit(without_secrets(uri).replace("\0", f"={MASK}"))
    # A driver is no part of the place: postgresql+psycopg2.
    scheme = parts.scheme.partition("+")[0]
    return parts._replace(scheme=_SCHEMES.get(scheme, scheme))


def _rest(parts: SplitResult) -> str:
    return (parts.query and f"?{parts.query}") + (parts.fragment and f"#{parts.fragment}")


def _of_host(parts: SplitResult) -> PhysicalName | None:
    """Return the name of data on a host, without the user and the password of the address."""
    scheme, port, path = parts.scheme, parts.port, unquote(parts.path).strip("/")
    host = parts.netloc if scheme in _AZURE else parts.hostname
    if scheme in _FILES:
        path += _rest(parts)
    if not (scheme and host and path):
        return None
    if scheme == "bigquery":
        return PhysicalName(scheme, ".".join([host, *path.split("/")]), is_table=False)
    if scheme in PORTS:
        usual, path = PORTS[scheme], path.replace("/", ".")
        port = None if usual is None else port or usual
    if scheme == "redshift" and (cluster := _REDSHIFT_HOST.fullmatch(host)):
        host = f"{cluster[1]}.{cluster[2]}"
    namespace = f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}"
    return PhysicalName(namespace, path, is_table=False)


def _naming(parts: SplitResult) -> naming.DatasetNaming | None:
    scheme, host, path = parts.scheme, parts.hostname or "", unquote(parts.path + _rest(parts))
    key = path.strip("/") or "/"
    # Not in lower case, as `hostname` is, and without a user and a password.
    bucket = parts.netloc.rpartition("@")[2]
    named: naming.DatasetNaming | None = None
    if scheme in _BUCKETS:
        named = _BUCKETS[scheme](bucket, key)
    elif scheme == "file" and bucket.endswith(":"):  # file://C:/x
        named = naming.LocalFileSystem(f"/{bucket}{path}")
    elif scheme == "file":
        is_local = host in ("", "localhost")
        named = naming.LocalFileSystem(path) if is_local else naming.RemoteFileSystem(host, path)
    elif scheme == "hdfs":
        named = naming.HDFS(host, str(parts.port or HDFS_PORT), path)
    elif scheme in _AZURE and parts.username and (account := _AZURE_HOST.fullmatch(host)):
        # The classes know one cloud; the host of another one is kept.
        named = _AZURE[scheme](parts.username, account[1], key)
    elif scheme == "azurecosmos" and (item := _COSMOS.fullmatch(key)):
        named = naming.AzureCosmosDB(host, item[1], item[2])
    elif scheme == "pubsub" and (item := _PUBSUB.fullmatch(f"{bucket}/{key}")):
        kind = naming.PubSubResourceType(item[2] or "topic")
        named = naming.PubSubNaming(kind, item[1], item[3])
    return named
