"""Mechanism A as a user runs it: an instance from `dagster.yaml`, real runs, a real receiver."""

import json
import logging
import socket
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.events import DagsterEvent

from openlineage_dagster_core.delivery import outbox as delivery_outbox
from openlineage_dagster_core.delivery.outbox import Outbox
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.families import CONVERTED_VALUES
from openlineage_dagster_storage import OpenLineageEventLogStorage, shipping, storage
from orders_project import DEFINITIONS, NIGHTLY_JOBS
from receiver import Receiver
from recorded_run import execute, states_by_run

MakeInstance = Callable[..., dg.DagsterInstance]


def config(home: Path, **options: Any) -> dict[str, Any]:
    return {
        "telemetry": {"enabled": False},
        "event_log_storage": {
            "module": "dagster_openlineage",
            "class": "OpenLineageEventLogStorage",
            "config": {
                "wrapped": {
                    "module": "dagster._core.storage.event_log",
                    "class": "SqliteEventLogStorage",
                    "config": {"base_dir": {"env": "TEST_LOG_DIR"}},
                },
                **options,
            },
        },
    }


@pytest.fixture
def make_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeInstance]:
    monkeypatch.setenv("TEST_LOG_DIR", str(tmp_path / "history"))
    monkeypatch.setattr(storage, "_warned", set())
    instances = []

    def make(**options: Any) -> dg.DagsterInstance:
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config(tmp_path, **options)))
        instance = dg.DagsterInstance.from_config(str(tmp_path))
        instances.append(instance)
        return instance

    yield make
    for instance in instances:
        instance.dispose()


def names(events: list[dict[str, Any]]) -> set[str]:
    return {event["job"]["name"] for event in events}


def ends(events: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(event["job"]["name"], event["eventType"]) for event in events}


