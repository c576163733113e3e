"""The facts: a small frozen model of a Dagster run, its progress and its assets."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

from dagster import AssetCheckEvaluation, AssetKey, TableSchema

from openlineage_dagster_core.facts.partitions import TimePartitions

AssetPartition = tuple[AssetKey, str | None]
"""One asset in one partition; None for an asset without partitions."""


@dataclass(frozen=True)
class RunFacts:
    """A Dagster run, as the run storage holds it.

    Args:
        run_id: the Dagster run id; empty for what was reported from outside any run.
        job_name: the Dagster job; empty likewise.
        created_at: when the run was stored; all run ids derive from it.
        tags: the run's tags.
        code_location: where the job is defined, None for a run launched in process.
        repository: the repository in that location, None likewise.
        parent_run_id: the run that this one retries.
        root_run_id: the first run of that chain.
    """

    run_id: str
    job_name: str
    created_at: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    code_location: str | None = None
    repository: str | None = None
    parent_run_id: str | None = None
    root_run_id: str | None = None


@dataclass(frozen=True)
class AssetFacts:
    """An asset as its definition describes it.

    Args:
        key: the asset's key.
        upstream: the keys of the assets it depends on, sorted.
        group: the group's name.
        description: the description, in Markdown.
        owners: teams (`team:data`) and email addresses.
        tags: the asset's tags; kinds are among them, as `dagster/kind/…`.
        columns: the schema that the definition's metadata gives.
        is_partitioned: whether it has partitions.
        time_partitions: what time a partition stands for, where it does for any.
        is_materializable: whether runs make it; others are only observed or only depended on.
    """

    key: AssetKey
    upstream: tuple[AssetKey, ...] = ()
    group: str | None = None
    description: str | None = None
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    columns: TableSchema | None = None
    is_partitioned: bool = False
    time_partitions: TimePartitions | None = None
    is_materializable: bool = True


@dataclass(frozen=True)
class ErrorFacts:
    """Why a step or a run failed.

    Args:
        message: the exception that began it, in one line or a few.
        stack: the whole story: the stack and that of every cause; empty where there was none.
    """

    message: str
    stack: str = ""


@dataclass(frozen=True)
class RunProgress:
    """What the event log says of a run, up to the event at hand and without it.

    It depends on nothing that came later, so converting an event again gives the same.

    Args:
        planned: by step key, what the step is to materialize.
        planned_checks: by asset, the names of the checks that are to run.
        started: when each step that has started did, in seconds since the epoch.
        ended: the steps that have ended, whichever way.
        materialized: what has been materialized.
        evaluations: by asset and check name, the latest evaluation.
        errors: by step key, why the step failed; the first to fail comes first.
        has_started: whether the run has.
        has_ended: whether the run has, whichever way.
    """

    planned: Mapping[str, AbstractSet[AssetPartition]]
    planned_checks: Mapping[AssetKey, AbstractSet[str]]
    started: Mapping[str, float]
    ended: AbstractSet[str]
    materialized: AbstractSet[AssetPartition]
    evaluations: Mapping[AssetKey, Mapping[str, AssetCheckEvaluation]]
    errors: Mapping[str, ErrorFacts]
    has_started: bool
    has_ended: bool


@dataclass(frozen=True)
class Facts:
    """All that conversion knows beside the event itself.

    Args:
        run: the Dagster run.
        progress: what has happened in it.
        assets: the definitions that are at hand; an asset may be missing.
    """

    run: RunFacts
    progress: RunProgress
    assets: Mapping[AssetKey, AssetFacts]
