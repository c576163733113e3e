"""What steps hand on is what the events of the same run say."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
from openlineage.client.generated.parent_run import ParentRunFacet

from openlineage_dagster_core.child import PIPES_EXTRA, parent_run_facet
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.facts.definitions import DefinedAssets, DefinedJobs
from openlineage_dagster_core.facts.model import Definitions, KnownRun
from openlineage_dagster_core.facts.outside import parent_in_environment, parent_in_tags
from openlineage_dagster_core.parents import (
    OpenLineagePipesContextInjector,
    OpenLineageResource,
    StepParents,
    step_parents,
)
from openlineage_dagster_core.settings import Settings
from recorded_run import converted_instance, execute

Json = dict[str, Any]
Handed = dict[str, StepParents]

OUTSIDE = KnownRun("airflow", "dag.task", "0199a1b2-0000-7000-8000-00000000000a")
OUTSIDE_ROOT = KnownRun("airflow", "dag", "0199a1b2-0000-7000-8000-00000000000b")
FROM_OUTSIDE = {
    "openlineage/parent_id": "airflow/dag.task/0199a1b2-0000-7000-8000-00000000000a",
    "openlineage/root_parent_id": "airflow/dag/0199a1b2-0000-7000-8000-00000000000b",
}
ASSET, STEP, ROOT = (
    KnownRun("dagster", name, f"0199a1b2-0000-7000-8000-00000000000{number}")
    for number, name in enumerate(("raw/orders", "job.raw__orders", "job"))
)
PARENTS = StepParents(ASSET, STEP, ROOT)


class Project:
    """Steps that note what they hand on, and the events of their runs.

    Args:
        options: of the mechanism, and of what is handed on.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.handed: Handed = {}

    def note(self, context: Any) -> None:
        """Note what a step hands on."""
        step_key = context.get_step_execution_context().step.key
        self.handed[step_key] = step_parents(context, **self.options)

    def run(self, definitions: dg.Definitions, job: str, **options: Any) -> list[Json]:
        """Run a job and return its events; what is handed on are runs that have events."""
        self.handed.clear()
        with dg.DagsterInstance.ephemeral() as instance:
            execute(definitions, job, instance, **options)
            repository = definitions.get_repository_def()
            known = Definitions(DefinedAssets(repository.asset_graph), DefinedJobs(repository))
            entries = [
                record.event_log_entry
                for run in instance.get_run_records(ascending=True)
                for record in instance.get_records_for_run(run.dagster_run.run_id).records
            ]
            settings = Settings.from_options(self.options)
            events = converted_instance(instance, entries, known, settings)
        sent = {
            KnownRun(event["job"]["namespace"], event["job"]["name"], event["run"]["runId"])
            for event in events
            if "run" in event
        }
        for parents in self.handed.values():
            assert {parents.parent, parents.step} <= sent
            assert parents.root in sent | {OUTSIDE_ROOT}
        return events

    def names(self) -> dict[str, str]:
        """Return by step the name of the job that is handed on as the parent."""
        return {step: each.parent.name for step, each in self.handed.items() if each.parent}


def everything(*assets: Any, **options: Any) -> dg.Definitions:
    return dg.Definitions(assets=assets, jobs=[dg.define_asset_job("everything")], **options)


def test_a_step_that_makes_one_asset_hands_on_the_asset() -> None:
    project = Project(namespace="prod")

    @dg.asset(key=["raw", "orders"])
    def orders(context: dg.AssetExecutionContext) -> None:
        project.note(context)

    project.run(everything(orders), "everything")
    assert project.names() == {"raw__orders": "raw/orders"}
    [parents] = project.handed.values()
    assert parents.step is not None
    assert parents.step.name == "everything.raw__orders"
    assert parents.root is not None
    assert (parents.root.namespace, parents.root.name) == ("prod", "everything")


