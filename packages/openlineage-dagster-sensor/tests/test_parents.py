"""What steps hand on under Mechanism B: the runs that the sensor sends."""

import json
import os
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository

from openlineage_dagster_core.facts.model import KnownRun
from openlineage_dagster_core.parents import OpenLineageResource
from openlineage_dagster_sensor import openlineage_sensor
from receiver import Receiver

HANDED_ON = "TEST_HANDED_ON"
"""The environment variable with the path where the step writes what it hands on."""


@dg.asset(key=["raw", "orders"])
def orders(context: dg.AssetExecutionContext, openlineage: OpenLineageResource) -> None:
    Path(os.environ[HANDED_ON]).write_text(json.dumps(openlineage.step_parents(context).context()))


OPTIONS = {"namespace": "prod", "job_namespace": "{namespace}/{tag:tenant}"}
JOBS = [dg.define_asset_job("nightly")]
WITH_SENSOR = dg.Definitions(
    [orders],
    jobs=JOBS,
    sensors=[openlineage_sensor(**OPTIONS)],  # type: ignore[arg-type]
    resources={"openlineage": OpenLineageResource()},
)
WITHOUT_SENSOR = dg.Definitions(
    [orders],
    jobs=JOBS,
    resources={"openlineage": OpenLineageResource(**OPTIONS)},  # type: ignore[arg-type]
)


@pytest.mark.parametrize("definitions", ["WITH_SENSOR", "WITHOUT_SENSOR"])
def test_names_are_those_of_the_sensor_or_of_the_options_that_it_shares(
    definitions: str, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HANDED_ON, str(tmp_path / "handed_on"))
    repository = ReconstructableRepository.for_file(
        __file__, definitions, str(Path(__file__).parent)
    )
    job = repository.get_reconstructable_job("nightly")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert dg.execute_job(job, instance, tags={"tenant": "acme"}).success
        context = dg.build_sensor_context(instance, definitions=WITH_SENSOR)
        openlineage_sensor(**OPTIONS)(context)  # type: ignore[arg-type]
    handed = json.loads((tmp_path / "handed_on").read_text())
    parent = handed["parent"]
    run = KnownRun(parent["job"]["namespace"], parent["job"]["name"], parent["run"]["runId"])
    assert (run.namespace, run.name) == ("prod/acme", "raw/orders")
    sent = {
        KnownRun(event["job"]["namespace"], event["job"]["name"], event["run"]["runId"])
        for event in receiver.events
    }
    assert run in sent
    assert {event["run"]["runId"] for event in receiver.events} >= {parent["root"]["run"]["runId"]}
