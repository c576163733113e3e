"""A pytest plugin: a test of a wrapped storage has to pass, or to come to what the bare one does.

Tests whose parameters end in `-wrapped` and `-bare` are pairs. The bare one is run only where the
wrapped one does not pass. What fails bare too is no fault of ours: it counts as skipped. What
Dagster marks as flaky is run again as often as it says (pytest-rerunfailures).
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from types import ModuleType
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

BARE, WRAPPED = "-bare", "-wrapped"


def pytest_configure(config: pytest.Config) -> None:
    """Compare where reports are counted; the tests may run in processes that xdist starts."""
    config.pluginmanager.register(_PassedWrapped())
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Comparison())
    # Published nowhere; what is imported from it is for tests of run storages.
    for name in ("dagster_test", "dagster_test.utils", "dagster_test.utils.data_factory"):
        sys.modules.setdefault(name, ModuleType(name))
    factory: Any = sys.modules["dagster_test.utils.data_factory"]
    factory.dagster_run = None


class _Pairs(LoadScopeScheduling):  # type: ignore[misc]
    """Sends the two of a pair to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return _bare_name(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Pairs:
    """Say how the tests are distributed."""
    return _Pairs(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each bare test after its wrapped one."""
    items.sort(key=lambda item: (_bare_name(item.nodeid), BARE in item.name))


def _is_result(report: pytest.TestReport) -> bool:
    """Return True for what a test came to: "rerun" is that of one which is run again."""
    is_last = report.when == "call" or report.outcome != "passed"
    return is_last and report.outcome in {"passed", "failed", "skipped"}


class _PassedWrapped:
    """Leaves out the bare tests whose wrapped ones have passed in this process."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what passes, before a comparison changes it."""
        if _is_result(report) and WRAPPED in report.nodeid and report.outcome == "passed":
            self._names.add(_bare_name(report.nodeid))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Leave a test out."""
        if BARE in item.nodeid and item.nodeid in self._names:
            pytest.skip("passes wrapped")


class _Comparison:
    """Changes what a pair came to, before anything counts it."""

    def __init__(self) -> None:
        self._of_wrapped: dict[str, tuple[str, str]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Compare."""
        if _is_result(report):
            self._compare(report)
        yield

    def _compare(self, report: pytest.TestReport) -> None:
        name = _bare_name(report.nodeid)
        if WRAPPED in report.nodeid:
            self._of_wrapped[name] = (report.outcome, report.longreprtext)
            if report.outcome == "failed":
                _skip(report, "the bare one tells whose fault it is")
            return
        wrapped, text = self._of_wrapped.get(name, ("passed", ""))
        if report.outcome == "failed":
            _skip(report, "fails bare too")
        elif wrapped not in {"passed", report.outcome}:
            report.longrepr = f"{report.outcome} bare, {wrapped} wrapped\n{text}"
            report.outcome = "failed"


def _skip(report: pytest.TestReport, reason: str) -> None:
    report.outcome = "skipped"
    report.longrepr = (report.location[0], 0, reason)


def _bare_name(nodeid: str) -> str:
    return nodeid.replace(WRAPPED, BARE)
