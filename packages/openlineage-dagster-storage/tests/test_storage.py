"""Mechanism A as a user runs it: an instance from `dagster.yaml`, real runs, a real receiver."""

import json
import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log import SqliteEventLogStorage

from delivery import deliver, state_of
from openlineage_dagster_core.engine import Outcome
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.snapshots import writing
from openlineage_dagster_storage import OpenLineageEventLogStorage, flushing, storage, watching
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
    """Make instances of one home that start no deliverer; a test delivers in its own process."""
    monkeypatch.setenv("TEST_LOG_DIR", str(tmp_path / "history"))
    monkeypatch.setattr(storage, "_warned", set())
    instances = []

    def make(**options: Any) -> dg.DagsterInstance:
        options = {"deliver": "external", "flush_timeout": 0.0, **options}
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


def one_pass(instance: dg.DagsterInstance) -> Outcome:
    """Deliver for one pass, whatever comes of it."""
    passes: list[Outcome] = []
    wrapper: Any = instance.event_log_storage
    wrapper.run_deliverer(once=True, should_stop=lambda: bool(passes), on_pass=passes.append)
    return passes[0]


def files_in(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def test_the_configuration_of_0_2_runs_as_it_is(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance(
        namespace="my-company", namespace_template="{namespace}/{tag:tenant}", timeout=2.0
    )
    assert execute(DEFINITIONS, "nightly", instance).success
    deliver(instance)
    assert names(receiver.events) == NIGHTLY_JOBS
    assert {event["job"]["namespace"] for event in receiver.events} == {"my-company"}
    for states in states_by_run(receiver.events).values():
        assert states == ["START", "COMPLETE"]


def test_an_asset_that_fails_at_once_has_its_edges(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance()
    execute(DEFINITIONS, "doomed", instance)
    deliver(instance)
    [failed] = [
        event
        for event in receiver.events
        if event["job"]["name"] == "fails" and event["eventType"] == "FAIL"
    ]
    [upstream] = failed["inputs"]
    assert upstream["name"] == "raw/orders"
    assert upstream["facets"]["documentation"]["description"] == "Orders of the day."


def test_events_have_the_parent_and_the_variables_of_the_process_that_executed_the_run(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = "0199a1b2-0000-7000-8000-00000000000a"
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"airflow/dag.task/{run_id}")
    monkeypatch.setenv("STAGE", "prod")
    monkeypatch.setenv("STAGE_TOKEN", "s3cret")
    instance = make_instance(environment_variables=["STAGE*"], dagster_url="http://localhost:3000")
    execute(DEFINITIONS, "nightly", instance)
    # The deliverer is another process: it has its own environment.
    for name in ("OPENLINEAGE_PARENT_ID", "STAGE", "STAGE_TOKEN"):
        monkeypatch.delenv(name)
    deliver(instance)
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


def test_a_facet_provider_that_cannot_be_imported_does_not_cost_the_events(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance(facet_providers=["nowhere.at_all:provide"])
    execute(DEFINITIONS, "nightly", instance)
    deliver(instance)
    assert names(receiver.events) == NIGHTLY_JOBS


def test_an_event_that_is_too_large_is_sent_without_its_heaviest_facets(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    @dg.asset(description="long " * 5000)
    def talkative() -> None: ...

    definitions = dg.Definitions([talkative], jobs=[dg.define_asset_job("all")])
    instance = make_instance(max_event_bytes=20_000)
    execute(definitions, "all", instance)
    deliver(instance)
    cut = [event for event in receiver.events if event["job"]["name"] == "talkative"]
    assert {event["eventType"] for event in cut} == {"START", "COMPLETE"}
    for event in cut:
        dropped = event["run"]["facets"]["dagster_droppedFacets"]["facets"]
        assert any("documentation" in name for name in dropped)
        assert len(json.dumps(event)) <= 20_000


def test_the_event_log_is_what_it_would_be_without_us(
    make_instance: MakeInstance, receiver: Receiver
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


def test_a_process_that_stores_events_writes_no_file_of_ours(
    make_instance: MakeInstance, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    instance = make_instance()
    runs = [execute(DEFINITIONS, "nightly", instance).run_id]
    instance.dispose()
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(bare)) as without_us:
        runs.append(execute(DEFINITIONS, "nightly", without_us).run_id)

    def anonymous(paths: set[Path]) -> set[str]:
        # The wrapped storage keeps its log where the test says; Dagster's own default is elsewhere.
        texts = {str(path).replace("runs/", "") for path in paths if path.parts[0] == "history"}
        for run_id in runs:
            texts = {text.replace(run_id, "RUN") for text in texts}
        return texts - {"history/runs"}

    assert anonymous(files_in(tmp_path)) == anonymous(files_in(bare))
    names_in_home = {path.name for path in tmp_path.iterdir()}
    assert not [name for name in names_in_home if "openlineage" in name]
    assert not list(temporary.iterdir())


def test_what_a_dead_backend_did_not_take_the_next_deliverer_sends(
    make_instance: MakeInstance, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("OPENLINEAGE_URL", dead)
    instance = make_instance()
    assert execute(DEFINITIONS, "nightly", instance).success
    assert "the backend takes no events" in (one_pass(instance).stopped_by or "")
    instance.dispose()
    assert receiver.requests == 0
    monkeypatch.setenv("OPENLINEAGE_URL", receiver.url)
    deliver(make_instance())
    assert len(receiver.events) == 10
    for states in states_by_run(receiver.events).values():
        assert states == ["START", "COMPLETE"]


def test_each_report_from_outside_any_run_is_a_run_of_its_own(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance()
    for _ in range(2):
        instance.report_runless_asset_event(dg.AssetMaterialization(["erp", "stock"]))
    check = dg.AssetCheckEvaluation(asset_key=dg.AssetKey("erp"), check_name="ok", passed=True)
    instance.report_runless_asset_event(check)
    deliver(instance)
    states = states_by_run(receiver.events)
    assert sorted(name for name, _ in states) == ["erp/stock", "erp/stock", "erp__checks"]
    assert all(of_run == ["START", "COMPLETE"] for of_run in states.values())
    assert all("dagster_run" not in event["run"]["facets"] for event in receiver.events)


def test_a_database_that_fails_for_a_moment_costs_no_event(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make_instance()
    execute(DEFINITIONS, "nightly", instance)
    failures = iter([True, True])
    read = dg.DagsterInstance.get_run_records

    def fails_twice(self: dg.DagsterInstance, *args: Any, **options: Any) -> Any:
        if next(failures, False):
            raise sqlite3.OperationalError("database is locked")
        return read(self, *args, **options)

    monkeypatch.setattr(dg.DagsterInstance, "get_run_records", fails_twice)
    deliver(instance)
    assert next(failures, None) is None
    assert len(receiver.events) == 10


def test_events_that_other_processes_store_without_us_are_delivered_too(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    """Such as a step in a pod whose home has another `dagster.yaml`; the event log is one."""
    instance = make_instance()
    wrapper: Any = instance.event_log_storage
    store = wrapper.store_event

    def store_elsewhere(event: dg.EventLogEntry) -> None:
        if event.step_key is None:
            store(event)
        else:
            wrapper._inner.store_event(event)

    wrapper.store_event = store_elsewhere
    execute(DEFINITIONS, "nightly", instance)
    deliver(instance)
    assert names(receiver.events) == NIGHTLY_JOBS
    assert len(receiver.events) == 10


def test_a_failure_to_read_the_definitions_does_not_cost_the_events(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise AttributeError("a later Dagster has moved it")

    monkeypatch.setattr(writing, "executing_definitions", broken)
    instance = make_instance()
    assert execute(DEFINITIONS, "nightly", instance).success
    deliver(instance)
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
        deliver(instance)
        assert {event["job"]["namespace"] for event in receiver.events} == {namespace}


def test_a_run_whose_process_is_disabled_is_not_delivered_and_others_are(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make_instance()
    with monkeypatch.context() as patched:
        patched.setenv("OPENLINEAGE_DISABLED", "true")
        execute(DEFINITIONS, "nightly", make_instance())
    wanted = execute(DEFINITIONS, "tenant", instance).run_id
    deliver(instance)
    assert {event["run"]["facets"]["dagster_run"]["runId"] for event in receiver.events} == {wanted}
    assert state_of(instance).cursor.parked == 0  # type: ignore[union-attr]


def test_a_batch_is_one_batch_of_the_inner_storage(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper: Any = make_instance().event_log_storage
    batches = []
    monkeypatch.setattr(wrapper._inner, "store_event_batch", batches.append)
    entries = [dg.EventLogEntry(None, "info", f"line {n}", "run-1", 1.0) for n in range(10)]
    wrapper.store_event_batch(entries)
    assert batches == [entries]


def test_a_failure_of_ours_does_not_reach_the_run_and_is_logged_once(
    make_instance: MakeInstance,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(writing, "keep_snapshot", broken)
    monkeypatch.setattr(watching.DelivererWatch, "check", broken)
    instance = make_instance()
    for _ in range(2):
        assert execute(DEFINITIONS, "nightly", instance).success
    messages = [r.getMessage() for r in caplog.records if "lineage may be" in r.getMessage()]
    assert len(messages) == len(set(messages)) <= 3
    assert any("PIPELINE_START of run" in message for message in messages)
    assert "disk full" in caplog.text
    assert all("no impact on your run" in message for message in messages)


def test_an_event_that_cannot_be_read_does_not_reach_the_run(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper: Any = make_instance().event_log_storage
    stored: list[object] = []
    monkeypatch.setattr(wrapper._inner, "store_event", stored.append)
    event = dg.EventLogEntry(None, "info", "x", "run-1", 1.0)
    unknown = event._replace(dagster_event=object())
    wrapper.store_event(unknown)
    assert stored == [unknown]


def test_what_the_inner_storage_refuses_raises_and_is_not_delivered(
    make_instance: MakeInstance, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = make_instance()
    wrapper: Any = instance.event_log_storage

    def refuse(event: object) -> None:
        raise RuntimeError("database is gone")

    with monkeypatch.context() as patched:
        patched.setattr(wrapper._inner, "store_event", refuse)
        with pytest.raises(RuntimeError, match="database is gone"):
            wrapper.store_event(dg.EventLogEntry(None, "info", "x", "run-1", 1.0))
    deliver(instance)
    assert receiver.requests == 0


def test_without_a_transport_no_deliverer_is_started_and_one_warning_says_so(
    make_instance: MakeInstance,
    no_deliverer_is_started: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv("OPENLINEAGE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    instance = make_instance(deliver="automatic")
    for _ in range(2):
        assert execute(DEFINITIONS, "nightly", instance).success
    assert no_deliverer_is_started() == 0
    warnings = [r for r in caplog.records if "nothing is emitted" in r.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].levelno == logging.WARNING
    assert "OPENLINEAGE_URL" in warnings[0].getMessage()


def test_with_the_console_alone_events_wait_for_a_deliverer_that_has_one(
    make_instance: MakeInstance,
    no_deliverer_is_started: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "console")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(flushing, "DEFAULT_SECONDS", 60.0)
    instance = make_instance(deliver="automatic", flush_timeout=None)
    for _ in range(2):
        assert execute(DEFINITIONS, "nightly", instance).success
    began = time.monotonic()
    instance.dispose()
    assert time.monotonic() - began < 30, "no deliverer comes that a run could wait for"
    assert no_deliverer_is_started() == 0
    [warned] = [r.getMessage() for r in caplog.records if "console" in r.getMessage()]
    assert "Run `openlineage-dagster deliver`" in warned


@pytest.mark.parametrize(("deliver", "started"), [("automatic", 1), ("external", 0)])
def test_a_run_starts_a_deliverer_once_unless_another_service_delivers(
    make_instance: MakeInstance,
    receiver: Receiver,
    no_deliverer_is_started: Callable[[], int],
    deliver: str,
    started: int,
) -> None:
    instance = make_instance(deliver=deliver)
    for _ in range(2):
        assert execute(DEFINITIONS, "nightly", instance).success
    assert no_deliverer_is_started() == started


def test_a_run_starts_no_thread_and_waits_for_no_backend(
    make_instance: MakeInstance, receiver: Receiver, no_deliverer_is_started: Callable[[], int]
) -> None:
    receiver.released.clear()
    before = set(threading.enumerate())
    instance = make_instance(deliver="automatic")
    assert execute(DEFINITIONS, "nightly", instance).success
    started = [thread.name for thread in set(threading.enumerate()) - before]
    assert not [name for name in started if "openlineage" in name]
    assert not receiver.is_connected


def test_dispose_returns_at_once_where_all_is_delivered(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance(flush_timeout=60.0)
    execute(DEFINITIONS, "nightly", instance)
    delivering = threading.Thread(target=deliver, args=(make_instance(flush_timeout=60.0),))
    delivering.start()
    began = time.monotonic()
    instance.dispose()
    delivering.join()
    assert time.monotonic() - began < 30
    assert len(receiver.events) == 10


def test_dispose_waits_for_flush_timeout_where_nothing_is_delivered(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance(flush_timeout=1.0)
    execute(DEFINITIONS, "nightly", instance)
    began = time.monotonic()
    instance.dispose()
    assert 1.0 <= time.monotonic() - began < 20


def test_dispose_does_not_wait_in_a_process_that_ended_no_run(
    make_instance: MakeInstance, receiver: Receiver
) -> None:
    instance = make_instance(flush_timeout=60.0)
    instance.report_runless_asset_event(dg.AssetMaterialization("x"))
    began = time.monotonic()
    instance.dispose()
    assert time.monotonic() - began < 30


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
        ({"deliver": "sometimes"}, "deliver", "sometimes", "one of 'automatic', 'external'"),
        ({"outbox_directory": "/x"}, "outbox_directory", "does not exist", "deliver"),
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
    from openlineage_dagster_core.options import declared

    schema = OpenLineageEventLogStorage.config_type()
    assert set(schema.fields) == set(declared())
    assert all(field.description for field in schema.fields.values())


def test_the_arguments_of_0_2_are_taken(tmp_path: Path) -> None:
    bare = SqliteEventLogStorage(str(tmp_path))
    made = OpenLineageEventLogStorage(wrapped=bare, namespace="shop", timeout=3.0)
    assert (made.settings.namespace, made.settings.timeout) == ("shop", 3.0)
    with pytest.raises(ConfigurationError) as error:
        OpenLineageEventLogStorage(wrapped=bare, adapter=None)
    assert error.value.option == "adapter"