def test_the_configuration_of_0_2_runs_as_it_is(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance(
        namespace="my-company", namespace_template="{namespace}/{tag:tenant}", timeout=2.0
    )
    assert execute(DEFINITIONS, "nightly", instance).success
    instance.dispose()
    assert names(receiver.events) == NIGHTLY_JOBS
    assert {event["job"]["namespace"] for event in receiver.events} == {"my-company"}
    for states in states_by_run(receiver.events).values():
        assert states == ["START", "COMPLETE"]


def test_an_asset_that_fails_at_once_has_its_edges(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance()
    execute(DEFINITIONS, "doomed", instance)
    instance.dispose()
    [failed] = [
        event
        for event in receiver.events
        if event["job"]["name"] == "fails" and event["eventType"] == "FAIL"
    ]
    [upstream] = failed["inputs"]
    assert upstream["name"] == "raw/orders"
    assert upstream["facets"]["documentation"]["description"] == "Orders of the day."


def test_what_the_executing_process_knows_is_told(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = "0199a1b2-0000-7000-8000-00000000000a"
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"airflow/dag.task/{run_id}")
    monkeypatch.setenv("STAGE", "prod")
    monkeypatch.setenv("STAGE_TOKEN", "s3cret")
    instance = make_instance(environment_variables=["STAGE*"], dagster_url="http://localhost:3000")
    execute(DEFINITIONS, "nightly", instance)
    instance.dispose()
    for event in receiver.events:
        if event["job"]["name"] == "nightly":
            facets = event["run"]["facets"]
            assert facets["parent"]["run"]["runId"] == run_id
            variables = facets["environmentVariables"]["environmentVariables"]
            assert {variable["name"]: variable["value"] for variable in variables} == {
                "STAGE": "prod",
                "STAGE_TOKEN": "***",
            }
            assert facets["dagster_run"]["url"].startswith("http://localhost:3000/runs/")
    assert "s3cret" not in str(receiver.events)


def test_a_function_of_the_users_that_is_missing_does_not_cost_the_events(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance(facet_providers=["nowhere.at_all:provide"])
    execute(DEFINITIONS, "nightly", instance)
    instance.dispose()
    assert names(receiver.events) == NIGHTLY_JOBS


def test_an_event_that_is_too_large_is_sent_without_its_heaviest_facets(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    @dg.asset(description="long " * 5000)
    def talkative() -> None: ...

    definitions = dg.Definitions([talkative], jobs=[dg.define_asset_job("all")])
    instance = make_instance(max_event_bytes=20_000)
    execute(definitions, "all", instance)
    instance.dispose()
    cut = [event for event in receiver.events if event["job"]["name"] == "talkative"]
    assert {event["eventType"] for event in cut} == {"START", "COMPLETE"}
    for event in cut:
        dropped = event["run"]["facets"]["dagster_dropped_facets"]["facets"]
        assert any("documentation" in name for name in dropped)
        assert len(json.dumps(event)) <= 20_000


def test_the_event_log_is_what_it_would_be_without_us(
    make_instance: MakeInstance, receiver: Receiver, tmp_path: Path
) -> None:
    instance = make_instance()
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    with dg.DagsterInstance.ephemeral() as bare:
        bare_id = execute(DEFINITIONS, "nightly", bare).run_id

        def types(of: dg.DagsterInstance, run: str) -> list[str | None]:
            return [
                record.event_log_entry.dagster_event
                and record.event_log_entry.dagster_event.event_type_value
                for record in of.get_records_for_run(run).records
            ]

        assert types(instance, run_id) == types(bare, bare_id)


def test_what_a_dead_backend_did_not_take_the_next_process_sends(
    make_instance: MakeInstance, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("OPENLINEAGE_URL", dead)
    instance = make_instance()
    assert execute(DEFINITIONS, "nightly", instance).success
    instance.dispose()
    assert receiver.requests == 0
    # As the next process does: another instance of the same home.
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    make_instance()
    receiver.wait_for(lambda: ("nightly", "COMPLETE") in ends(receiver.events))
    for states in states_by_run(receiver.events).values():
        assert states == ["START", "COMPLETE"]


def test_after_dispose_no_thread_is_left_and_the_next_event_is_sent_all_the_same(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance()
    for count in (1, 2):
        execute(DEFINITIONS, "nightly", instance)
        instance.dispose()
        assert "openlineage-shipper" not in {thread.name for thread in threading.enumerate()}
        assert len(receiver.events) == count * 10


def test_what_is_reported_from_outside_any_run_is_a_run_of_its_own_each_time(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance()
    for _ in range(2):
        instance.report_runless_asset_event(dg.AssetMaterialization(["erp", "stock"]))
    check = dg.AssetCheckEvaluation(asset_key=dg.AssetKey("erp"), check_name="ok", passed=True)
    instance.report_runless_asset_event(check)
    instance.dispose()
    states = states_by_run(receiver.events)
    assert sorted(name for name, _ in states) == ["erp/stock", "erp/stock", "erp__checks"]
    assert all(of_run == ["START", "COMPLETE"] for of_run in states.values())
    assert all("dagster_run" not in event["run"]["facets"] for event in receiver.events)


def test_an_instance_that_is_forgotten_costs_another_no_event(
    make_instance: MakeInstance, receiver: Receiver, tmp_path: Path
) -> None:
    living = make_instance()
    for _ in range(5):
        # It attaches a converter of its own; without dispose its cycle waits for the collector.
        forgotten = dg.DagsterInstance.from_config(str(tmp_path))
        forgotten.report_runless_asset_event(dg.AssetMaterialization("x"))
        del forgotten
        execute(DEFINITIONS, "nightly", living)
    living.dispose()
    assert Outbox(tmp_path / "openlineage").parked() == []
    assert len(receiver.events) == 5 * (10 + 2)


def test_a_database_that_fails_for_a_moment_costs_no_event(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make_instance()
    failures = iter([True, True])
    read = dg.DagsterInstance.get_run_records

    def fails_twice(self: dg.DagsterInstance, *args: Any, **options: Any) -> Any:
        in_shipper = threading.current_thread().name == "openlineage-shipper"
        if in_shipper and next(failures, False):
            raise sqlite3.OperationalError("database is locked")
        return read(self, *args, **options)

    monkeypatch.setattr(dg.DagsterInstance, "get_run_records", fails_twice)
    execute(DEFINITIONS, "nightly", instance)
    receiver.wait_for(lambda: ("nightly", "COMPLETE") in ends(receiver.events))
    assert len(receiver.events) == 10


def test_the_end_of_a_run_counts_what_other_machines_have_stored(
    make_instance: MakeInstance, receiver: Receiver, tmp_path: Path
) -> None:
    """Steps that run elsewhere have an outbox elsewhere; the event log is one."""
    instance = make_instance()
    wrapper: Any = instance.event_log_storage
    store = wrapper.store_event

    def stored_elsewhere(event: dg.EventLogEntry) -> None:
        if event.step_key is None:
            store(event)
        else:
            wrapper._inner.store_event(event)

    wrapper.store_event = stored_elsewhere
    execute(DEFINITIONS, "nightly", instance)
    instance.dispose()
    assert states_by_run(receiver.events).keys() == {
        ("nightly", event["run"]["runId"]) for event in receiver.events
    }


def test_a_locked_outbox_costs_a_run_one_short_wait_and_not_one_an_event(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make_instance()
    instance.report_runless_asset_event(dg.AssetMaterialization("x"))
    wrapper: Any = instance.event_log_storage
    outbox = wrapper._delivery().outbox
    attempts = []
    append = outbox.append

    def counted(*args: Any, **options: Any) -> Any:
        attempts.append(args)
        return append(*args, **options)

    monkeypatch.setattr(outbox, "append", counted)
    locked = sqlite3.connect(outbox.path, isolation_level=None)
    locked.execute("BEGIN IMMEDIATE")
    assert execute(DEFINITIONS, "nightly", instance).success
    locked.close()
    assert len(attempts) == 1


def test_what_goes_wrong_with_the_definitions_does_not_cost_the_event(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(entries: object, settings: object) -> None:
        raise AttributeError("a later Dagster has moved it")

    monkeypatch.setattr(storage, "surroundings_of", broken)
    instance = make_instance()
    execute(DEFINITIONS, "nightly", instance)
    instance.dispose()
    assert {("nightly", "START"), ("raw/orders", "START")} <= ends(receiver.events)
    assert len(receiver.events) == 10


def test_tags_resolve_in_namespaces_only_where_asked_for(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    template = "{namespace}/{tag:tenant}"
    for options, namespace in (({}, "dagster"), ({"resolve_run_tags": True}, "dagster/acme")):
        receiver.events.clear()
        instance = make_instance(namespace_template=template, **options)
        execute(DEFINITIONS, "tenant", instance)
        instance.dispose()
        assert {event["job"]["namespace"] for event in receiver.events} == {namespace}


def test_the_definitions_of_a_run_are_kept_until_its_end_is_sent_and_for_a_while(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer = lambda _: 503
    instance = make_instance()
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    wrapper: Any = instance.event_log_storage
    outbox = wrapper._delivery().outbox
    assert outbox.attachment(run_id) is not None
    receiver.answer = lambda _: 201
    receiver.wait_for(lambda: len(receiver.events) == 10)
    instance.dispose()
    assert outbox.attachment(run_id) is not None
    monkeypatch.setattr(delivery_outbox, "ENDED_ATTACHMENT_SECONDS", -1.0)
    outbox.drop_old_attachments()
    assert outbox.attachment(run_id) is None


def test_a_batch_is_one_batch_of_the_inner_storage(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper: Any = make_instance().event_log_storage
    batches = []
    monkeypatch.setattr(wrapper._inner, "store_event_batch", batches.append)
    entries = [dg.EventLogEntry(None, "info", f"line {n}", "run-1", 1.0) for n in range(10)]
    wrapper.store_event_batch(entries)
    assert batches == [entries]


def test_nothing_of_ours_reaches_the_run(
    make_instance: MakeInstance,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(storage, "delivery_of", broken)
    assert execute(DEFINITIONS, "nightly", make_instance()).success
    messages = [r.getMessage() for r in caplog.records if "lineage may be" in r.getMessage()]
    assert len(messages) == 3, "at the instance's start; the first of many before and after storing"
    assert "PIPELINE_START of run" in messages[1]
    assert "disk full" in caplog.text
    assert all("no impact on your run" in message for message in messages)


def test_an_event_that_cannot_even_be_looked_at_does_not_reach_the_run(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper: Any = make_instance().event_log_storage
    monkeypatch.setattr(wrapper._inner, "store_event", lambda event: None)
    event = dg.EventLogEntry(None, "info", "x", "run-1", 1.0)
    unknown = event._replace(dagster_event=object())
    wrapper.store_event(unknown)


def test_what_the_inner_storage_refuses_is_not_emitted(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make_instance()
    wrapper: Any = instance.event_log_storage

    def refuse(event: object) -> None:
        raise RuntimeError("database is gone")

    monkeypatch.setattr(wrapper._inner, "store_event", refuse)
    with pytest.raises(RuntimeError, match="database is gone"):
        wrapper.store_event(dg.EventLogEntry(None, "info", "x", "run-1", 1.0))
    assert not Path(instance.root_directory, "openlineage").exists()


def test_the_process_is_taken_to_be_busy_while_it_stores_and_not_after(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make_instance()
    wrapper: Any = instance.event_log_storage
    pace = wrapper._delivery().shipper._pace
    storing: list[int] = []
    monkeypatch.setattr(wrapper._inner, "store_event", lambda event: storing.append(pace._storing))
    event = DagsterEvent("STEP_START", "j", step_key="s")
    entry = dg.EventLogEntry(None, "info", "x", "run-1", 1.0, dagster_event=event)
    wrapper.store_event(entry)
    assert (storing, pace._storing) == ([1], 0)

    def refuse(event: object) -> None:
        raise RuntimeError("database is gone")

    monkeypatch.setattr(wrapper._inner, "store_event", refuse)
    with pytest.raises(RuntimeError, match="database is gone"):
        wrapper.store_event(entry)
    assert pace._storing == 0


def test_without_a_transport_nothing_is_kept_and_one_warning_says_so(
    make_instance: MakeInstance,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv("OPENLINEAGE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    instance = make_instance()
    assert execute(DEFINITIONS, "nightly", instance).success
    assert not (tmp_path / "openlineage").exists()
    warnings = [r for r in caplog.records if "nothing is emitted" in r.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].levelno == logging.WARNING
    assert "OPENLINEAGE_URL" in warnings[0].getMessage()


def test_the_outbox_is_private_and_under_the_instance(
    make_instance: MakeInstance, receiver: Receiver, tmp_path: Path
) -> None:
    instance = make_instance()
    execute(DEFINITIONS, "nightly", instance)
    instance.dispose()
    directory = tmp_path / "openlineage"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in directory.iterdir())


def test_the_outbox_goes_where_it_is_told(
    make_instance: MakeInstance, receiver: Receiver, tmp_path: Path
) -> None:
    execute(DEFINITIONS, "nightly", make_instance(outbox_directory=str(tmp_path / "elsewhere")))
    assert (tmp_path / "elsewhere" / "outbox.db").exists()
    assert not (tmp_path / "openlineage").exists()


def test_the_instance_says_where_its_storage_comes_from(make_instance: MakeInstance) -> None:
    wrapper: Any = make_instance(namespace="shop").event_log_storage
    assert isinstance(wrapper, OpenLineageEventLogStorage)
    assert wrapper.inst_data.config_dict["namespace"] == "shop"


WRAPPED_SQLITE = {
    "module": "dagster._core.storage.event_log",
    "class": "InMemoryEventLogStorage",
}


@pytest.mark.parametrize(
    ("options", "option", "value", "allowed"),
    [
        ({"namspace": "x"}, "namspace", "does not exist", "did you mean 'namespace'"),
        ({"namespace_template": "{tenant}"}, "namespace_template", "{tenant}", "{tag:KEY}"),
        ({"job_namespace": "{x}"}, "job_namespace", "{x}", "{tag:KEY}"),
        ({"timeout": 0.0}, "timeout", "0.0", "> 0"),
        ({"flush_timeout": -1.0}, "flush_timeout", "-1.0", ">= 0"),
        ({"outbox_directory": "here"}, "outbox_directory", "here", "absolute"),
        ({"wrapped": {**WRAPPED_SQLITE, "config": "x"}}, "wrapped.config", "str", "a mapping"),
        (
            {
                "wrapped": {
                    "module": "dagster._core.storage.event_log.base",
                    "class": "EventLogStorage",
                }
            },
            "wrapped.class",
            "EventLogStorage",
            "not abstract",
        ),
        ({"wrapped": None}, "wrapped", "None", "module, class, config"),
        (
            {"wrapped": {**WRAPPED_SQLITE, "clas": "x"}},
            "wrapped.clas",
            "unknown",
            "module, class, config",
        ),
        (
            {"wrapped": {"module": "nowhere", "class": "X"}},
            "wrapped",
            "nowhere.X",
            "event log storage",
        ),
        (
            {"wrapped": {"module": "dagster", "class": "Definitions"}},
            "wrapped.class",
            "dagster.Definitions",
            "EventLogStorage",
        ),
        (
            {"wrapped": {"module": "dagster_openlineage", "class": "OpenLineageEventLogStorage"}},
            "wrapped.class",
            "OpenLineageEventLogStorage",
            "not the wrapper again",
        ),
    ],
)
def test_a_wrong_option_fails_when_the_configuration_is_read(
    options: dict[str, Any], option: str, value: str, allowed: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        OpenLineageEventLogStorage.from_config_value(None, {"wrapped": WRAPPED_SQLITE, **options})
    assert raised.value.option == option
    assert value in str(raised.value)
    assert allowed in str(raised.value)


def test_a_missing_wrapped_fails_when_dagster_reads_its_yaml(tmp_path: Path) -> None:
    text = config(tmp_path)
    del text["event_log_storage"]["config"]["wrapped"]
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(text))
    with pytest.raises(ConfigurationError, match="'wrapped'"):
        dg.DagsterInstance.from_config(str(tmp_path)).event_log_storage  # noqa: B018


def test_a_wrong_type_fails_when_dagster_reads_its_yaml(make_instance: MakeInstance) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match='"soon"'):
        make_instance(timeout="soon").event_log_storage  # noqa: B018


def test_a_malformed_url_fails_when_the_configuration_is_read(
    make_instance: MakeInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "marquez:5000")
    with pytest.raises(ConfigurationError, match=r"OPENLINEAGE_URL.*marquez:5000.*http://"):
        make_instance().event_log_storage  # noqa: B018


def test_every_option_is_described_in_the_schema() -> None:
    from openlineage_dagster_core.settings import STORAGE_OPTIONS

    schema = OpenLineageEventLogStorage.config_type()
    assert set(schema.fields) == set(STORAGE_OPTIONS)
    assert all(field.description for field in schema.fields.values())


def test_the_outbox_holds_references_and_nothing_of_what_events_say(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    receiver.answer = lambda event: 503
    instance = make_instance()
    run_id = execute(DEFINITIONS, "nightly", instance).run_id
    wrapper: Any = instance.event_log_storage
    records = wrapper._delivery().outbox.pending(1000)
    assert len(records) == 8
    for record in records:
        assert record.ordering_key == run_id
        event_type, _, _ = record.payload.split()
        assert event_type in CONVERTED_VALUES
        assert len(record.payload) < 100


def test_a_storage_whose_delivery_was_let_go_of_uses_the_next(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance()
    execute(DEFINITIONS, "nightly", instance)
    wrapper: Any = instance.event_log_storage
    # As another thread's dispose may do at any moment.
    delivery = wrapper._delivery()
    delivery.shipper.stop(5)
    shipping.let_go_of(delivery)
    execute(DEFINITIONS, "nightly", instance)
    receiver.wait_for(lambda: len(receiver.events) == 20)
