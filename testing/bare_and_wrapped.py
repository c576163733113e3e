"""A pytest plugin: a test of a wrapped storage has to come to what the bare one came to.

Tests whose parameters end in `-bare` and `-wrapped` are pairs. What fails bare is no fault of ours:
it counts as skipped, and may fail wrapped.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from types import ModuleType
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

BARE, WRAPPED = "-bare", "-wrapped"

_outcomes: dict[str, str] = {}
"""By the name of the bare test."""


def pytest_configure(config: pytest.Config) -> None:
    """Know the marks of the tests that are compared."""
    config.addinivalue_line("markers", "flaky: as Dagster's own tests say of some")
    # Published nowhere; what is imported from it is for tests of run storages.
    for name in ("dagster_test", "dagster_test.utils", "dagster_test.utils.data_factory"):
        sys.modules.setdefault(name, ModuleType(name))
    factory: Any = sys.modules["dagster_test.utils.data_factory"]
    factory.dagster_run = None


class _Pairs(LoadScopeScheduling):  # type: ignore[misc]
    """Sends the two of a pair to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.replace(WRAPPED, BARE)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Pairs:
    """Say how the tests are distributed."""
    return _Pairs(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each wrapped test after its bare one."""
    items.sort(key=lambda item: (_bare_name(item), WRAPPED in item.name))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Compare."""
    report = yield
    is_bare, is_wrapped = BARE in item.name, WRAPPED in item.name
    if not (is_bare or is_wrapped) or (report.when != "call" and report.outcome == "passed"):
        return report
    name = _bare_name(item)
    if is_bare:
        _outcomes[name] = report.outcome
    expected = _outcomes.get(name)
    if report.failed and (is_bare or expected == "failed"):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, "fails bare too")
    elif is_wrapped and expected is not None and report.outcome != expected:
        report.outcome = "failed"
        report.longrepr = f"{expected} bare, {report.outcome} wrapped\n{report.longreprtext}"
    return report


def _bare_name(item: pytest.Item) -> str:
    return item.nodeid.replace(WRAPPED, BARE)
