"""The `ownership` facet of datasets and jobs, from an asset's owners."""

from __future__ import annotations

from collections.abc import Iterable

from openlineage.client.generated import ownership_dataset, ownership_job

from openlineage_dagster_core.version import PRODUCER

TEAM_PREFIX = "team:"
"""How Dagster writes a team; every other owner is a person's email address."""


def dataset_ownership_facet(owners: Iterable[str]) -> ownership_dataset.OwnershipDatasetFacet:
    """Build a dataset's facet (OwnershipDatasetFacet 1-0-1).

    Args:
        owners: as Dagster has them, `team:data` or an email address.

    Returns:
        The facet, with the owners as `team:…` and `user:…`.
    """
    return ownership_dataset.OwnershipDatasetFacet(
        owners=[ownership_dataset.Owner(name=_urn(owner)) for owner in owners],
        producer=PRODUCER,
    )


def job_ownership_facet(owners: Iterable[str]) -> ownership_job.OwnershipJobFacet:
    """Build a job's facet (OwnershipJobFacet 1-0-1).

    Args:
        owners: as Dagster has them, `team:data` or an email address.

    Returns:
        The facet, with the owners as `team:…` and `user:…`.
    """
    return ownership_job.OwnershipJobFacet(
        owners=[ownership_job.Owner(name=_urn(owner)) for owner in owners], producer=PRODUCER
    )


def _urn(owner: str) -> str:
    return owner if owner.startswith(TEAM_PREFIX) else f"user:{owner}"
