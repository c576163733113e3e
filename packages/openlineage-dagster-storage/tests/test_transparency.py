"""Every public member of the wrapped storage answers through the wrapper, whatever it has."""

import inspect
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType, EventRecordsFilter
from dagster._core.event_api import EventLogCursor
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.base import EventLogStorage

from openlineage_dagster_storage import OpenLineageEventLogStorage

OURS = {
    "store_event",
    "store_event_batch",
    "dispose",
    "register_instance",
    "inst_data",
    "config_type",
    "from_config_value",
}
"""What the wrapper does itself; it has tests of its own."""

CHANGING = (
    "add_", "free_", "claim_", "set_", "delete_", "wipe", "end_", "watch", "migrate", "reindex",
    "enable_", "upgrade", "update_", "store_", "initialize_", "optimize_", "start_", "on_",
    "create_", "mark_", "check_for_", "purge_", "drop_", "run_connection", "index_connection",
    "connect", "index_transaction",
)  # fmt: skip
"""These are not called twice, but seen to be forwarded."""

CLASSES: list[type] = [SqliteEventLogStorage, ConsolidatedSqliteEventLogStorage]
try:
    from dagster_postgres.event_log import PostgresEventLogStorage
except ImportError:
    pass
else:
    CLASSES.append(PostgresEventLogStorage)


def members(of: type) -> list[str]:
    return sorted(name for name in dir(of) if not name.startswith("_") and name not in OURS)


PARTITIONS = dg.StaticPartitionsDefinition(["a", "b"])


@dg.asset(partitions_def=PARTITIONS, check_specs=[dg.AssetCheckSpec("ok", asset="made")])
def made() -> dg.MaterializeResult:
    return dg.MaterializeResult(
        tags={"dagster/x": "1"}, check_results=[dg.AssetCheckResult(passed=True, check_name="ok")]
    )


JOB = dg.define_asset_job("all")
DEFINITIONS = dg.Definitions(assets=[made], jobs=[JOB])


@pytest.fixture(scope="module", params=CLASSES[:2], ids=lambda each: each.__name__)
def storage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, str]]:
    """A storage with a run in it, and the run's id."""
    folder = tmp_path_factory.mktemp("log")
    bare = request.param(str(folder))
    with dg.DagsterInstance.ephemeral() as instance:
        instance._event_storage = bare
        bare.register_instance(instance)
        result = (
            DEFINITIONS.get_repository_def()
            .get_job("all")
            .execute_in_process(instance=instance, partition_key="a")
        )
        instance.add_dynamic_partitions("days", ["monday"])
        bare.set_concurrency_slots("pool", 2)
        yield bare, result.run_id
        bare.dispose()


def arguments(run_id: str) -> dict[str, Any]:
    """What members take, by the names that Dagster gives to it."""
    key = dg.AssetKey("made")
    kind = DagsterEventType.ASSET_MATERIALIZATION
    check = dg.AssetCheckKey(key, "ok")
    return {
        "run_id": run_id,
        "run_ids": [run_id],
        "asset_key": key,
        "asset_keys": [key],
        "asset_keys_to_fetch": [key],
        "event_type": kind,
        "event_records_filter": EventRecordsFilter(kind, asset_key=key),
        "filters": kind,
        "records_filter": kind,
        "materialization_key": key,
        "check_key": check,
        "check_keys": [check],
        "partitions_def_name": "days",
        "partition_key": "monday",
        "partition_name": "monday",
        "concurrency_key": "pool",
        "tag_keys": ["dagster/x"],
        "limit": 5,
        "cursor": None,
        "event_cursor": None,
        "backfill_id": "none",
        "name": "asset_key_table",
        "table_name": "event_logs",
        "partition_keys": ["a"],
        "path": ["made"],
        "db_string": key.to_string(),
        "timestamp": datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp(),
        "after_cursor": None,
        "asset_selection": [key],
        "before_cursor": EventLogCursor.from_storage_id(10).to_string(),
        "run_records": [],
        "step_keys": ["made"],
    }


def comparable(value: Any) -> Any:
    """Read what can be read only once."""
    return list(value) if isinstance(value, Iterator) else value


def test_reading_members_answer_as_the_bare_storage(storage: tuple[Any, str]) -> None:
    bare, run_id = storage
    wrapper: Any = OpenLineageEventLogStorage(bare)
    known = arguments(run_id)
    called = []
    for name in members(type(bare)):
        static = inspect.getattr_static(type(bare), name)
        if not callable(static) and not isinstance(static, (staticmethod, classmethod)):
            assert getattr(wrapper, name) == getattr(bare, name), name
            called.append(name)
            continue
        if name.startswith(CHANGING):
            continue
        needed = [
            each
            for each in inspect.signature(getattr(bare, name)).parameters.values()
            if each.default is each.empty
            and each.kind is not each.VAR_KEYWORD
            and each.kind is not each.VAR_POSITIONAL
        ]
        if any(each.name not in known for each in needed):
            continue
        given = {each.name: known[each.name] for each in needed}
        try:
            expected = comparable(getattr(bare, name)(**given))
        except Exception as error:
            with pytest.raises(type(error)):
                comparable(getattr(wrapper, name)(**given))
            continue
        assert comparable(getattr(wrapper, name)(**given)) == expected, name
        called.append(name)
    assert len(called) > 40, called
    assert {"get_logs_for_run", "get_asset_records", "get_maximum_record_id"} <= set(called)


def tell(called: list[Any], name: str) -> Callable[..., str]:
    def member(*args: Any, **options: Any) -> str:
        called.append((name, args, options))
        return f"answer of {name}"

    return member


@pytest.mark.parametrize("of", CLASSES, ids=lambda each: each.__name__)
def test_every_member_of_the_class_is_the_inner_storages(
    of: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = of.__new__(of)
    wrapper = OpenLineageEventLogStorage(inner)
    forwarded = 0
    for name in members(of):
        if callable(inspect.getattr_static(of, name)) or isinstance(
            inspect.getattr_static(of, name), (staticmethod, classmethod)
        ):
            called: list[Any] = []
            monkeypatch.setattr(inner, name, tell(called, name))
            assert getattr(wrapper, name)(1, two=2) == f"answer of {name}"
            assert called == [(name, (1,), {"two": 2})]
        else:
            with monkeypatch.context() as patched:
                patched.setattr(of, name, property(lambda self, name=name: f"value of {name}"))
                assert getattr(wrapper, name) == f"value of {name}"
        forwarded += 1
    assert forwarded > 80


def test_a_member_of_a_later_version_is_forwarded(tmp_path: Path) -> None:
    class Later(SqliteEventLogStorage):
        def something_new(self, what: str) -> str:
            return f"{what} of {type(self).__name__}"

    wrapper: Any = OpenLineageEventLogStorage(Later(str(tmp_path)))
    assert wrapper.something_new("it") == "it of Later"


@pytest.mark.parametrize("of", CLASSES, ids=lambda each: each.__name__)
def test_isinstance_takes_it_for_the_inner_storage_and_for_ours(of: type) -> None:
    wrapper = OpenLineageEventLogStorage(of.__new__(of))
    assert isinstance(wrapper, of)
    assert isinstance(wrapper, (EventLogStorage, OpenLineageEventLogStorage))
    assert type(wrapper) is OpenLineageEventLogStorage
