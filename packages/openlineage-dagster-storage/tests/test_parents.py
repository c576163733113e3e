"""What steps hand on under Mechanism A: the runs that the deliverer sends."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from delivery import deliver
from drivers import StorageDriver, opened
from openlineage_dagster_core.facts.model import KnownRun
from openlineage_dagster_core.parents import StepParents, step_parents
from receiver import Receiver
from recorded_run import execute

Handed = list[StepParents]
Opened = Callable[..., dg.DagsterInstance]

TASK_ID, DAG_ID = (f"0199a1b2-0000-7000-8000-00000000000{last}" for last in "ab")


@pytest.fixture
def handed() -> Handed:
    return []


@pytest.fixture
def definitions(handed: Handed) -> dg.Definitions:
    @dg.asset(key=["raw", "orders"])
    def orders(context: dg.AssetExecutionContext) -> None:
        # What is configured in dagster.yaml counts.
        handed.append(step_parents(context, namespace="other", families=["run"]))

    return dg.Definitions([orders], jobs=[dg.define_asset_job("nightly")])


@pytest.fixture
def make_instance(tmp_path: Path, receiver: Receiver) -> Iterator[Opened]:
    with ExitStack() as stack:

        def make(**options: Any) -> dg.DagsterInstance:
            return stack.enter_context(opened(StorageDriver(options), tmp_path / "home"))

        yield make


def sent(receiver: Receiver) -> dict[KnownRun, Any]:
    """Return by run its last `parent` facet."""
    return {
        KnownRun(event["job"]["namespace"], event["job"]["name"], event["run"]["runId"]): (
            event["run"]["facets"].get("parent")
        )
        for event in receiver.events
    }


def test_names_and_ids_are_those_that_are_delivered(
    make_instance: Opened, receiver: Receiver, handed: Handed, definitions: dg.Definitions
) -> None:
    instance = make_instance(
        namespace="prod", job_namespace="{namespace}/{tag:tenant}", resolve_run_tags=True
    )
    execute(definitions, "nightly", instance, tags={"tenant": "acme"})
    deliver(instance)
    [parents] = handed
    runs = sent(receiver)
    assert {parents.parent, parents.step, parents.root} == runs.keys()
    assert parents.parent is not None
    assert (parents.parent.namespace, parents.parent.name) == ("prod/acme", "raw/orders")


def test_the_parent_in_the_environment_of_the_run_is_the_root_of_what_steps_hand_on(
    make_instance: Opened,
    receiver: Receiver,
    handed: Handed,
    definitions: dg.Definitions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"airflow/dag.task/{TASK_ID}")
    monkeypatch.setenv("OPENLINEAGE_ROOT_PARENT_ID", f"airflow/dag/{DAG_ID}")
    instance = make_instance(asset_run_parent="step")
    execute(definitions, "nightly", instance)
    deliver(instance)
    [parents] = handed
    assert parents.root == KnownRun("airflow", "dag", DAG_ID)
    # From the asset to the task, and all have the same root.
    runs, run, chain = sent(receiver), parents.parent, []
    while run in runs:
        chain.append(run.name)
        facet = runs[run]
        assert facet["root"]["run"]["runId"] == DAG_ID
        run = KnownRun(facet["job"]["namespace"], facet["job"]["name"], facet["run"]["runId"])
    assert chain == ["raw/orders", "nightly.raw__orders", "nightly"]
    assert run == KnownRun("airflow", "dag.task", TASK_ID)


def test_a_run_that_is_not_delivered_hands_on_nothing(
    make_instance: Opened,
    receiver: Receiver,
    handed: Handed,
    definitions: dg.Definitions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instance = make_instance()
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    assert execute(definitions, "nightly", instance).success
    assert handed == [StepParents()]


def test_a_run_has_the_name_that_an_asset_of_another_code_location_leaves_it(
    make_instance: Opened, receiver: Receiver, handed: Handed, definitions: dg.Definitions
) -> None:
    @dg.asset
    def nightly() -> None: ...

    other = dg.Definitions([nightly], jobs=[dg.define_asset_job("elsewhere")])
    instance = make_instance()
    execute(other, "elsewhere", instance)
    execute(definitions, "nightly", instance)
    deliver(instance)
    [parents] = handed
    assert parents.root in sent(receiver)
    assert parents.root is not None
    assert parents.root.name == "nightly__run"
