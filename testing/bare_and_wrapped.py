"""A pytest plugin: a test of a wrapped storage has to come to what the bare one came to.

Tests whose parameters end in `-bare` and `-wrapped` are pairs. What fails bare is no fault of ours:
it counts as skipped, and its pair may come to anything. What Dagster marks as flaky is run again as
often as it says (pytest-rerunfailures).
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
    """Compare where reports are counted: not in the processes that xdist starts."""
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
    """Put each wrapped test after its bare one."""
    items.sort(key=lambda item: (_bare_name(item.nodeid), WRAPPED in item.name))


class _Comparison:
    """Changes what a pair came to, before anything counts it."""

    def __init__(self) -> None:
        self._of_bare: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Compare."""
        is_last = report.when == "call" or report.outcome != "passed"
        # "rerun" is that of one which is run again.
        if is_last and report.outcome in {"passed", "failed", "skipped"}:
            self._compare(report)
        yield

    def _compare(self, report: pytest.TestReport) -> None:
        found, name = report.outcome, _bare_name(report.nodeid)
        if BARE in report.nodeid:
            self._of_bare[name] = found
        expected = self._of_bare.get(name, found)
        if found == expected == "failed":
            report.outcome = "skipped"
            report.longrepr = (report.location[0], 0, "fails bare too")
        elif expected not in {"failed", found}:
            report.outcome = "failed"
            report.longrepr = f"{expected} bare, {found} wrapped\n{report.longreprtext}"


def _bare_name(nodeid: str) -> str:
    return nodeid.replace(WRAPPED, BARE)
