"""The comparison that Dagster's suite is run with: it tells of every fault that is ours."""

from pathlib import Path
from typing import Any

import pytest

for tool in ("xdist", "pytest_rerunfailures"):
    pytest.importorskip(tool, reason="it takes the tools of its session: nox -s storage_suite")

TESTING = Path(__file__).parents[2] / "testing"

PAIR = """
import pathlib
import pytest

OUTCOMES = {outcomes!r}

@pytest.mark.flaky(reruns={reruns})
@pytest.mark.parametrize("storage", ["sqlite-bare", "sqlite-wrapped"])
def test_pair(storage):
    at = pathlib.Path({folder!r}, storage)
    times = len(at.read_text()) if at.exists() else 0
    at.write_text("x" * (times + 1))
    outcome = OUTCOMES[storage.split("-")[1]][times]
    if outcome == "skipped":
        pytest.skip("not here")
    assert outcome == "passed"
"""


@pytest.fixture
def run(pytester: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONPATH", str(TESTING))

    def run(bare: list[str], wrapped: list[str], *options: str) -> dict[str, int]:
        outcomes = {"bare": bare, "wrapped": wrapped}
        reruns = max(len(bare), len(wrapped)) - 1
        pytester.makepyfile(PAIR.format(outcomes=outcomes, folder=str(tmp_path), reruns=reruns))
        result = pytester.runpytest_subprocess("-p", "bare_and_wrapped", *options)
        assert result.ret == ("failed" in result.parseoutcomes())
        return dict(result.parseoutcomes())

    return run


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "distributed"])
@pytest.mark.parametrize(
    ("bare", "wrapped", "expected"),
    [
        # The bare one is not run.
        ("passed", "passed", {"passed": 1, "skipped": 1}),
        ("passed", "failed", {"skipped": 1, "failed": 1}),
        ("passed", "skipped", {"skipped": 1, "failed": 1}),
        ("skipped", "skipped", {"skipped": 2}),
        ("skipped", "failed", {"skipped": 1, "failed": 1}),
        ("failed", "failed", {"skipped": 2}),
        ("failed", "skipped", {"skipped": 2}),
    ],
)
def test_what_passes_bare_has_to_pass_wrapped(
    run: Any, bare: str, wrapped: str, expected: dict[str, int], options: tuple[str, ...]
) -> None:
    assert run([bare], [wrapped], *options) == expected


def test_what_is_flaky_is_run_again_before_it_counts(run: Any) -> None:
    outcome = run(["passed"], ["failed", "passed"], "-n", "2")
    assert outcome == {"passed": 1, "skipped": 1, "rerun": 1}


def test_what_is_flaky_bare_is_run_again_as_well(run: Any) -> None:
    outcome = run(["failed", "passed"], ["failed", "failed"])
    assert outcome == {"skipped": 1, "failed": 1, "rerun": 2}


def test_what_fails_every_time_it_is_run_again_counts(run: Any) -> None:
    assert run(["passed"], ["failed", "failed"]) == {"skipped": 1, "failed": 1, "rerun": 1}
