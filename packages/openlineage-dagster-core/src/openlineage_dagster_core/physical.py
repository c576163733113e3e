"""Names datasets after where their data is: the table or URI that a definition's metadata gives.

Dagster's metadata has a table's name, never the host that it is on: the namespace comes from the
user's map. A URI has all of it (OpenLineage naming specification).
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from urllib.parse import SplitResult, unquote, urlsplit

from openlineage.client.naming.dataset import (
    ABFSS,
    DBFS,
    GCS,
    HDFS,
    S3,
    DatasetNaming,
    LocalFileSystem,
)

from openlineage_dagster_core.facts.model import AssetFacts
from openlineage_dagster_core.redaction import without_secrets, without_user

HDFS_PORT = 8020
AZURE_SUFFIX = ".dfs.core.windows.net"

KIND_PATTERN = "kind:"
"""Begins a key of the map that stands for all assets of a kind, not for asset keys."""


def physical_name(
    asset: AssetFacts, asset_path: str, namespaces: Mapping[str, str]
) -> tuple[str, str] | None:
    """Find out where an asset's data is.

    Args:
        asset: its definition.
        asset_path: its key as a text, for the map's patterns.
        namespaces: by `kind:KIND` or a pattern for asset keys, in which namespace its table is;
            the first that fits counts.

    Returns:
        The dataset's namespace and name; None where the definition names no table or URI, or the
        map no namespace for the table.
    """
    physical = asset.physical
    if physical.table_name is not None:
        namespace = _mapped(asset, asset_path, namespaces)
        if namespace is not None:
            return namespace, physical.table_name
    return _of_uri(physical.address) if physical.address is not None else None


def _mapped(asset: AssetFacts, asset_path: str, namespaces: Mapping[str, str]) -> str | None:
    kinds = {asset.physical.storage_kind, *asset.kinds}
    for pattern, namespace in namespaces.items():
        if pattern.startswith(KIND_PATTERN):
            fits = pattern[len(KIND_PATTERN) :] in kinds
        else:
            fits = fnmatchcase(asset_path, pattern)
        if fits:
            return namespace
    return None


def _of_uri(uri: str) -> tuple[str, str] | None:
    try:
        # A dataset's name is shown everywhere.
        parts = urlsplit(without_secrets(without_user(uri.strip())))
        naming = _naming(parts)
        if naming is not None:
            return naming.get_namespace(), naming.get_name()
        # Not the user and the password that an address may have.
        host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        return None
    path = unquote(parts.path).strip("/")
    return (f"{parts.scheme}://{host}", path) if parts.scheme and host and path else None


def _naming(parts: SplitResult) -> DatasetNaming | None:
    host, path = parts.hostname or "", unquote(parts.path)
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
        naming = HDFS(host, str(parts.port or HDFS_PORT), path)
    elif parts.scheme == "dbfs" and bucket:
        naming = DBFS(bucket, key)
    elif parts.scheme in ("abfs", "abfss") and parts.username:
        naming = ABFSS(parts.username, host.removesuffix(AZURE_SUFFIX), key)
    return naming
