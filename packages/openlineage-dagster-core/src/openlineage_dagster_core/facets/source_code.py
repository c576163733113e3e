"""The job facets about the code that makes an asset: `sourceCode`, `sourceCodeLocation`, `sql`."""

import re
from urllib.parse import unquote, urlsplit

from openlineage.client.generated.source_code_job import SourceCodeJobFacet
from openlineage.client.generated.source_code_location_job import SourceCodeLocationJobFacet
from openlineage.client.generated.sql_job import SQLJobFacet

from openlineage_dagster_core.names import limited
from openlineage_dagster_core.redaction import public_uri, without_secrets
from openlineage_dagster_core.version import PRODUCER

GIT = "git"
FILE = "file"
_SHA = re.compile(r"[0-9a-fA-F]{40}")
_GITHUB = re.compile(r"(/[^/]+/[^/]+)/(?:tree|blob)/([^/]+)(?:/(.*))?")
_GITLAB = re.compile(r"(/[^/]+/.*?[^/])/-/(?:tree|blob)/([^/]+)(?:/(.*))?")


def source_code_facet(text: str | None) -> SourceCodeJobFacet | None:
    """Build the facet (SourceCodeJobFacet 1-0-1) of a function, already cut and without secrets."""
    if not text:
        return None
    return SourceCodeJobFacet(language="python", sourceCode=text, producer=PRODUCER)


def sql_facet(query: str | None, dialect: str | None) -> SQLJobFacet | None:
    """Build the facet (SQLJobFacet 1-1-0), with secrets masked."""
    if not query:
        return None
    return SQLJobFacet(
        query=limited(without_secrets(limited(query))),
        dialect=limited(dialect) if dialect else None,
        producer=PRODUCER,
    )


def source_code_location_facet(url: str | None) -> SourceCodeLocationJobFacet | None:
    """Build the facet (SourceCodeLocationJobFacet 1-1-0), without user and password.

    The URL of a code reference is a page of GitHub or GitLab, another page, or file:///…; anything
    else gives None. A branch name with a slash cannot be told from the path that follows, so the
    first part counts as the branch.
    """
    uri = public_uri(url) if url else None
    if uri is None:
        return None
    parts = urlsplit(uri)
    if parts.scheme == FILE:
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            return None
        path = _decoded(parts.path)
        return SourceCodeLocationJobFacet(type=FILE, url=uri, path=path, producer=PRODUCER)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    page = _GITLAB.fullmatch(parts.path)
    if page is None and "github" in parts.hostname.split("."):
        page = _GITHUB.fullmatch(parts.path)
    if page is None:
        return SourceCodeLocationJobFacet(type=GIT, url=uri, producer=PRODUCER)
    repository, reference, path = page.groups()
    is_commit = _SHA.fullmatch(reference) is not None
    return SourceCodeLocationJobFacet(
        type=GIT,
        url=uri,
        repoUrl=f"{parts.scheme}://{parts.netloc}{repository}",
        path=_decoded(path) if path else None,
        version=reference if is_commit else None,
        branch=None if is_commit else _decoded(reference),
        producer=PRODUCER,
    )


def _decoded(text: str) -> str:
    return limited(unquote(text))
