"""The facts: a small frozen model of a Dagster run, its progress and its definitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dagster import AssetCheckEvaluation, AssetKey, TableSchema

from openlineage_dagster_core.facts.partitions import Partitions, UpstreamPartitions

AssetPartition = tuple[AssetKey, str | None]
"""One asset in one partition; None for an asset without partitions."""


@dataclass(frozen=True)
class KnownRun:
    """A run as OpenLineage knows it, such as one of another system.

    Args:
        namespace: of its job.
        name: of its job.
        run_id: a UUID.
    """

    namespace: str
    name: str
    run_id: str


@dataclass(frozen=True)
class OutsideParent:
    """What started a Dagster run from outside Dagster.

    Args:
        parent: the run that did.
        root: where that one began, None where it is the root itself.
    """

    parent: KnownRun
    root: KnownRun | None = None


@dataclass(frozen=True)
class RunFacts:
    """A Dagster run, as the run storage holds it.

    Args:
        run_id: the Dagster run id; empty for what was reported from outside any run.
        job_name: the Dagster job; empty likewise.
        created_at: when the run was stored; all run ids derive from it.
        tags: the run's tags.
        config: the run's configuration.
        code_location: where the job is defined, None for a run launched in process.
        repository: the repository in that location, None likewise.
        parent_run_id: the run that this one retries.
        root_run_id: the first run of that chain.
        parent: what started it from outside Dagster.
    """

    run_id: str
    job_name: str
    created_at: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)
    code_location: str | None = None
    repository: str | None = None
    parent_run_id: str | None = None
    root_run_id: str | None = None
    parent: OutsideParent | None = None


@dataclass(frozen=True)
class PhysicalFacts:
    """Where an asset's data is kept, as metadata says it.

    Args:
        table_name: `dagster/table_name`, or `dagster/relation_identifier` as it was called.
        uri: `dagster/uri`.
        storage_kind: `dagster/storage_kind`, in metadata or tags.
        materialization: how dbt makes it: `table`, `view` and so on.
        path: where an I/O manager put it, as a URI; it counts where there is no `uri`.
        schema: the schema that contains the table, if the metadata has it apart from the name.
    """

    table_name: str | None = None
    uri: str | None = None
    storage_kind: str | None = None
    materialization: str | None = None
    path: str | None = None
    schema: str | None = None

    @property
    def address(self) -> str | None:
        """The URI, else the path as one."""
        return self.uri or self.path


@dataclass(frozen=True)
class CheckFacts:
    """An asset check as its definition describes it.

    Args:
        reads: the keys of the other assets that it reads, sorted.
        description: in Markdown.
        kind: the short name of a dbt test, such as `not_null`.
        column: the column that a dbt test is about.
        source_code: the address of its code, from `dagster/code_references`.
    """

    reads: tuple[AssetKey, ...] = ()
    description: str | None = None
    kind: str | None = None
    column: str | None = None
    source_code: str | None = None


@dataclass(frozen=True)
class MaterializedFacts:
    """What a materialization says of its asset.

    Args:
        columns: the schema of what was made.
        physical: where it is.
        sql: the query that made it.
        children: by name, the schemas of the tables that dlt makes of its nested fields.
    """

    columns: TableSchema | None = None
    physical: PhysicalFacts = PhysicalFacts()
    sql: str | None = None
    children: Mapping[str, TableSchema] = field(default_factory=dict)


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
        partitions: the partitions, None for an asset without.
        upstream_partitions: by upstream asset, which of its partitions are read; only for upstream
            assets that have partitions.
        is_materializable: whether runs make it; others are only observed or only depended on.
        is_external: whether this code location only names the asset and does not make it.
        checks: by name, the asset's checks.
        physical: where the data is kept.
        code_version: the version of the code that makes it.
        source_code: the address of that code, from `dagster/code_references`.
        source_text: the function that makes it, without secrets; only where the option asks for it.
        sql: the query that makes it.
        children: by name, the schemas of the tables that dlt makes of its nested fields.
        additions: the metadata `openlineage/…`, by what follows the slash: plain JSON.
    """

    key: AssetKey
    upstream: tuple[AssetKey, ...] = ()
    group: str | None = None
    description: str | None = None
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    columns: TableSchema | None = None
    partitions: Partitions | None = None
    upstream_partitions: Mapping[AssetKey, UpstreamPartitions] = field(default_factory=dict)
    is_materializable: bool = True
    is_external: bool = False
    checks: Mapping[str, CheckFacts] = field(default_factory=dict)
    physical: PhysicalFacts = PhysicalFacts()
    code_version: str | None = None
    source_code: str | None = None
    source_text: str | None = None
    sql: str | None = None
    children: Mapping[str, TableSchema] = field(default_factory=dict)
    additions: Mapping[str, object] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds, sorted; Dagster keeps them as tags."""
        return tuple(
            sorted(tag[len(KIND_PREFIX) :] for tag in self.tags if tag.startswith(KIND_PREFIX))
        )


KIND_PREFIX = "dagster/kind/"
"""Dagster keeps a kind as a tag without a value."""


@dataclass(frozen=True)
class StepFacts:
    """A step as the definition of its op describes it.

    Args:
        description: the op's, in Markdown.
        tags: the op's.
    """

    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobFacts:
    """A Dagster job as its definition describes it.

    Args:
        description: in Markdown.
        owners: teams and email addresses; Dagster 1.12 and later have them.
        tags: the definition's; a run's own tags may be more.
        partitions: of a partitioned job.
        source_code: the address of its code, from `dagster/code_references`.
        steps: by step key, without the index of a mapped step; those with nothing to say are left
            out.
    """

    description: str | None = None
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    partitions: Partitions | None = None
    source_code: str | None = None
    steps: Mapping[str, StepFacts] = field(default_factory=dict)


@dataclass(frozen=True)
class Definitions:
    """What is at hand of definitions, and of the process that executes a run.

    Args:
        assets: by key; an asset may be missing.
        jobs: by name; a job may be missing.
        parent: what started the executing process, as its environment says.
        environment: the variables of that process that the user wants to see.
        is_disabled: whether that process has `OPENLINEAGE_DISABLED`: nothing of its run is
            delivered.
    """

    assets: Mapping[AssetKey, AssetFacts] = field(default_factory=dict)
    jobs: Mapping[str, JobFacts] = field(default_factory=dict)
    parent: OutsideParent | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    is_disabled: bool = False


@dataclass(frozen=True)
class ErrorFacts:
    """Why a step or a run failed.

    Args:
        message: the exception that began it, in one line or a few.
        stack: the whole story: the stack and that of every cause; empty where there was none.
    """

    message: str
    stack: str = ""


class AssetPartitions(AbstractSet[AssetPartition]):
    """A read-only set of asset partitions; `of` gives those of one asset.

    Hashing an asset key is slow. A question about many partitions of one asset hashes it once.

    Args:
        by_asset: the partitions by asset key.
    """

    def __init__(self, by_asset: Mapping[AssetKey, AbstractSet[str | None]]) -> None:
        self._by_asset = by_asset

    def of(self, key: AssetKey) -> AbstractSet[str | None]:
        """Return the partitions of one asset.

        Args:
            key: the asset's key.

        Returns:
            The partition keys; empty where the set has none of the asset.
        """
        return self._by_asset.get(key, frozenset())

    def __contains__(self, item: object) -> bool:
        return isinstance(item, tuple) and len(item) == 2 and item[1] in self.of(item[0])

    def __iter__(self) -> Iterator[AssetPartition]:
        for key, partitions in self._by_asset.items():
            for partition in partitions:
                yield key, partition

    def __len__(self) -> int:
        return sum(len(partitions) for partitions in self._by_asset.values())

    @classmethod
    def _from_iterable(cls, items: Iterable[Any]) -> AbstractSet[Any]:
        # The operators of the base class make their results with this.
        return frozenset(items)


@dataclass(frozen=True)
class CheckRound:
    """A round of an asset's checks, in which each planned check is evaluated once or more.

    Args:
        began: when the round's first evaluation was stored, in seconds since the epoch.
        is_late: True if the checks were evaluated before this round in the same run.
        missing: the names of the planned checks that the round has not evaluated yet.
    """

    began: float
    is_late: bool
    missing: AbstractSet[str]


@dataclass(frozen=True)
class RunProgress:
    """What the event log says of a run before the event that is converted.

    It depends on nothing that came later, so converting an event again gives the same.

    Args:
        planned: by step key and asset, the partitions that the step is to materialize.
        planned_keys: the assets that any step is to materialize.
        planned_checks: by asset and name, the checks that are to run, with their step keys.
        started: when each started step did so, in seconds since the epoch.
        ended: the steps that have succeeded, failed or been skipped.
        retries: how often each step has been up for a retry.
        materialized: the asset partitions that were materialized or reported as failed.
        evaluations: by asset partition and check name, the latest evaluation.
        check_rounds: by asset partition, the round of checks that has begun and not ended.
        errors: by step key, why the step failed; the first step to fail comes first.
        has_started: True after RUN_START.
        has_ended: True after the run succeeded, failed or was cancelled.
    """

    planned: Mapping[str, Mapping[AssetKey, AbstractSet[str | None]]]
    planned_keys: AbstractSet[AssetKey]
    planned_checks: Mapping[AssetKey, Mapping[str, str | None]]
    started: Mapping[str, float]
    ended: AbstractSet[str]
    retries: Mapping[str, int]
    materialized: AssetPartitions
    evaluations: Mapping[AssetPartition, Mapping[str, AssetCheckEvaluation]]
    check_rounds: Mapping[AssetPartition, CheckRound]
    errors: Mapping[str, ErrorFacts]
    has_started: bool
    has_ended: bool

    def check_round(self, checked: AssetPartition, timestamp: float) -> CheckRound:
        """Return the round that an evaluation stored now belongs to.

        Args:
            checked: the asset partition that is checked.
            timestamp: of the evaluation, in seconds since the epoch.

        Returns:
            The round that has begun; otherwise a new one.
        """
        begun = self.check_rounds.get(checked)
        if begun is not None:
            return begun
        missing = self.planned_checks.get(checked[0], {}).keys()
        return CheckRound(timestamp, is_late=checked in self.evaluations, missing=missing)


@dataclass(frozen=True)
class Facts:
    """All that conversion knows beside the event itself.

    Args:
        run: the Dagster run.
        progress: what has happened in it.
        assets: the definitions that are at hand; an asset may be missing.
        job: the definition of the run's job, where it is at hand.
        environment: the variables of the executing process that the user wants to see.
        is_job_like_asset: whether an asset has the name of the run's job as its key.
        earlier_upstream: for assets without a definition, what they were made from before.
        made_before: by asset, what its last materialization before the run started says of it, in
            the form of `facts.materialized`; an asset that was never made is left out.
        made: the same of those in this run, the event's own included.
        last_partitions: by the name of dynamic partitions that an asset reads the last of, the last
            one when the run was stored.
    """

    run: RunFacts
    progress: RunProgress
    assets: Mapping[AssetKey, AssetFacts] = field(default_factory=dict)
    job: JobFacts | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    is_job_like_asset: bool = False
    earlier_upstream: Mapping[AssetKey, tuple[AssetKey, ...]] = field(default_factory=dict)
    made_before: Mapping[AssetKey, str] = field(default_factory=dict)
    made: Mapping[AssetKey, str] = field(default_factory=dict)
    last_partitions: Mapping[str, str] = field(default_factory=dict)
