"""The facets with what users say of datasets, jobs and runs: documentation, ownership, tags.

Secrets in tags are masked. A facet without content is None.
"""

from collections.abc import Iterator, Mapping, Sequence

from dagster import TableColumn, TableSchema
from openlineage.client.generated import ownership_dataset, ownership_job
from openlineage.client.generated.documentation_dataset import DocumentationDatasetFacet
from openlineage.client.generated.documentation_job import DocumentationJobFacet
from openlineage.client.generated.tags_dataset import TagsDatasetFacet, TagsDatasetFacetFields
from openlineage.client.generated.tags_job import TagsJobFacet, TagsJobFacetFields
from openlineage.client.generated.tags_run import TagsRunFacet, TagsRunFacetFields

from openlineage_dagster_core.facts.model import KIND_PREFIX, AssetFacts
from openlineage_dagster_core.names import limited, safe_name
from openlineage_dagster_core.redaction import redacted
from openlineage_dagster_core.version import PRODUCER

MARKDOWN = "text/markdown"  # Dagster renders every description as Markdown
TEAM_PREFIX = "team:"  # Dagster writes teams so; every other owner is an email address
SOURCE = "DAGSTER"
KIND = "dagster/kind"
GROUP = "dagster/group"
HIDDEN_PREFIX = ".dagster/"  # Run tags that Dagster keeps for itself


def dataset_documentation_facet(description: str | None) -> DocumentationDatasetFacet | None:
    """Build a dataset's facet (DocumentationDatasetFacet 1-1-0)."""
    if not description:
        return None
    return DocumentationDatasetFacet(limited(description), contentType=MARKDOWN, producer=PRODUCER)


def job_documentation_facet(description: str | None) -> DocumentationJobFacet | None:
    """Build a job's facet (DocumentationJobFacet 1-1-0)."""
    if not description:
        return None
    return DocumentationJobFacet(limited(description), contentType=MARKDOWN, producer=PRODUCER)


def dataset_ownership_facet(
    owners: Sequence[str],
) -> ownership_dataset.OwnershipDatasetFacet | None:
    """Build a dataset's facet (OwnershipDatasetFacet 1-0-1), with `team:…` and `user:…`."""
    found = [ownership_dataset.Owner(name=_urn(owner)) for owner in owners]
    return ownership_dataset.OwnershipDatasetFacet(found, producer=PRODUCER) if found else None


def job_ownership_facet(owners: Sequence[str]) -> ownership_job.OwnershipJobFacet | None:
    """Build a job's facet (OwnershipJobFacet 1-0-1), with `team:…` and `user:…`."""
    found = [ownership_job.Owner(name=_urn(owner)) for owner in owners]
    return ownership_job.OwnershipJobFacet(found, producer=PRODUCER) if found else None


def _urn(owner: str) -> str:
    return owner if owner.startswith(TEAM_PREFIX) else f"user:{owner}"


def dataset_tags_facet(
    asset: AssetFacts | None, columns: TableSchema | None = None
) -> TagsDatasetFacet | None:
    """Build a dataset's facet (TagsDatasetFacet 1-0-0): the asset's tags, then the columns'."""
    own = _asset_tags(asset) if asset is not None else ()
    tags = [TagsDatasetFacetFields(key, value, source=SOURCE) for key, value in own]
    tags += [
        TagsDatasetFacetFields(key, value, source=SOURCE, field=column)
        for column, key, value in _column_tags(columns)
    ]
    return TagsDatasetFacet(tags=tags, producer=PRODUCER) if tags else None


def job_tags_facet(asset: AssetFacts) -> TagsJobFacet | None:
    """Build the facet of the job that makes an asset (TagsJobFacet 1-0-0)."""
    tags = [TagsJobFacetFields(key, value, source=SOURCE) for key, value in _asset_tags(asset)]
    return TagsJobFacet(tags=tags, producer=PRODUCER) if tags else None


def definition_tags_facet(tags: Mapping[str, str]) -> TagsJobFacet | None:
    """Build the facet of a Dagster job or a step (TagsJobFacet 1-0-0)."""
    shown = [TagsJobFacetFields(key, value, source=SOURCE) for key, value in _shown(tags)]
    return TagsJobFacet(tags=shown, producer=PRODUCER) if shown else None


def run_tags_facet(tags: Mapping[str, str]) -> TagsRunFacet | None:
    """Build a run's facet (TagsRunFacet 1-0-0), sorted, without the tags that Dagster hides."""
    shown = [TagsRunFacetFields(key, value, source=SOURCE) for key, value in _shown(tags)]
    return TagsRunFacet(tags=shown, producer=PRODUCER) if shown else None


def _shown(tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return (_masked(key, tags[key]) for key in sorted(tags) if not key.startswith(HIDDEN_PREFIX))


def _masked(key: str, value: str) -> tuple[str, str]:
    return limited(key), limited(redacted(key, limited(value)))


def _asset_tags(asset: AssetFacts) -> Iterator[tuple[str, str]]:
    for key, value in sorted(asset.tags.items()):
        if key.startswith(KIND_PREFIX):
            yield KIND, limited(key[len(KIND_PREFIX) :])
        else:
            yield _masked(key, value)
    if asset.group:
        yield GROUP, limited(asset.group)


def _column_tags(columns: TableSchema | None) -> Iterator[tuple[str, str, str]]:
    by_name: dict[str, TableColumn] = {}
    for column in columns.columns if columns else ():
        # The `schema` facet also keeps the first of columns with the same name.
        by_name.setdefault(safe_name(column.name), column)
    for name, column in by_name.items():
        for key, value in sorted(column.tags.items()):
            yield name, *_masked(key, value)
