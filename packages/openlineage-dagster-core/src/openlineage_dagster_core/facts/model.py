"""The facts: a small model of a Dagster run, its progress and its definitions.

Instances are not changed once they are made, except for `RunProgress`. Sequences are sorted.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dagster import AssetCheckEvaluation, AssetKey, TableSchema

from openlineage_dagster_core.facts.partitions import Partitions, UpstreamPartitions

AssetPartition = tuple[AssetKey, str | None]  # None for an asset without partitions

KIND_PREFIX = "dagster/kind/"  # Dagster keeps a kind as a tag without a value


@dataclass(frozen=True)
class KnownRun:
    """A run as OpenLineage knows it: namespace and name of its job, and its UUID."""

    namespace: str
    name: str
    run_id: str


@dataclass(frozen=True)
class OutsideParent:
    """The run outside Dagster that started a Dagster run; without a root, it is the root itself."""

    parent: KnownRun
    root: KnownRun | None = None


@dataclass(frozen=True)
class RunFacts:
    """A Dagster run, as it is stored; outside any run, the id and the job name are empty."""

    run_id: str
    job_name: str
    created_at: datetime  # All OpenLineage run ids derive from it
    tags: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)
    code_location: str | None = None  # None for a run launched in process, like `repository`
    repository: str | None = None
    parent_run_id: str | None = None  # The Dagster run that this one retries
    parent_created_at: datetime | None = None  # When that one was stored, where it still is
    root_run_id: str | None = None  # The first run of that chain
    parent: OutsideParent | None = None


@dataclass(frozen=True)
class PhysicalFacts:
    """Where metadata says that an asset's data is."""

    table_name: str | None = None
    uri: str | None = None
    storage_kind: str | None = None  # From metadata or tags
    materialization: str | None = None  # How dbt makes it, such as `table` or `view`
    path: str | None = None  # Where an I/O manager put it, as a URI; `uri` has precedence
    schema: str | None = None  # Of the table, if the metadata has it apart from the name

    @property
    def address(self) -> str | None:
        """The URI, else the path as one."""
        return self.uri or self.path


@dataclass(frozen=True)
class CheckFacts:
    """An asset check as its definition describes it."""

    reads: tuple[AssetKey, ...] = ()  # The other assets that it reads
    description: str | None = None
    kind: str | None = None  # The short name of a dbt test, such as `not_null`
    column: str | None = None  # The column that a dbt test is about
    source_code: str | None = None  # The address of its code


@dataclass(frozen=True)
class MaterializedFacts:
    """What a materialization says of its asset; the fields are like those of `AssetFacts`."""

    columns: TableSchema | None = None
    physical: PhysicalFacts = PhysicalFacts()
    sql: str | None = None
    children: Mapping[str, TableSchema] = field(default_factory=dict)


@dataclass(frozen=True)
class AssetFacts:
    """An asset as its definition describes it. Descriptions are Markdown everywhere."""

    key: AssetKey
    upstream: tuple[AssetKey, ...] = ()
    group: str | None = None
    description: str | None = None
    owners: tuple[str, ...] = ()  # Teams (`team:data`) and email addresses
    tags: Mapping[str, str] = field(default_factory=dict)  # Also the kinds, as `dagster/kind/…`
    columns: TableSchema | None = None
    partitions: Partitions | None = None  # None for an asset without partitions
    # Which partitions are read of each upstream asset that has partitions
    upstream_partitions: Mapping[AssetKey, UpstreamPartitions] = field(default_factory=dict)
    is_materializable: bool = True  # False for an asset that is only observed or depended on
    is_external: bool = False  # True if the code location names the asset, but does not make it
    is_stub: bool = False  # True if it names the asset as a dependency only, without a spec
    checks: Mapping[str, CheckFacts] = field(default_factory=dict)
    physical: PhysicalFacts = PhysicalFacts()
    code_version: str | None = None
    source_code: str | None = None  # The address of its code
    source_text: str | None = None  # The function that makes it, if the user wants it sent
    sql: str | None = None
    # The schemas of the tables that dlt makes of nested fields, by name
    children: Mapping[str, TableSchema] = field(default_factory=dict)
    # The metadata `openlineage/…` as plain JSON, by what follows the slash
    additions: Mapping[str, object] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds, sorted."""
        kinds = (tag[len(KIND_PREFIX) :] for tag in self.tags if tag.startswith(KIND_PREFIX))
        return tuple(sorted(kinds))


@dataclass(frozen=True)
class StepFacts:
    """A step as the definition of its op describes it."""

    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobFacts:
    """A Dagster job as its definition describes it."""

    description: str | None = None
    owners: tuple[str, ...] = ()  # Dagster 1.12 and later have them
    tags: Mapping[str, str] = field(default_factory=dict)  # Those of a run may be more
    partitions: Partitions | None = None
    source_code: str | None = None  # The address of its code
    is_like_asset: bool = False  # True if an asset of its code location has its name as the key
    # By step key without a mapping index; steps without a description and tags are left out
    steps: Mapping[str, StepFacts] = field(default_factory=dict)


@dataclass(frozen=True)
class Definitions:
    """The known definitions, and facts about a run's process; assets or jobs may be missing."""

    assets: Mapping[AssetKey, AssetFacts] = field(default_factory=dict)
    jobs: Mapping[str, JobFacts] = field(default_factory=dict)
    origin: str | None = None  # `repository@code location`; None for a run launched in process
    parent: OutsideParent | None = None  # From the environment of the process
    environment: Mapping[str, str] = field(default_factory=dict)  # What the user wants sent of it
    is_disabled: bool = False  # `OPENLINEAGE_DISABLED`: nothing of the run is delivered


