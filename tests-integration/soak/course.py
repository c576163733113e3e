"""The course of events on one deployment: load, faults, an end, and the reconciliation."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dagster_home import wait_until
from receiver import Receiver
from soak import project
from soak.arrivals import Arrivals
from soak.deployment import Deployment
from soak.faults import BACKEND_FAULTS, KILL_RUN, KILL_SENDER, KINDS, heal
from soak.load import Execution, Load
from soak.reconciliation import Reconciliation, reconcile

FAULT_SECONDS = (1.0, 10.0)
PAUSE_SECONDS = (1.0, 6.0)
SLOT_SECONDS = 10.0
"""A fault and a pause take this long on average; where there is less time, they are shorter."""

KILLS_IN_BETWEEN = {KILL_RUN: 0.3, KILL_SENDER: 0.1}
"""How often somebody is killed while the backend fails as well."""

SENDER_SECONDS = 60.0
"""So long somebody is looked for who sends."""

POLL_SECONDS = 0.1
BEGINNING_SECONDS = 120.0
DRAIN_SECONDS = 180.0
END_SECONDS = 60.0

EXPECTED_WARNINGS = ("the backend takes no events", "will retry", "are tried again")


@dataclass
class Outcome:
    """How a deployment fared.

    Args:
        mechanism: which one.
        seconds: how long there was load.
        runs: by status.
        killed: runs of which a process was killed.
        reports: what was reported from outside any run.
        faults: how often something was made to go wrong, by kind.
        drained_seconds: how long something waited after the end of the load.
        reconciliation: the comparison.
        failures: what else went wrong, a line for each.
    """

    mechanism: str
    seconds: float = 0.0
    runs: Counter[str] = field(default_factory=Counter)
    killed: int = 0
    reports: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    drained_seconds: float = 0.0
    reconciliation: Reconciliation = field(default_factory=Reconciliation)
    failures: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing is missing or different, and nothing else went wrong."""
        return self.reconciliation.is_exact and not self.failures


