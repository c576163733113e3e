"""How long `store_event` and its batches take, in rounds in which all subjects take turns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.backends import Behaviour, running
from benchmarks.deliverer.running import delivering
from benchmarks.deployments import Database, Deployments, Subject
from benchmarks.storage.kinds import Kind
from benchmarks.workers import NoAnswerError, Worker, working

LONGEST_SECONDS = 600.0
"""Nothing of Dagster's own takes so long."""

WORKER = "benchmarks.storage.worker"
ENOUGH_FOR_P99 = 100

QUIET_SECONDS = 2.0
"""Seconds without a receipt after which all is delivered."""


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Args:
        rounds: in each of which every subject stores events of each kind.
        events: of a kind in a round.
        batches: of each subject, by database.
        warm_up: before the first round, in seconds.
        predecessor_seconds: how long the predecessor may take for the events of one kind, in all.
        cap: after how many seconds a request to the predecessor is given up.
    """

    rounds: int
    events: int
    batches: Mapping[Database, int]
    warm_up: float
    predecessor_seconds: float
    cap: float


@dataclass
class Times:
    """What one subject took for the events of one kind.

    Args:
        seconds: of each call.
        cpu_seconds: of the calling thread, for each call.
        given_up_after: seconds after which the one that did not end was given up.
    """

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    given_up_after: float | None = None

    @property
    def median(self) -> float | None:
        """In seconds; none where nothing was measured."""
        return median(self.seconds) if self.seconds else None

    @property
    def cpu_median(self) -> float | None:
        """In seconds of the processor; none where nothing was measured."""
        return median(self.cpu_seconds) if self.cpu_seconds else None

    @property
    def p99(self) -> float | None:
        """In seconds; none where too little was measured."""
        if len(self.seconds) < ENOUGH_FOR_P99:
            return None
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)]


@dataclass
class Scene:
    """One database and one backend, and what was measured there.

    Args:
        database: where events are stored.
        behaviour: what the backend does.
        times: by subject and kind.
        dispose_seconds: how long the last `dispose` took, by subject.
        taken: the number of events that the backend took until then, by subject.
        taken_later: the number that it took after that, by subject.
        dagster: the version, by subject.
    """

    database: Database
    behaviour: Behaviour
    times: dict[tuple[Subject, Kind], Times] = field(default_factory=dict)
    dispose_seconds: dict[Subject, float] = field(default_factory=dict)
    taken: dict[Subject, int] = field(default_factory=dict)
    taken_later: dict[Subject, int] = field(default_factory=dict)
    dagster: dict[Subject, str] = field(default_factory=dict)

    def of(self, subject: Subject, kind: Kind) -> Times:
        """Find what a subject took.

        Args:
            subject: who.
            kind: of what.

        Returns:
            Its times, empty where nothing was measured.
        """
        return self.times.setdefault((subject, kind), Times())

    def bare(self, kind: Kind) -> Times:
        """Put together what the bare storages took.

        Args:
            kind: of what.

        Returns:
            Of both, for the comparison.
        """
        together = Times()
        for subject in Subject:
            if subject.is_bare:
                together.seconds += self.of(subject, kind).seconds
                together.cpu_seconds += self.of(subject, kind).cpu_seconds
        return together


class Stage:
    """The workers of one scene.

    Args:
        scene: is filled.
        extent: how much is measured.
        workers: by subject, in the order of their turns.
    """

    def __init__(self, scene: Scene, extent: Extent, workers: dict[Subject, Worker]) -> None:
        self._scene = scene
        self._extent = extent
        self._workers = workers

    def warm_up(self) -> None:
        """Let every worker make its connections, threads and imports, all at once."""
        for worker in self._workers.values():
            worker.tell(do="warm up", seconds=self._extent.warm_up)
        for subject in list(self._workers):
            # The predecessor may take seconds for each of three events.
            self._wait(subject, Times(), self._extent.warm_up + 3 * self._extent.cap)

    def rounds(self, number: int, kinds: Sequence[Kind], events: int) -> None:
        """Let every worker store events of each kind, in turn.

        Args:
            number: of rounds. The order turns around once, half way: with each round, who ended
                the one before would begin the next, and be a twentieth faster, its caches warm.
            kinds: of what.
            events: how many.
        """
        for each in range(number):
            for kind in kinds:
                turns = list(self._workers)
                for subject in reversed(turns) if each >= number / 2 else turns:
                    self._turn(subject, kind, events)

    def dispose(self) -> None:
        """Let every worker dispose of its instance."""
        for subject in list(self._workers):
            times = Times()
            self._ask(subject, times, 1, do="dispose")
            if times.seconds:
                self._scene.dispose_seconds[subject] = times.seconds[0]

    def _turn(self, subject: Subject, kind: Kind, events: int) -> None:
        times = self._scene.of(subject, kind)
        budget = LONGEST_SECONDS
        if subject is Subject.PREDECESSOR:
            if kind is Kind.BATCH and (
                self._scene.behaviour is not Behaviour.FAST or times.seconds
            ):
                return
            if sum(times.seconds) > self._extent.predecessor_seconds:
                return
            budget = self._extent.predecessor_seconds / self._extent.rounds
        self._ask(
            subject,
            times,
            1,
            do="store",
            kind=kind.value,
            count=events,
            budget=budget,
        )

    def _ask(self, subject: Subject, times: Times, calls: int, **request: object) -> None:
        worker = self._workers.get(subject)
        if worker is None:
            return
        worker.tell(**request)
        self._wait(subject, times, self._extent.cap * calls)

    def _wait(self, subject: Subject, times: Times, timeout: float) -> None:
        is_predecessor = subject is Subject.PREDECESSOR
        try:
            answer = self._workers[subject].answer(timeout if is_predecessor else LONGEST_SECONDS)
            took = answer["seconds"]
            times.seconds += [seconds for seconds, _ in took]
            times.cpu_seconds += [seconds for _, seconds in took]
        except NoAnswerError:
            if not is_predecessor:
                raise
            times.given_up_after = timeout
            del self._workers[subject]


def store(
    deployments: Deployments,
    database: Database,
    behaviour: Behaviour,
    subjects: Sequence[Subject],
    extent: Extent,
) -> Scene:
    """Measure all subjects in one scene.

    Args:
        deployments: makes one for each subject.
        database: where events are stored.
        behaviour: what the backend does.
        subjects: in the order of their turns.
        extent: how much is measured.

    Returns:
        What was measured.
    """
    scene = Scene(database, behaviour)
    singles = [Kind.LOG_LINE, Kind.STEP, Kind.MATERIALIZATION]
    with contextlib.ExitStack() as stack:
        workers: dict[Subject, Worker] = {}
        backends = {}
        for subject in subjects:
            is_ours = subject is Subject.OURS
            deployment = stack.enter_context(
                deployments.new(database, subject, starts_deliverer=is_ours)
            )
            url = None
            if not subject.is_bare:
                # Each has its own, which is asked what it took.
                backends[subject] = stack.enter_context(running(behaviour))
                url = backends[subject].url
                if is_ours:
                    stack.enter_context(delivering(deployment, url))
            # The predecessor may take seconds for each of fifty planned assets.
            job_name = "without_assets" if subject is Subject.PREDECESSOR else "in_process"
            workers[subject] = stack.enter_context(working(deployment, url, WORKER, job_name))
        scene.dagster = {subject: worker.started() for subject, worker in workers.items()}
        stage = Stage(scene, extent, workers)
        stage.warm_up()
        stage.rounds(extent.rounds, singles, extent.events)
        stage.rounds(extent.batches[database], [Kind.BATCH], 1)
        scene.taken = {subject: backend.taken() for subject, backend in backends.items()}
        stage.dispose()
        for subject, backend in backends.items():
            if behaviour.answers:
                later = backend.wait_until_quiet(QUIET_SECONDS)
                scene.taken_later[subject] = later - scene.taken[subject]
    return scene


def ratios(scene: Scene, kind: Kind, subject: Subject) -> Iterator[tuple[str, float]]:
    """Compare a subject with the bare storages.

    Args:
        scene: where.
        kind: of what.
        subject: who; for the one that is bare again the result is the noise of the machine.

    Yields:
        `median` and `p99`, and how many times as long the subject took.
    """
    ours = scene.of(subject, kind)
    bare = scene.of(Subject.BARE, kind) if subject.is_bare else scene.bare(kind)
    if ours.median is not None and bare.median is not None:
        yield "median", ours.median / bare.median
    if ours.p99 is not None and bare.p99 is not None:
        yield "p99", ours.p99 / bare.p99
