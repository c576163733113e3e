"""The facets that describe an asset, a job or a step: from its definition, made once for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dagster import TableSchema
from openlineage.client.generated.base import BaseFacet, DatasetFacet, JobFacet
from openlineage.client.generated.schema_dataset import SchemaDatasetFacet

from openlineage_dagster_core.caches import PerObject, PerValue
from openlineage_dagster_core.facets.documentation import (
    dataset_documentation_facet,
    job_documentation_facet,
)
from openlineage_dagster_core.facets.hierarchy import hierarchy_facet
from openlineage_dagster_core.facets.ownership import dataset_ownership_facet, job_ownership_facet
from openlineage_dagster_core.facets.schema import schema_facet
from openlineage_dagster_core.facets.source_code import source_code_facet
from openlineage_dagster_core.facets.source_code_location import source_code_location_facet
from openlineage_dagster_core.facets.sql import sql_facet
from openlineage_dagster_core.facets.storage import dataset_type_facet, storage_facet
from openlineage_dagster_core.facets.tags import (
    dataset_tags_facet,
    definition_tags_facet,
    job_tags_facet,
)
from openlineage_dagster_core.facts.model import AssetFacts, CheckFacts, JobFacts, StepFacts
from openlineage_dagster_core.serialisation import shared

COLUMNS_KEPT = 20_000
"""Columns of schemas that are kept with their facets: each takes about 500 bytes."""

_Facet = TypeVar("_Facet", bound=BaseFacet)


def _only_known(facets: Mapping[str, _Facet | None]) -> dict[str, _Facet]:
    return {name: shared(facet) for name, facet in facets.items() if facet is not None}


def _dataset_facets(asset: AssetFacts) -> dict[str, DatasetFacet]:
    physical = asset.physical
    dataset_type = dataset_type_facet(
        kinds=asset.kinds,
        table_name=physical.table_name,
        uri=physical.address,
        materialization=physical.materialization,
    )
    return _only_known(
        {
            "documentation": (
                dataset_documentation_facet(asset.description) if asset.description else None
            ),
            "ownership": dataset_ownership_facet(asset.owners) if asset.owners else None,
            "tags": dataset_tags_facet(asset, asset.columns),
            "schema": table_schema_facet(asset.columns) if asset.columns else None,
            "datasetType": dataset_type,
            "hierarchy": (
                hierarchy_facet(physical.table_name, dataset_type.datasetType)
                if physical.table_name and dataset_type is not None
                else None
            ),
            "storage": storage_facet(
                kinds=asset.kinds, storage_kind=physical.storage_kind, uri=physical.address
            ),
        }
    )


def _asset_job_facets(asset: AssetFacts) -> dict[str, JobFacet]:
    dialect = asset.physical.storage_kind
    return _only_known(
        {
            "documentation": (
                job_documentation_facet(asset.description) if asset.description else None
            ),
            "ownership": job_ownership_facet(asset.owners) if asset.owners else None,
            "tags": job_tags_facet(asset),
            "sourceCode": source_code_facet(asset.source_text) if asset.source_text else None,
            "sourceCodeLocation": (
                source_code_location_facet(asset.source_code) if asset.source_code else None
            ),
            "sql": sql_facet(asset.sql, dialect) if asset.sql else None,
        }
    )


def _job_facets(job: JobFacts) -> dict[str, JobFacet]:
    return _only_known(
        {
            "documentation": (
                job_documentation_facet(job.description) if job.description else None
            ),
            "ownership": job_ownership_facet(job.owners) if job.owners else None,
            "tags": definition_tags_facet(job.tags),
            "sourceCodeLocation": (
                source_code_location_facet(job.source_code) if job.source_code else None
            ),
        }
    )


def _step_facets(step: StepFacts) -> dict[str, JobFacet]:
    return _only_known(
        {
            "documentation": (
                job_documentation_facet(step.description) if step.description else None
            ),
            "tags": definition_tags_facet(step.tags),
        }
    )


def check_facets(checks: Mapping[str, CheckFacts]) -> dict[str, JobFacet]:
    """Build the job facets of the job that stands for an asset's checks.

    Args:
        checks: by name.

    Returns:
        The facets by name: all descriptions, and the first address of code that is known.
    """
    said = [
        f"**{name}**: {check.description}" for name, check in checks.items() if check.description
    ]
    code = next((check.source_code for check in checks.values() if check.source_code), None)
    return _only_known(
        {
            "documentation": job_documentation_facet("\n\n".join(said)) if said else None,
            "sourceCodeLocation": source_code_location_facet(code) if code else None,
        }
    )


dataset_facets = PerObject(_dataset_facets)
"""An asset's dataset facets, by name; to be copied, not changed."""

asset_job_facets = PerObject(_asset_job_facets)
"""The job facets of the job that stands for an asset."""

job_facets = PerObject(_job_facets)
"""The job facets of a Dagster job."""

step_facets = PerObject(_step_facets)
"""The job facets of a step."""


@dataclass(frozen=True)
class _Columns:
    """A schema that can be looked up by its value: each materialization has one of its own."""

    value: tuple[Any, ...]
    schema: TableSchema = field(compare=False)


def table_schema_facet(schema: TableSchema) -> SchemaDatasetFacet:
    """Give the `schema` facet of a schema, the same one for equal schemas.

    Args:
        schema: of a definition or a materialization.

    Returns:
        The facet; not to be changed.
    """
    value = tuple((column.name, column.type, column.description) for column in schema.columns)
    return _schema_facet(_Columns(value, schema))


def _made_schema_facet(columns: _Columns) -> SchemaDatasetFacet:
    return shared(schema_facet(columns.schema))


def _count_columns(columns: _Columns) -> int:
    return 1 + len(columns.value)


_schema_facet = PerValue(_made_schema_facet, _count_columns, COLUMNS_KEPT)
