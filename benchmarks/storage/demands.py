"""What Mechanism A may cost, and whether it does not cost more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.deployments import Subject
from benchmarks.storage.importing import Imports
from benchmarks.storage.kinds import Kind
from benchmarks.storage.running import RunScene
from benchmarks.storage.storing import Scene, ratios

STORE_LIMIT = 1.02
"""Of `store_event`, and of batches of 1,000."""

P99_LIMIT = 1.25
RUN_LIMIT = 1.02
IMPORT_LIMIT_MS = 50.0

TIMES_BARE = "x"
MILLISECONDS = " ms"
CLIENTS = " clients"


@dataclass(frozen=True)
class Demand:
    """One figure that has a limit.

    Args:
        what: is measured.
        where: the database.
        backend: how it behaves; empty where there is none.
        figure: what was found.
        limit: what is allowed.
        unit: of both.
        noise: the same figure of one bare storage beside another; None where that was not measured.
    """

    what: str
    where: str
    backend: str
    figure: float
    limit: float
    unit: str = TIMES_BARE
    noise: float | None = None

    @property
    def is_met(self) -> bool:
        """True if the figure is within the limit, or differs by no more than bare storages do."""
        noise = abs(self.noise - 1) if self.noise is not None else 0.0
        return self.figure <= max(self.limit, 1 + noise if self.unit == TIMES_BARE else 0.0)


def demands(
    scenes: Iterable[Scene], runs: Iterable[RunScene], imports: Mapping[Subject, Imports]
) -> Iterator[Demand]:
    """Hold what was measured against the limits.

    Args:
        scenes: of storing.
        runs: of whole runs.
        imports: by subject.

    Yields:
        Every demand that something was measured for.
    """
    for scene in scenes:
        yield from _of_storing(scene)
    for run in runs:
        yield from _of_run(run)
    ours = imports.get(Subject.OURS)
    if ours is not None:
        for what, seconds in (
            ("import of the package, after dagster", ours.package),
            ("of its storage, after Dagster's storages", ours.own),
        ):
            figure = median(seconds) * 1000
            yield Demand(what, "", "", figure, IMPORT_LIMIT_MS, MILLISECONDS)
        yield Demand("import brings the client", "", "", float(ours.has_client), 0, CLIENTS)


def _of_storing(scene: Scene) -> Iterator[Demand]:
    for kind in Kind:
        noise = dict(ratios(scene, kind, Subject.BARE_AGAIN))
        for name, figure in ratios(scene, kind, Subject.OURS):
            yield Demand(
                f"{kind.value}, {name}",
                scene.database.value,
                scene.behaviour.value,
                figure,
                P99_LIMIT if name == "p99" else STORE_LIMIT,
                noise=noise.get(name),
            )


def _of_run(scene: RunScene) -> Iterator[Demand]:
    noise = None
    again = scene.times.get((Subject.BARE_AGAIN, None))
    if again is not None and again.runs:
        noise = again.ratio(lambda each: each.wall)
    for (subject, behaviour), times in scene.times.items():
        if subject is Subject.OURS and behaviour is not None:
            yield Demand(
                f"run of 50 assets, {scene.executor}",
                scene.database.value,
                behaviour.value,
                times.ratio(lambda each: each.wall),
                RUN_LIMIT,
                noise=noise,
            )
