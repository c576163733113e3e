"""Which runs are replayed."""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from openlineage_dagster_core.replay import selection as selection_module
from openlineage_dagster_core.replay.selection import Selection
from orders_home import OrdersHome


@pytest.fixture
def instance(orders_home: OrdersHome) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(orders_home.path)) as instance:
        yield instance


def ids(selection: Selection, instance: dg.DagsterInstance) -> tuple[str, ...]:
    found = tuple(record.dagster_run.run_id for record in selection.runs(instance))
    assert selection.count(instance) in (None, len(found))
    return found


def test_everything_in_the_order_of_storing(
    instance: dg.DagsterInstance, orders_home: OrdersHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ids(Selection(), instance) == orders_home.runs
    monkeypatch.setattr(selection_module, "PAGE", 2)
    assert ids(Selection(), instance) == orders_home.runs
    monkeypatch.setattr(selection_module, "PAGE", 1)
    assert ids(Selection(), instance) == orders_home.runs


def test_by_id(instance: dg.DagsterInstance, orders_home: OrdersHome) -> None:
    chosen = (orders_home.nightly[0], orders_home.doomed)
    assert ids(Selection(run_ids=chosen[::-1]), instance) == chosen


@pytest.mark.parametrize(
    ("first", "last"), [(first, last) for first in range(3) for last in range(first, 3)]
)
def test_by_range(
    instance: dg.DagsterInstance, orders_home: OrdersHome, first: int, last: int
) -> None:
    runs = orders_home.runs
    selection = Selection(first_run=runs[first], last_run=runs[last])
    assert ids(selection, instance) == runs[first : last + 1]


def test_by_status(instance: dg.DagsterInstance, orders_home: OrdersHome) -> None:
    failed = Selection(statuses=(DagsterRunStatus.FAILURE,))
    assert ids(failed, instance) == (orders_home.doomed,)


def test_by_time_of_whatever_happened_in_a_run(
    instance: dg.DagsterInstance, orders_home: OrdersHome
) -> None:
    [_, second, _] = [
        instance.get_run_records(dg.RunsFilter(run_ids=[run_id]))[0] for run_id in orders_home.runs
    ]
    began = second.create_timestamp.timestamp()
    # The run before it had ended by then, the run itself had not.
    assert ids(Selection(since=began), instance) == orders_home.runs[1:]
    assert ids(Selection(until=began), instance) == orders_home.runs[:1]
    assert ids(Selection(since=began + 3600), instance) == ()


def test_events_of_no_run_go_with_times_and_not_with_runs() -> None:
    assert Selection().takes_runless
    assert Selection(since=1.0).takes_runless
    assert not Selection(run_ids=("a",)).takes_runless
    assert not Selection(first_run="a").takes_runless
    assert not Selection(statuses=(DagsterRunStatus.FAILURE,)).takes_runless
    limited = Selection(since=1.0, until=2.0)
    assert [limited.holds(at) for at in (0.5, 1.0, 1.5, 2.0)] == [False, True, True, False]
    assert Selection().holds(0.0)