class Course:
    """Loads a deployment for a time, and does it harm.

    Args:
        deployment: what is loaded.
        receiver: its backend.
        arrivals: what that takes.
        seed: chooses what happens.
        workers: how many runs at a time.
        tell: is told what happens.
    """

    def __init__(
        self,
        deployment: Deployment,
        receiver: Receiver,
        arrivals: Arrivals,
        seed: int,
        workers: int,
        tell: Callable[[str], None],
    ) -> None:
        self._deployment = deployment
        self._receiver = receiver
        self._arrivals = arrivals
        named = f"{seed} {deployment.mechanism}"
        self._chance = random.Random(named)
        self._load = Load(deployment.home, deployment.logs, named, workers)
        self._tell = tell
        self._outcome = Outcome(deployment.mechanism)
        self._scale = 1.0

    def run(self, seconds: float) -> Outcome:
        """Go through all of it.

        Args:
            seconds: how long there is load; longer where not every fault has been by then.

        Returns:
            How it went.
        """
        self._scale = min(1.0, seconds / (len(KINDS) * SLOT_SECONDS))
        self._deployment.start()
        began = time.monotonic()
        self._load.start()
        try:
            self._wait_until(lambda: len(self._arrivals) > 0, "the first event to arrive")
            self._do_harm(began + seconds)
        except (AssertionError, LookupError) as error:
            self._outcome.failures.append(str(error))
        finally:
            heal(self._receiver)
            self._tell("the last runs")
            self._load.stop()
        self._outcome.seconds = time.monotonic() - began
        self._drain()
        self._take_stock()
        return self._outcome

    def _do_harm(self, deadline: float) -> None:
        kinds: list[str] = []
        while time.monotonic() < deadline or len(self._outcome.faults) < len(KINDS):
            kinds = kinds or self._chance.sample(KINDS, len(KINDS))
            kind = kinds.pop()
            if time.monotonic() < deadline or not self._outcome.faults[kind]:
                self._pause(PAUSE_SECONDS)
                self._tell(kind)
                self._happen(kind)

    def _happen(self, kind: str) -> None:
        if kind == KILL_RUN:
            self._kill_run()
        elif kind == KILL_SENDER:
            self._kill_sender(SENDER_SECONDS)
        else:
            [fault] = [fault for fault in BACKEND_FAULTS if fault.name == kind]
            fault.begin(self._receiver, self._chance)
            self._outcome.faults[kind] += 1
            try:
                self._pause(FAULT_SECONDS)
                self._kill_as_well()
            finally:
                heal(self._receiver)
                self._tell("")

    def _kill_as_well(self) -> None:
        for kind, frequency in KILLS_IN_BETWEEN.items():
            if self._chance.random() > frequency:
                continue
            if kind == KILL_RUN:
                self._kill_one_of(self._load.started(self._deployment.instance))
            else:
                with contextlib.suppress(LookupError):
                    # There may be nobody: a process that can send nothing ends.
                    self._kill_sender(patience=0)
            self._pause(PAUSE_SECONDS)

    def _kill_run(self) -> None:
        started = self._started_runs()
        time.sleep(self._chance.uniform(0, 1))
        self._kill_one_of([each for each in started if each.is_alive] or self._started_runs())

    def _kill_one_of(self, executions: list[Execution]) -> None:
        if executions:
            self._outcome.faults[KILL_RUN] += 1
            self._chance.choice(executions).kill(with_steps=self._chance.random() < 0.6)

    def _started_runs(self) -> list[Execution]:
        started: list[Execution] = []

        def is_any_there() -> bool:
            started.extend(self._load.started(self._deployment.instance))
            return bool(started)

        self._wait_until(is_any_there, "a run to start")
        return started

    def _wait_until(self, condition: Callable[[], bool], about: str) -> None:
        about = f"{about}; see {self._deployment.logs}"
        wait_until(condition, BEGINNING_SECONDS, about, POLL_SECONDS)

    def _kill_sender(self, patience: float) -> None:
        group = self._deployment.kill_sender(patience)
        self._outcome.faults[KILL_SENDER] += 1
        for execution in self._load.executions:
            if execution.process.pid == group:
                execution.is_killed = True
        self._pause(FAULT_SECONDS)
        self._deployment.start()

    def _pause(self, between: tuple[float, float]) -> None:
        time.sleep(self._chance.uniform(*between) * self._scale)

    def _drain(self) -> None:
        self._tell("delivery of what waits")
        self._deployment.start()
        began = time.monotonic()
        try:
            self._deployment.drain(DRAIN_SECONDS)
        except AssertionError as error:
            self._outcome.failures.append(f"not all was delivered in time: {error}")
        self._outcome.drained_seconds = time.monotonic() - began
        self._outcome.failures += self._deployment.faults()
        self._deployment.stop()
        try:
            wait_until(lambda: not self._deployment.processes(), END_SECONDS, interval=POLL_SECONDS)
        except AssertionError:
            left = [each.info["cmdline"] for each in self._deployment.processes()]
            self._outcome.failures += [f"still runs: {command}" for command in left]

    def _take_stock(self) -> None:
        self._tell("reconciliation")
        outcome, load, instance = self._outcome, self._load, self._deployment.instance
        outcome.runs = Counter(run.status.value for run in instance.get_runs())
        outcome.killed = sum(execution.is_killed for execution in load.executions)
        outcome.reports = load.reports
        outcome.failures += load.faults
        outcome.failures += [
            execution.fault for execution in load.executions if execution.fault is not None
        ]
        home = self._deployment.home.path
        for log in (*sorted(self._deployment.logs.glob("*.log")), *sorted(home.glob("*.log"))):
            outcome.failures += [f"{log}: {line}" for line in _complaints(log)]
        outcome.reconciliation = reconcile(
            instance, self._arrivals, project.DEFINITIONS, self._deployment.runless_definitions()
        )


def _complaints(log: Path) -> Iterator[str]:
    """Find what ours logged that no fault of the backend explains."""
    with log.open(errors="replace") as lines:
        for line in lines:
            says_something = "OpenLineage: " in line
            is_expected = any(warning in line for warning in EXPECTED_WARNINGS)
            is_raised_by_us = 'File "' in line and "openlineage_dagster_" in line
            if (says_something and not is_expected) or is_raised_by_us:
                yield line.strip()
