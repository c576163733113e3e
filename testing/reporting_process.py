"""A process that reports from outside any run, whatever it is told, line by line."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import dagster as dg

from dagster_home import DagsterHome

KINDS = ("materialization", "observation", "check")

END_SECONDS = 60.0


class ReporterEndedError(Exception):
    """The process has ended, or says something else than it should.

    Args:
        status: its exit status; negative where a signal killed it.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the reporting process has ended with {status}")
        self.status = status


class Reporter:
    """Starts the process, and tells it what to report.

    Args:
        home: its Dagster home.
        log: where its errors go.

    Raises:
        ReporterEndedError: it has not come to being ready.
    """

    def __init__(self, home: DagsterHome, log: Path) -> None:
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "reporting_process"],
                env=home.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        self._hear("ready")

    def report(self, asset: str, kind: str = "materialization") -> None:
        """Have it report something of an asset, and wait until that is stored.

        Args:
            asset: its key, as `a/b`.
            kind: one of `KINDS`.

        Raises:
            ReporterEndedError: what was to be reported is stored or not.
        """
        self._tell(f"{kind} {asset}")

    def _tell(self, line: str) -> None:
        assert self.process.stdin is not None
        # Where nobody hears it, nobody answers.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        self._hear(line)

    def ask(self) -> None:
        """Have it ask the event log something, as a daemon does all the time."""
        self._tell("ask the log")

    def kill(self) -> None:
        """Kill it, if it still runs."""
        self.process.kill()
        self._close()

    def end(self) -> None:
        """Let it dispose of its instance and end.

        Raises:
            subprocess.TimeoutExpired: it did not end within a minute.
            ReporterEndedError: it failed, or was killed meanwhile.
        """
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        status = self.process.wait(END_SECONDS)
        self._close()
        if status:
            raise ReporterEndedError(status)

    def _close(self) -> None:
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _hear(self, expected: str) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if line == expected:
            return
        try:
            status = self.process.wait(END_SECONDS)
        finally:
            self.kill()
        raise ReporterEndedError(status)


def main() -> None:
    """Report what standard input names, and answer each line when it is stored."""
    with dg.DagsterInstance.get() as instance:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for line in sys.stdin:
            kind, _, asset = line.strip().partition(" ")
            if kind == "ask":
                instance.event_log_storage.get_maximum_record_id()
            else:
                instance.report_runless_asset_event(_event(kind, dg.AssetKey(asset.split("/"))))
            sys.stdout.write(line)
            sys.stdout.flush()


def _event(
    kind: str, key: dg.AssetKey
) -> dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation:
    if kind == "observation":
        return dg.AssetObservation(key)
    if kind == "check":
        return dg.AssetCheckEvaluation(
            asset_key=key, check_name="from_outside", passed=True, metadata={}
        )
    return dg.AssetMaterialization(key)


if __name__ == "__main__":
    main()
