"""The facets that describe an asset, a job or a step: from its definition, made once for each.

They are shared: copy the mappings, and change no facet.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from dagster import TableSchema
from openlineage.client.generated.base import BaseFacet, DatasetFacet, JobFacet

from openlineage_dagster_core.caches import PerObject, PerValue
from openlineage_dagster_core.facets import description, source_code, storage
from openlineage_dagster_core.facets.schema import schema_facet
from openlineage_dagster_core.facts.model import AssetFacts, CheckFacts, JobFacts, StepFacts
from openlineage_dagster_core.serialisation import shared

COLUMNS_KEPT = 20_000  # Columns of cached schemas, of about 500 bytes each
_Facet = TypeVar("_Facet", bound=BaseFacet)


def _only_known(**facets: _Facet | None) -> dict[str, _Facet]:
    return {name: shared(facet) for name, facet in facets.items() if facet is not None}


@PerObject
def dataset_facets(asset: AssetFacts) -> dict[str, DatasetFacet]:
    """Return an asset's dataset facets by name."""
    dataset_type, table_name = storage.dataset_type_facet(asset), asset.physical.table_name
    hierarchy = None
    if table_name and dataset_type is not None:
        hierarchy = storage.hierarchy_facet(table_name, dataset_type.datasetType)
    return _only_known(
        documentation=description.dataset_documentation_facet(asset.description),
        ownership=description.dataset_ownership_facet(asset.owners),
        tags=description.dataset_tags_facet(asset, asset.columns),
        schema=table_schema_facet(asset.columns) if asset.columns else None,
        datasetType=dataset_type,
        hierarchy=hierarchy,
        storage=storage.storage_facet(asset),
    )


@PerObject
def asset_job_facets(asset: AssetFacts) -> dict[str, JobFacet]:
    """Return the facets of the job that makes an asset, by name."""
    return _only_known(
        documentation=description.job_documentation_facet(asset.description),
        ownership=description.job_ownership_facet(asset.owners),
        tags=description.job_tags_facet(asset),
        sourceCode=source_code.source_code_facet(asset.source_text),
        sourceCodeLocation=source_code.source_code_location_facet(asset.source_code),
        sql=source_code.sql_facet(asset.sql, asset.physical.storage_kind),
    )


@PerObject
def job_facets(job: JobFacts) -> dict[str, JobFacet]:
    """Return the facets of a Dagster job by name."""
    return _only_known(
        documentation=description.job_documentation_facet(job.description),
        ownership=description.job_ownership_facet(job.owners),
        tags=description.definition_tags_facet(job.tags),
        sourceCodeLocation=source_code.source_code_location_facet(job.source_code),
    )


@PerObject
def step_facets(step: StepFacts) -> dict[str, JobFacet]:
    """Return the job facets of a step by name."""
    return _only_known(
        documentation=description.job_documentation_facet(step.description),
        tags=description.definition_tags_facet(step.tags),
    )


def check_facets(checks: Mapping[str, CheckFacts]) -> dict[str, JobFacet]:
    """Return the facets of the job of an asset's checks: all descriptions, and the first code."""
    texts = ((name, check.description) for name, check in checks.items())
    said = (f"**{name}**: {text}" for name, text in texts if text)
    code = next((check.source_code for check in checks.values() if check.source_code), None)
    return _only_known(
        documentation=description.job_documentation_facet("\n\n".join(said)),
        sourceCodeLocation=source_code.source_code_location_facet(code),
    )


def table_schema_facet(schema: TableSchema) -> DatasetFacet:
    """Return the `schema` facet, the same object for equal schemas."""
    # Each materialization has a schema of its own.
    value = tuple((column.name, column.type, column.description) for column in schema.columns)
    return _schema_facet(value, schema)


_schema_facet = PerValue[tuple[Any, ...], DatasetFacet](
    lambda _, schema: shared(schema_facet(schema)), lambda value: 1 + len(value), COLUMNS_KEPT
)
