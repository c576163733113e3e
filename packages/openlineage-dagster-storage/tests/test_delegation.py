"""Every member of the wrapped storage answers through the wrapper."""

import copy
import inspect
import pickle
from pathlib import Path
from typing import Any

import pytest
from dagster import EventLogEntry
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

from openlineage_dagster_storage.delegation import DelegatingEventLogStorage

PUBLIC = sorted(
    name
    for owner in EventLogStorage.__mro__
    if owner is not object
    for name in vars(owner)
    if not (name.startswith("__") and name.endswith("__")) and name != "_abc_impl"
)


class Recording(SqliteEventLogStorage):
    """Says which member was asked for, and answers with it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def only_here(self) -> str:
        return "here"


@pytest.mark.parametrize("name", PUBLIC)
def test_a_member_is_the_inner_storages(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Recording()
    wrapper = DelegatingEventLogStorage(inner)
    if callable(inspect.getattr_static(EventLogStorage, name)):
        monkeypatch.setattr(inner, name, lambda *args, **kwargs: (name, args, kwargs))
        answer = getattr(wrapper, name)(1, "two", three=3)
        assert answer == (name, (1, "two"), {"three": 3})
    else:
        monkeypatch.setattr(Recording, name, property(lambda self: f"the inner's {name}"))
        assert getattr(wrapper, name) == f"the inner's {name}"


def test_members_that_only_the_inner_class_has_are_reached() -> None:
    wrapper: Any = DelegatingEventLogStorage(Recording())
    assert wrapper.only_here() == "here"
    with pytest.raises(AttributeError, match="nonsense"):
        wrapper.nonsense  # noqa: B018


def test_nothing_is_left_abstract() -> None:
    assert not DelegatingEventLogStorage.__abstractmethods__
    assert isinstance(DelegatingEventLogStorage(Recording()), EventLogStorage)


def test_copying_and_pickling_do_not_recurse(tmp_path: Path) -> None:
    inner = Recording()
    assert copy.copy(DelegatingEventLogStorage(inner))._inner is inner
    blank = DelegatingEventLogStorage.__new__(DelegatingEventLogStorage)
    with pytest.raises(AttributeError, match="_inner"):
        blank._inner  # noqa: B018
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
        pickle.dumps(DelegatingEventLogStorage(_unpicklable()))


def _unpicklable() -> Any:
    inner = Recording()
    inner.handle = lambda: None  # type: ignore[attr-defined]
    return inner


def test_a_real_storage_stores_and_reads_through_it(tmp_path: Path) -> None:
    wrapper = DelegatingEventLogStorage(SqliteEventLogStorage(str(tmp_path)))
    entry = EventLogEntry(None, "info", "hello", "run-1", 1.0)
    wrapper.store_event(entry)
    assert wrapper.get_logs_for_run("run-1") == [entry]
    assert wrapper.is_run_sharded
    wrapper.dispose()
