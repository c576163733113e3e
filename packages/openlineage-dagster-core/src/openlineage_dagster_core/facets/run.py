"""The facets of runs, and the `jobType` of their jobs; those of many events are shared."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import NamedTuple

import attr
from dagster import __version__ as dagster_version
from openlineage.client.generated import environment_variables_run as environment_variables
from openlineage.client.generated import execution_parameters_run as execution_parameters
from openlineage.client.generated import job_dependencies_run as job_dependencies
from openlineage.client.generated.base import RunFacet
from openlineage.client.generated.error_message_run import ErrorMessageRunFacet
from openlineage.client.generated.job_type_job import JobTypeJobFacet
from openlineage.client.generated.parent_run import Job, ParentRunFacet, Root, RootJob, RootRun, Run
from openlineage.client.generated.processing_engine_run import ProcessingEngineRunFacet
from openlineage.client.utils import RedactMixin

from openlineage_dagster_core.facts.model import ErrorFacts, KnownRun
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.names import limited, safe_job_namespace, safe_name
from openlineage_dagster_core.redaction import MASK, redacted, secrets_within, without_secrets
from openlineage_dagster_core.serialisation import shared
from openlineage_dagster_core.version import PRODUCER, SCHEMAS_URL, __version__

DAGSTER_RUN_SCHEMA = f"{SCHEMAS_URL}/1-0-0/DagsterRunFacet.json#/$defs/DagsterRunFacet"
INTEGRATION = "DAGSTER"  # Backends choose the service by it (OpenMetadata: `dagster_openlineage`)
DEEPEST = 64  # Levels of a run's config; deeper ones are left out
NAME_BYTES = 4096  # Of a name or key in `dagster_run`, which the size limit of events never drops

# Run tags that name what launched a run; the first that exists counts
LAUNCH_TAGS = (
    ("dagster/backfill", "BACKFILL"),
    ("dagster/schedule_name", "SCHEDULE"),
    ("dagster/sensor_name", "SENSOR"),
    ("user", "USER"),
)

# Run tags that tell an automation's sensor from one of the user's own
AUTOMATION_TAGS = ("dagster/from_automation_condition", "dagster/auto_materialize")


@attr.define
class Launch(RedactMixin):
    """What launched a Dagster run: a named schedule, sensor, automation, backfill or user."""

    type: str  # SCHEDULE, SENSOR, AUTOMATION, BACKFILL or USER
    name: str


@attr.define
class DagsterRunFacet(RunFacet):
    """`dagster_run`: the Dagster run behind any run (docs/schemas, DagsterRunFacet 1-0-0)."""

    runId: str  # noqa: N815
    jobName: str  # noqa: N815
    stepKey: str | None = None  # noqa: N815
    attempt: int | None = None  # At the step, from 1; None outside steps
    partition: str | None = None
    codeLocation: str | None = None  # noqa: N815
    repository: str | None = None
    codeVersion: str | None = None  # noqa: N815 -- of the asset
    parentRunId: str | None = None  # noqa: N815 -- the run that this one retries
    rootRunId: str | None = None  # noqa: N815 -- the first run of that chain
    launch: Launch | None = None
    url: str | None = None  # In the Dagster UI

    @staticmethod
    def _get_schema() -> str:
        return DAGSTER_RUN_SCHEMA


@cache
def job_type_facet(family: Family) -> JobTypeJobFacet:
    """Build the facet (JobTypeJobFacet 2-0-4)."""
    return shared(JobTypeJobFacet("BATCH", INTEGRATION, jobType=family.value, producer=PRODUCER))


@cache
def processing_engine_facet() -> ProcessingEngineRunFacet:
    """Build the facet (ProcessingEngineRunFacet 1-1-1); DataHub finds its orchestrator by it."""
    return shared(
        ProcessingEngineRunFacet(dagster_version, "Dagster", __version__, producer=PRODUCER)
    )


def launch_in_tags(tags: Mapping[str, str]) -> Launch | None:
    """Return what launched the run with these tags; None if they do not say."""
    for tag, kind in LAUNCH_TAGS:
        if name := tags.get(tag):
            is_automation = kind == "SENSOR" and any(tags.get(tag) for tag in AUTOMATION_TAGS)
            return Launch("AUTOMATION" if is_automation else kind, limited(name, NAME_BYTES))
    return None


@lru_cache(maxsize=4096)
def parent_facet(parent: KnownRun, root: KnownRun | None = None) -> ParentRunFacet:
    """Build the facet (ParentRunFacet 1-2-0); without a root, the parent is the root."""
    first = root or parent
    job = Job(namespace=safe_job_namespace(parent.namespace), name=safe_name(parent.name))
    root_job = RootJob(namespace=safe_job_namespace(first.namespace), name=safe_name(first.name))
    root_run = Root(run=RootRun(runId=first.run_id), job=root_job)
    return shared(ParentRunFacet(Run(runId=parent.run_id), job, root=root_run, producer=PRODUCER))


class Upstream(NamedTuple):
    """A job that comes before a run, and its OpenLineage run where that is known."""

    namespace: str
    name: str
    run_id: str | None
    dependency_type: str


def job_dependencies_facet(
    upstream: Sequence[Upstream],
) -> job_dependencies.JobDependenciesRunFacet | None:
    """Build the facet (JobDependenciesRunFacet 1-0-1), sorted; a run id must be a UUID."""
    found = {
        (safe_job_namespace(namespace), safe_name(name), run_id or "", limited(kind))
        for namespace, name, run_id, kind in upstream
    }
    if not found:
        return None
    return job_dependencies.JobDependenciesRunFacet(
        upstream=[
            job_dependencies.JobDependency(
                job=job_dependencies.JobIdentifier(namespace=namespace, name=name),
                run=job_dependencies.RunIdentifier(runId=run_id) if run_id else None,
                dependency_type=dependency_type or None,
            )
            for namespace, name, run_id, dependency_type in sorted(found)
        ],
        # An empty list would say that nothing comes after, which is not known.
        downstream=None,
        producer=PRODUCER,
    )


def error_facet(error: ErrorFacts) -> ErrorMessageRunFacet:
    """Build the facet (ErrorMessageRunFacet 1-0-1), with secrets masked."""
    # Cut before the search for secrets: an exception may hold megabytes.
    return ErrorMessageRunFacet(
        message=limited(without_secrets(limited(error.message))),
        programmingLanguage="PYTHON",
        stackTrace=limited(without_secrets(limited(error.stack))) or None,
        producer=PRODUCER,
    )


def environment_variables_facet(
    variables: Mapping[str, str],
) -> environment_variables.EnvironmentVariablesRunFacet | None:
    """Build the facet (EnvironmentVariablesRunFacet 1-0-0), sorted and with secrets masked."""
    if not variables:
        return None
    found = []
    for name, value in sorted(variables.items()):
        shown = limited(redacted(name, limited(value)))
        found.append(environment_variables.EnvironmentVariable(limited(name), shown))
    return environment_variables.EnvironmentVariablesRunFacet(found, producer=PRODUCER)


def execution_parameters_facet(
    run_config: Mapping[str, object], allowed: Sequence[str]
) -> execution_parameters.ExecutionParametersRunFacet | None:
    """Build the facet (ExecutionParametersRunFacet 1-0-0), sorted; None if nothing is allowed.

    `allowed` are shell patterns of keys such as `ops.load.config.*`; an item of a list has its
    index for a key. All values below a secret's name are masked, and so is the value next to it, as
    in {"name": "DB_PASSWORD", "value": …}.
    """
    values: dict[str, str] = {}
    for key, value in sorted(_flat("", run_config, 0)):
        if any(fnmatchcase(key, pattern) for pattern in allowed):
            # 1 and '1' may be keys of the same mapping.
            values.setdefault(limited(without_secrets(key)), limited(redacted(key, limited(value))))
    if not values:
        return None
    found = [
        execution_parameters.ExecutionParameter(key=key, value=value)
        for key, value in sorted(values.items())
    ]
    return execution_parameters.ExecutionParametersRunFacet(found, producer=PRODUCER)


def _flat(
    key: str, value: object, depth: int, *, is_secret: bool = False
) -> Iterator[tuple[str, str]]:
    if depth > DEEPEST:
        return
    prefix = f"{key}." if key else ""
    items: Iterable[tuple[object, object]]
    if isinstance(value, Mapping) and value:
        items = value.items()
    elif isinstance(value, (list, tuple)) and value:
        items = enumerate(value)
    else:
        text = _text(value) if key else None
        if text is not None:
            yield key, MASK if is_secret and text else text
        return
    secrets = secrets_within(value)
    for name, inner in items:
        is_masked = is_secret or name in secrets
        yield from _flat(f"{prefix}{name}", inner, depth + 1, is_secret=is_masked)


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        # Not JSON, or not a finite number.
        return None