def test_a_step_that_makes_several_assets_hands_on_the_step() -> None:
    project = Project()

    @dg.multi_asset(specs=[dg.AssetSpec("a"), dg.AssetSpec("b")], can_subset=True)
    def both(context: dg.AssetExecutionContext) -> Iterator[Any]:
        project.note(context)
        for key in sorted(context.selected_asset_keys):
            yield dg.MaterializeResult(key)

    definitions = dg.Definitions(
        [both], jobs=[dg.define_asset_job("all"), dg.define_asset_job("some", ["b"])]
    )
    project.run(definitions, "all")
    assert project.names() == {"both": "all.both"}
    project.run(definitions, "some")
    assert project.names() == {"both": "b"}


def test_the_ops_of_a_graph_hand_on_themselves_and_the_last_one_the_asset() -> None:
    project = Project()

    @dg.op
    def extract(context: dg.OpExecutionContext) -> int:
        project.note(context)
        return 1

    @dg.op
    def load(context: dg.OpExecutionContext, value: int) -> int:
        project.note(context)
        return value

    @dg.graph_asset
    def made() -> Any:
        return load(extract())

    project.run(everything(made), "everything")
    assert project.names() == {"made.extract": "everything.made.extract", "made.load": "made"}


def test_checks_and_observations_hand_on_the_step() -> None:
    project = Project()

    @dg.observable_source_asset
    def seen(context: dg.OpExecutionContext) -> dg.DataVersion:
        project.note(context)
        return dg.DataVersion("1")

    @dg.asset_check(asset="seen")
    def fine(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        project.note(context)
        return dg.AssetCheckResult(passed=True)

    definitions = dg.Definitions(
        [seen],
        asset_checks=[fine],
        jobs=[
            dg.define_asset_job("observe", dg.AssetSelection.assets("seen").without_checks()),
            dg.define_asset_job("check", dg.AssetSelection.checks(fine)),
        ],
    )
    project.run(definitions, "observe")
    assert project.names() == {"seen": "observe.seen"}
    project.run(definitions, "check")
    assert project.names() == {"seen_fine": "check.seen_fine"}


def test_mapped_steps_have_their_own_runs_and_a_retry_has_the_same() -> None:
    project = Project()
    attempts: list[StepParents] = []

    @dg.op(out=dg.DynamicOut())
    def split() -> Iterator[dg.DynamicOutput[int]]:
        yield dg.DynamicOutput(1, "one")
        yield dg.DynamicOutput(2, "two")

    @dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
    def work(context: dg.OpExecutionContext, value: int) -> None:
        project.note(context)
        if value == 1:
            attempts.append(project.handed["work[one]"])
            if context.retry_number == 0:
                raise ValueError("again")

    @dg.job
    def fan() -> None:
        split().map(work)

    project.run(dg.Definitions(jobs=[fan]), "fan")
    assert project.names() == {"work[one]": "fan.work", "work[two]": "fan.work"}
    assert len({parents.parent for parents in project.handed.values()}) == 2
    assert attempts[0] == attempts[1]


DAYS = dg.DailyPartitionsDefinition("2026-01-01")
BOTH = dg.MultiPartitionsDefinition({"day": DAYS, "shop": dg.StaticPartitionsDefinition(["a"])})
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@pytest.mark.parametrize(
    ("partitions", "options", "name"),
    [
        (DAYS, {"partition_key": "2026-01-02"}, "made"),
        (BOTH, {"partition_key": dg.MultiPartitionKey({"shop": "a", "day": "2026-01-02"})}, "made"),
        (DAYS, {"tags": dict.fromkeys(RANGE, "2026-01-02")}, "made"),
        (
            DAYS,
            {"tags": dict(zip(RANGE, ("2026-01-02", "2026-01-04"), strict=True))},
            "everything.made",
        ),
        (BOTH, {"tags": dict.fromkeys(RANGE, "2026-01-02|a")}, "made"),
        (
            BOTH,
            {"tags": dict(zip(RANGE, ("2026-01-02|a", "2026-01-03|a"), strict=True))},
            "everything.made",
        ),
        (None, {"partition_key": "2026-01-02"}, "made"),
    ],
)
def test_one_partition_is_handed_on_and_several_are_not(
    partitions: Any, options: Json, name: str
) -> None:
    project = Project()

    @dg.asset(partitions_def=partitions, backfill_policy=dg.BackfillPolicy.single_run())
    def made(context: dg.AssetExecutionContext) -> None:
        project.note(context)

    @dg.asset(partitions_def=DAYS)
    def other() -> None: ...

    selected = ["made"] if partitions else ["made", "other"]
    job = dg.define_asset_job("everything", selected)
    project.run(dg.Definitions([made, other], jobs=[job]), "everything", **options)
    assert project.names() == {"made": name}


def test_names_are_those_of_the_options_and_run_tags() -> None:
    project = Project(namespace="prod", job_namespace="{namespace}/{tag:tenant}")

    @dg.asset
    def orders(context: dg.AssetExecutionContext) -> None:
        project.note(context)

    @dg.op
    def nothing(context: dg.OpExecutionContext) -> None:
        project.note(context)

    @dg.job(name="orders")
    def like_the_asset() -> None:
        nothing()

    definitions = everything(orders)
    both = dg.Definitions.merge(definitions, dg.Definitions(jobs=[like_the_asset]))
    project.run(both, "everything", tags={"tenant": "acme"})
    [parents] = project.handed.values()
    assert parents.parent is not None
    assert parents.parent.namespace == "prod/acme"


@pytest.mark.parametrize("group", ["sales", None])
def test_a_template_for_the_jobs_of_assets_and_sortable_run_ids_count(group: str | None) -> None:
    project = Project(asset_job_name="{group}.{key}", run_ids="sortable")

    @dg.asset(group_name=group)
    def orders(context: dg.AssetExecutionContext) -> None:
        project.note(context)

    project.run(everything(orders), "everything")
    [name] = project.names().values()
    assert name.startswith(f"{group or 'default'}.orders")


def test_a_run_with_an_asset_of_its_name_is_the_root_under_the_name_that_its_events_have() -> None:
    project = Project()

    @dg.asset
    def nightly(context: dg.AssetExecutionContext) -> None:
        project.note(context)

    project.run(dg.Definitions([nightly], jobs=[dg.define_asset_job("nightly")]), "nightly")
    [parents] = project.handed.values()
    assert parents.root is not None
    assert parents.root.name == "nightly__run"


@pytest.mark.parametrize(
    "options", [{"exclude_assets": ["made"]}, {"families": ["run", "step", "check"]}]
)
def test_an_asset_that_is_not_sent_is_not_handed_on(options: Json) -> None:
    project = Project(**options)

    @dg.asset
    def made(context: dg.AssetExecutionContext) -> None:
        project.note(context)

    project.run(everything(made), "everything")
    assert project.names() == {"made": "everything.made"}


def test_a_step_that_is_not_sent_is_not_handed_on() -> None:
    project = Project(families=["run"])

    @dg.asset
    def made(context: dg.AssetExecutionContext) -> None:
        project.note(context)

    project.run(everything(made), "everything")
    assert project.names() == {"made": "everything"}


def test_a_run_that_is_not_sent_hands_on_nothing() -> None:
    project = Project(exclude_jobs=["everything"])

    @dg.asset
    def made(context: dg.AssetExecutionContext) -> None:
        project.note(context)

    with dg.DagsterInstance.ephemeral() as instance:
        assert execute(everything(made), "everything", instance).success
    assert project.handed == {"made": StepParents()}


def test_the_chain_from_an_airflow_task_to_the_asset_has_no_gap() -> None:
    project = Project(asset_run_parent="step")

    @dg.asset
    def made(context: dg.AssetExecutionContext) -> None:
        project.note(context)

    events = project.run(everything(made), "everything", tags=FROM_OUTSIDE)
    handed = project.handed["made"]
    facet = handed.parent_run_facet()
    assert facet is not None
    by_id = {event["run"]["runId"]: event for event in events}
    chain, run_id = [], facet.run.runId
    while run_id in by_id:
        event = by_id[run_id]
        parent = event["run"]["facets"]["parent"]
        assert parent["root"]["run"]["runId"] == OUTSIDE_ROOT.run_id
        assert parent["root"]["job"]["name"] == OUTSIDE_ROOT.name
        chain.append(event["job"]["name"])
        run_id = parent["run"]["runId"]
    assert chain == ["made", "everything.made", "everything"]
    assert run_id == OUTSIDE.run_id
    assert handed.root == OUTSIDE_ROOT


def test_the_resource_gives_the_same_and_refuses_wrong_options() -> None:
    found: list[tuple[StepParents, StepParents]] = []

    @dg.asset
    def made(context: dg.AssetExecutionContext, openlineage: OpenLineageResource) -> None:
        found.append(
            (openlineage.step_parents(context), step_parents(namespace="prod", families=["step"]))
        )

    resource = OpenLineageResource(namespace="prod", families=["step"])
    definitions = everything(made, resources={"openlineage": resource})
    with dg.DagsterInstance.ephemeral() as instance:
        execute(definitions, "everything", instance)
    [(of_resource, of_function)] = found
    assert of_resource == of_function
    assert of_resource.parent is not None
    assert (of_resource.parent.namespace, of_resource.parent.name) == ("prod", "everything.made")
    with pytest.raises(ConfigurationError, match="families"):
        OpenLineageResource(families=["nonsense"])
    with pytest.raises(ConfigurationError, match="did you mean 'namespace'"):
        OpenLineageResource(namespaces="prod")  # type: ignore[call-arg]


def test_an_option_of_the_resource_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LINEAGE_NAMESPACE", "prod")
    handed: list[StepParents] = []

    @dg.asset
    def orders(context: dg.AssetExecutionContext, openlineage: OpenLineageResource) -> None:
        handed.append(openlineage.step_parents(context))

    resource = OpenLineageResource(namespace=dg.EnvVar("LINEAGE_NAMESPACE"))
    assert dg.materialize([orders], resources={"openlineage": resource}).success
    [parents] = handed
    assert parents.parent is not None
    assert parents.parent.namespace == "prod"


def test_outside_of_a_run_nothing_is_handed_on_and_nothing_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert step_parents() == StepParents()
        assert step_parents(dg.build_asset_context()) == StepParents()
    assert "no impact on your run" in caplog.text
    nothing = StepParents()
    assert nothing.environment() == nothing.spark_conf() == nothing.run_tags() == {}
    assert nothing.parent_run_facet() is None


def test_what_the_environment_says_is_read_by_us_and_by_a_child() -> None:
    environ = PARENTS.environment()
    assert json.loads(environ["OPENLINEAGE_CONTEXT"]) == {
        "parent": {
            "run": {"runId": ASSET.run_id},
            "job": {"namespace": "dagster", "name": "raw/orders"},
            # dbt-ol reads it here only.
            "root": {"run": {"runId": ROOT.run_id}, "job": {"namespace": "dagster", "name": "job"}},
        }
    }
    # Tools that know no context get the step: an asset's key has slashes.
    assert environ["OPENLINEAGE_PARENT_ID"] == f"dagster/job.raw__orders/{STEP.run_id}"
    assert environ["OPENLINEAGE_ROOT_PARENT_ID"] == f"dagster/job/{ROOT.run_id}"
    found = parent_in_environment(environ)
    assert found is not None
    assert (found.parent, found.root) == (ASSET, ROOT)
    without_context = {key: value for key, value in environ.items() if "CONTEXT" not in key}
    found = parent_in_environment(without_context)
    assert found is not None
    assert (found.parent, found.root) == (STEP, ROOT)
    assert parent_in_tags(PARENTS.run_tags()) == parent_in_environment(environ)
    assert as_runs(parent_run_facet(environ)) == as_runs(PARENTS.parent_run_facet())
    assert as_runs(parent_run_facet(environ)) == (ASSET, ROOT)


def as_runs(facet: ParentRunFacet | None) -> tuple[KnownRun, KnownRun]:
    assert facet is not None
    assert facet.root is not None
    root = facet.root
    return (
        KnownRun(facet.job.namespace, facet.job.name, facet.run.runId),
        KnownRun(root.job.namespace, root.job.name, root.run.runId),
    )


def test_a_namespace_with_slashes_leaves_the_text_empty() -> None:
    step = KnownRun("dagster/acme", "job.step", STEP.run_id)
    environ = StepParents(step, step, KnownRun("dagster", "job", ROOT.run_id)).environment()
    # Not missing: the process would inherit that of its own parents.
    assert environ["OPENLINEAGE_PARENT_ID"] == ""
    assert environ["OPENLINEAGE_ROOT_PARENT_ID"] == f"dagster/job/{ROOT.run_id}"
    found = parent_in_environment(environ)
    assert found is not None
    assert found.parent == step


def test_the_transport_is_handed_on_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPENLINEAGE_URL", "http://localhost:5000")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TIMEOUT", "1")
    monkeypatch.setenv("OPENLINEAGE_CONTEXT", "that of this process")
    monkeypatch.setenv("HOME_OF_OPENLINEAGE", "elsewhere")
    assert PARENTS.environment(transport=True) == {
        **PARENTS.environment(),
        "OPENLINEAGE_URL": "http://localhost:5000",
        "OPENLINEAGE__TRANSPORT__TIMEOUT": "1",
    }
    assert "OPENLINEAGE_URL" not in PARENTS.environment()


def test_the_variables_are_set_in_this_process_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", "another")
    with PARENTS.in_environment():
        found = parent_in_environment(os.environ)
    assert found is not None
    assert found.parent == ASSET
    assert os.environ["OPENLINEAGE_PARENT_ID"] == "another"
    assert "OPENLINEAGE_CONTEXT" not in os.environ


def test_spark_has_properties_for_parent_and_root() -> None:
    assert PARENTS.spark_conf() == {
        "spark.openlineage.parentJobNamespace": "dagster",
        "spark.openlineage.parentJobName": "raw/orders",
        "spark.openlineage.parentRunId": ASSET.run_id,
        "spark.openlineage.rootParentJobNamespace": "dagster",
        "spark.openlineage.rootParentJobName": "job",
        "spark.openlineage.rootParentRunId": ROOT.run_id,
    }


def test_the_injector_refuses_wrong_options() -> None:
    inner = dg.PipesTempFileContextInjector()
    with pytest.raises(ConfigurationError, match="families"):
        OpenLineagePipesContextInjector(inner, families=["nothing"])


class Injected(dg.PipesContextInjector):
    """Keeps the context that it gets."""

    def __init__(self) -> None:
        self.context: Any = None

    @contextmanager
    def inject_context(self, context_data: Any) -> Iterator[Json]:
        """Keep the context."""
        self.context = context_data
        yield {}

    def no_messages_debug_text(self) -> str:
        """Say something."""
        return "nothing came"


def test_the_pipes_context_carries_the_identity_next_to_what_the_user_adds() -> None:
    project, inner = Project(), Injected()
    injector = OpenLineagePipesContextInjector(inner)
    assert injector.no_messages_debug_text() == "nothing came"

    @dg.asset
    def made(context: dg.AssetExecutionContext) -> None:
        project.note(context)
        with injector.inject_context({"extras": {"mine": 1}, "run_id": context.run.run_id}):  # type: ignore[typeddict-item]
            pass

    project.run(everything(made), "everything")
    assert inner.context["extras"] == {"mine": 1, PIPES_EXTRA: project.handed["made"].context()}
    with injector.inject_context({"extras": None}):  # type: ignore[typeddict-item]
        assert inner.context["extras"] == {}
    with pytest.raises(ConfigurationError, match="nonsense"):
        OpenLineagePipesContextInjector(inner, nonsense=1)  # type: ignore[call-arg]
