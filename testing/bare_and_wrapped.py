"""A pytest plugin: compares what tests say of a storage bare with what they say of it wrapped."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Generator
from types import ModuleType
from typing import Any

import pytest

WAYS = ("bare", "wrapped")

outcomes: defaultdict[str, dict[str, str]] = defaultdict(dict)
"""By test, the outcome each way, and the text of a failure."""


def pytest_configure(config: pytest.Config) -> None:
    """Know the marks of the tests that are compared."""
    config.addinivalue_line("markers", "flaky: as Dagster's own tests say of some")
    # Published nowhere; what is imported from it is for tests of run storages.
    for name in ("dagster_test", "dagster_test.utils", "dagster_test.utils.data_factory"):
        sys.modules.setdefault(name, ModuleType(name))
    factory: Any = sys.modules["dagster_test.utils.data_factory"]
    factory.dagster_run = None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what became of a test; whether a failure counts, the comparison tells."""
    report = yield
    for way in WAYS:
        if f"-{way}]" not in item.name and f"-{way}-" not in item.name:
            continue
        seen = outcomes[item.name.replace(f"-{way}", "")]
        if report.when == "call" or report.outcome != "passed":
            seen[way] = report.outcome
        if report.failed:
            seen[f"{way} text"] = report.longreprtext[-2000:]
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"fails {way}, see the comparison")
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Compare last."""
    items.sort(key=lambda item: item.name == "test_wrapped_as_bare")
