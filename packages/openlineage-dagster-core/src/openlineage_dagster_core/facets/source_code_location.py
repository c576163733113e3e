"""The `sourceCodeLocation` job facet, from a Dagster code reference."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from openlineage.client.generated.source_code_location_job import SourceCodeLocationJobFacet

from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.redaction import public_uri
from openlineage_dagster_core.version import PRODUCER

GIT = "git"
FILE = "file"

_SHA = re.compile(r"[0-9a-fA-F]{40}")
_GITHUB = re.compile(r"(/[^/]+/[^/]+)/(?:tree|blob)/([^/]+)(?:/(.*))?")
_GITLAB = re.compile(r"(/[^/]+/.*?[^/])/-/(?:tree|blob)/([^/]+)(?:/(.*))?")


def source_code_location_facet(url: str) -> SourceCodeLocationJobFacet | None:
    """Build the facet (SourceCodeLocationJobFacet 1-1-0).

    Of a branch with a slash in its name the address does not tell where the path begins; the first
    part counts as the branch.

    Args:
        url: of a code reference: a page of GitHub or GitLab, another page, or file:///….

    Returns:
        The facet, without user and password; None where it is no such address.
    """
    uri = public_uri(url)
    if uri is None:
        return None
    parts = urlsplit(uri)
    if parts.scheme == FILE:
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            return None
        return SourceCodeLocationJobFacet(
            type=FILE, url=uri, path=_decoded(parts.path), producer=PRODUCER
        )
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
