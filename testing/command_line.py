"""A pytest plugin: runs `openlineage-dagster` in this process, and tells what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Outcome:
    """What a command came to.

    Args:
        status: its exit status.
        out: what it wrote to standard output.
        err: what it wrote to standard error.
    """

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it wrote, where that is JSON."""
        return json.loads(self.out)


Run = Callable[..., Outcome]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run commands: `command("replay", "--dry-run")`."""
    # Nothing of the machine's decides.
    for name in ("DAGSTER_HOME", "OPENLINEAGE_URL"):
        monkeypatch.delenv(name, raising=False)

    # A plugin that imports the command line would keep it from all tests where it is broken.
    from openlineage_dagster_core.cli.main import status_of

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = status_of([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Outcome(status, out, err)

    return run
