"""A pytest plugin: compares what tests say of a storage bare with what they say of it wrapped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator

import pytest

WAYS = ("bare", "wrapped")

outcomes: defaultdict[str, dict[str, str]] = defaultdict(dict)
"""By test, the outcome each way, and the text of a failure."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
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