@dataclass(frozen=True)
class ErrorFacts:
    """Why a step or a run failed: the first exception, and the stacks of it and all it caused."""

    message: str
    stack: str = ""


@dataclass(frozen=True)
class CheckRound:
    """A round of an asset's checks, in which each planned check is evaluated once or more."""

    began: float  # When the first evaluation was stored, in seconds since the epoch
    is_late: bool  # True if the run had evaluated the checks before this round
    missing: set[str]  # The planned checks that the round has not evaluated yet
    position: int = field(default=0, compare=False)  # That of the run when the round began


@dataclass
class RunProgress:
    """What the event log says of a run before the event that is converted, and nothing later."""

    # By step key and asset, the partitions that the step is to materialize
    planned: dict[str, dict[AssetKey, set[str | None]]] = field(default_factory=dict)
    # By asset, the steps that are to materialize it
    planned_keys: dict[AssetKey, set[str]] = field(default_factory=dict)
    # By asset and name, the step key of each check that is to run
    planned_checks: dict[AssetKey, dict[str, str | None]] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)  # Seconds since the epoch, by step
    # Steps that succeeded, failed or were skipped, and at which position
    ended: dict[str, int] = field(default_factory=dict)
    retries: Counter[str] = field(default_factory=Counter)  # By step
    # By asset, the partitions that were materialized or reported as failed, and at which position
    materialized: dict[AssetKey, dict[str | None, int]] = field(default_factory=dict)
    # By asset partition and check, the latest evaluation
    evaluations: dict[AssetPartition, dict[str, AssetCheckEvaluation]] = field(default_factory=dict)
    # By asset partition, the round of checks that has begun and not ended
    check_rounds: dict[AssetPartition, CheckRound] = field(default_factory=dict)
    errors: dict[str, ErrorFacts] = field(default_factory=dict)  # By step, the first to fail first
    position: int = 0  # Number of events that were followed so far
    has_started: bool = False
    has_ended: bool = False  # The run succeeded, failed or was cancelled

    def is_materialized(self, asset: AssetPartition) -> bool:
        """Return True if the asset partition was materialized or reported as failed."""
        return asset[1] in self.materialized.get(asset[0], ())

    def check_round(self, checked: AssetPartition, timestamp: float) -> CheckRound:
        """Return the round that an evaluation stored at this time belongs to, perhaps a new one."""
        if (begun := self.check_rounds.get(checked)) is not None:
            return begun
        missing = set(self.planned_checks.get(checked[0], ()))
        is_late = checked in self.evaluations
        return CheckRound(timestamp, is_late=is_late, missing=missing, position=self.position)


@dataclass(frozen=True)
class Facts:
    """All that conversion knows besides the event itself."""

    run: RunFacts
    progress: RunProgress
    assets: Mapping[AssetKey, AssetFacts] = field(default_factory=dict)  # An asset may be missing
    job: JobFacts | None = None
    environment: Mapping[str, str] = field(default_factory=dict)  # Like that of `Definitions`
    is_job_like_asset: bool = False  # True if an asset has the name of the run's job as its key
    # For assets without a definition, what an earlier materialization was made from
    earlier_upstream: Mapping[AssetKey, tuple[AssetKey, ...]] = field(default_factory=dict)
    # What the last materialization before the run says of each asset, as `materialized` packs it
    made_before: Mapping[AssetKey, bytes] = field(default_factory=dict)
    # The same of those in this run, including the event itself
    made: Mapping[AssetKey, bytes] = field(default_factory=dict)
    # The last partition when the run was stored, by the name of dynamic partitions, of those of
    # which an asset reads the last one only
    last_partitions: Mapping[str, str | None] = field(default_factory=dict)
