"""The sensor through the calls that the client of Dagster+ answers; the server cannot run here."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from bare_storages import one_file
from delivered import check_order, check_same, expected_events, first_arrivals
from openlineage_dagster_sensor import openlineage_sensor
from receiver import Receiver
from recorded_run import execute
from shop.definitions import defs as shop

pytest.importorskip("dagster_cloud", reason="the client of Dagster+ is not installed")

import only_dagster_plus


@dg.asset(deps=[dg.AssetKey(["raw", "products"])])
def of_another_location() -> None: ...


OTHER = dg.Definitions(assets=[of_another_location], jobs=[dg.define_asset_job("others")])


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    overrides = one_file(tmp_path)
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as instance:
        yield instance


@pytest.fixture
def restricted(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    """The instance as the code of a user of Dagster+ has it; runs are executed before that."""
    logs = only_dagster_plus.event_log_storage(instance.event_log_storage)
    runs = only_dagster_plus.run_storage(instance.run_storage)
    for job, options in (("nightly", {"partition_key": "2026-01-05"}), ("newsletter", {})):
        shop.get_repository_def().get_job(job).execute_in_process(
            instance=instance, raise_on_error=False, **options
        )
    execute(OTHER, "others", instance)
    instance.report_runless_asset_event(dg.AssetMaterialization(["raw", "products"]))
    monkeypatch.setattr(instance, "_event_storage", logs)
    monkeypatch.setattr(instance, "_run_storage", runs)
    return instance


def tick(
    instance: dg.DagsterInstance, cursor: str | None, **options: Any
) -> tuple[str, str | None]:
    context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=shop)
    result = openlineage_sensor(**options)(context)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or "", context.cursor


def test_the_storage_is_as_restricted_as_the_client(restricted: dg.DagsterInstance) -> None:
    assert type(restricted.event_log_storage).__name__ == "OnlyGraphQLEventLogStorage"
    with pytest.raises(NotImplementedError):
        restricted.event_log_storage.get_logs_for_all_runs_by_log_id()
    assert restricted.get_runs_count() == 3


def test_everything_is_sent(restricted: dg.DagsterInstance, receiver: Receiver) -> None:
    reason, cursor = tick(restricted, None)
    assert "parked 0" in reason
    for run in restricted.get_runs():
        expected = expected_events(restricted, run.run_id, shop)
        found = first_arrivals(receiver.events, run.run_id)
        check_order(found, expected, run.run_id)
        check_same(found, expected)
    assert "raw/products" in {event["job"]["name"] for event in receiver.events if "job" in event}
    before = len(receiver.events)
    tick(restricted, cursor)
    assert len(receiver.events) == before


def test_news_cost_one_query_for_each_type_of_event(
    restricted: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client answers for one type at a time; a tick reads and looks for late events at once."""
    logs = restricted.event_log_storage
    _, cursor = tick(restricted, None)
    before = len(receiver.events)
    asked: list[str] = []

    def counted(name: str) -> None:
        get = getattr(logs, name)

        def ask(*args: Any, **kwargs: Any) -> Any:
            asked.append(name)
            return get(*args, **kwargs)

        monkeypatch.setattr(type(logs), name, property(lambda _: ask))

    for name in ("get_event_records", "get_maximum_record_id", "get_records_for_run"):
        counted(name)
    restricted.report_runless_asset_event(dg.AssetMaterialization(["raw", "products"]))
    tick(restricted, cursor)
    assert len(receiver.events) > before
    assert asked.count("get_event_records") == 16
    assert len(asked) <= 20, asked


def test_an_asset_of_another_location_gets_its_inputs_from_the_log(
    restricted: dg.DagsterInstance, receiver: Receiver
) -> None:
    tick(restricted, None)
    [made] = [
        event
        for event in receiver.events
        if event.get("job", {}).get("name") == "of_another_location"
        and event["eventType"] == "COMPLETE"
    ]
    assert [each["name"] for each in made["inputs"]] == ["raw/products"]


@pytest.mark.parametrize("start", ["now", "2020-01-01"])
def test_it_begins_where_it_is_told(
    restricted: dg.DagsterInstance, receiver: Receiver, start: str
) -> None:
    tick(restricted, None, start_from=start)
    assert bool(receiver.events) == (start != "now")


def test_a_branch_deployment_is_told_apart_by_its_environment(
    restricted: dg.DagsterInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code is the same; variables can be set for branch deployments alone."""
    monkeypatch.setenv("DAGSTER_CLOUD_IS_BRANCH_DEPLOYMENT", "1")
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "branches")
    tick(restricted, None)
    assert {event["job"]["namespace"] for event in receiver.events if "job" in event} == {
        "branches"
    }
    before = len(receiver.events)
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    reason, _ = tick(restricted, None)
    assert "OPENLINEAGE_DISABLED" in reason
    assert len(receiver.events) == before
