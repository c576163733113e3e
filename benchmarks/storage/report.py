"""Shows what was measured, for people and for machines."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.backends import STATES, Behaviour
from benchmarks.deployments import Subject
from benchmarks.storage.demands import CLIENTS, MILLISECONDS, Demand, demands
from benchmarks.storage.importing import Imports
from benchmarks.storage.kinds import Kind
from benchmarks.storage.running import RunScene, RunTimes
from benchmarks.storage.storing import Scene, Times, ratios
from benchmarks.tables import NOTHING, new_table

NOTES = """\
bare: two deployments of the same kind, taken together; noise: one of them beside the other. A run
is compared with the bare one before it and the one after it; the ratio is the median of those
ratios. A figure that differs by no more than the noise keeps its limit. All take turns in rounds,
each so short that the machine's speed is the same for all of them. Ours has a deliverer that lives
already, and delivers what the others' turns leave it time for.
0.2.1 stores fewer events: the time that it may take is limited; > means that it was given up.
cpu: of the thread that stores, without what it waits for; of a run, of all its processes, without
the deliverer.
delivered: what the backend took from ours until the last event was stored, or the first run's
process had ended; later: what it took after that.
"""


@dataclass
class Findings:
    """All that was measured.

    Args:
        scenes: of storing.
        runs: of whole runs.
        imports: by subject.
    """

    scenes: list[Scene] = field(default_factory=list)
    runs: list[RunScene] = field(default_factory=list)
    imports: Mapping[Subject, Imports] = field(default_factory=dict)

    def demands(self) -> list[Demand]:
        """Hold it against the limits.

        Returns:
            Every demand that something was measured for.
        """
        return list(demands(self.scenes, self.runs, self.imports))


def show(findings: Findings, console: Console) -> None:
    """Print tables; the last is that of the demands.

    Args:
        findings: what was measured.
        console: where to.
    """
    console.print(_versions(findings))
    for scene in findings.scenes:
        console.print(_storing(scene))
    if findings.scenes:
        console.print(_around(findings.scenes))
    for run in findings.runs:
        console.print(_run(run))
    if findings.imports:
        console.print(_imports(findings.imports))
    console.print(NOTES)
    console.print(_demands(findings.demands()))


def for_machines(findings: Findings) -> dict[str, Any]:
    """Give the same as plain data.

    Args:
        findings: what was measured.

    Returns:
        What can be written as JSON.
    """
    return {
        "python": platform.python_version(),
        "store": [
            {
                "database": scene.database.value,
                "backend": scene.behaviour.value,
                "subject": subject.value,
                "kind": kind.value,
                **asdict(times),
            }
            for scene in findings.scenes
            for (subject, kind), times in scene.times.items()
        ],
        "runs": [
            {
                "database": run.database.value,
                "executor": run.executor,
                "subject": subject.value,
                "backend": behaviour.value if behaviour else None,
                **asdict(times),
            }
            for run in findings.runs
            for (subject, behaviour), times in run.times.items()
        ],
        "imports": {subject.value: asdict(each) for subject, each in findings.imports.items()},
        "demands": [{**asdict(demand), "is_met": demand.is_met} for demand in findings.demands()],
    }


def _versions(findings: Findings) -> str:
    found = {
        f"{subject.value}: dagster {version}"
        for scene in findings.scenes
        for subject, version in scene.dagster.items()
    }
    return ", ".join([f"python {platform.python_version()}", *sorted(found)])


def _storing(scene: Scene) -> Table:
    table = new_table(
        f"store_event, {scene.database.value}, backend {scene.behaviour.value}: milliseconds",
        "what", "events", "bare", "ours", "ratio", "noise",
        "p99 bare", "ours", "ratio", "noise", "cpu bare", "ours", "0.2.1", "ratio",
    )  # fmt: skip
    for kind in Kind:
        bare, ours = scene.bare(kind), scene.of(Subject.OURS, kind)
        predecessor = scene.of(Subject.PREDECESSOR, kind)
        of_ours = dict(ratios(scene, kind, Subject.OURS))
        noise = dict(ratios(scene, kind, Subject.BARE_AGAIN))
        of_predecessor = dict(ratios(scene, kind, Subject.PREDECESSOR))
        table.add_row(
            kind.value,
            str(len(ours.seconds)),
            _ms(bare.median),
            _ms(ours.median),
            _ratio(of_ours.get("median")),
            _ratio(noise.get("median")),
            _ms(bare.p99),
            _ms(ours.p99),
            _ratio(of_ours.get("p99")),
            _ratio(noise.get("p99")),
            _ms(bare.cpu_median),
            _ms(ours.cpu_median),
            _given_up(predecessor) or _ms(predecessor.median),
            _ratio(of_predecessor.get("median")),
        )
    return table


def _around(scenes: Sequence[Scene]) -> Table:
    table = new_table(
        "around it, ours",
        "database",
        "backend",
        "delivered",
        "later",
        "dispose of bare",
        "of ours",
    )
    for scene in scenes:
        dispose = scene.dispose_seconds
        table.add_row(
            scene.database.value,
            scene.behaviour.value,
            f"{scene.taken.get(Subject.OURS, 0):,}",
            f"{scene.taken_later.get(Subject.OURS, 0):,}",
            _ms(dispose.get(Subject.BARE), " ms"),
            _ms(dispose.get(Subject.OURS), " ms"),
        )
    return table


def _run(scene: RunScene) -> Table:
    table = new_table(
        f"run of 50 assets, {scene.executor}, {scene.database.value}: seconds, medians",
        "who", "backend", "runs", "bare", "process", "ratio", "START to SUCCESS", "ratio", "cpu",
        "ratio", "delivered", "later", "within",
    )  # fmt: skip
    for (subject, behaviour), times in scene.times.items():
        if times.given_up_after is not None:
            figures = [NOTHING, f"> {times.given_up_after:.0f}", *[NOTHING] * 8]
        else:
            figures = [f"{median(each.wall for pair in times.around for each in pair):.2f}"]
            for name in ("wall", "inside", "cpu"):
                of = attrgetter(name)
                figures += [f"{median(map(of, times.runs)):.2f}", _ratio(times.ratio(of))]
            figures += _delivered(times, behaviour)
        table.add_row(
            subject.value,
            behaviour.value if behaviour else NOTHING,
            str(len(times.runs)),
            *figures,
        )
    return table


def _delivered(times: RunTimes, behaviour: Behaviour | None) -> list[str]:
    if behaviour is None or not behaviour.answers:
        return [NOTHING] * 3
    later = times.delivered_in_all - times.delivered
    within = f"{times.afterwards:.2f} s" if later else NOTHING
    return [f"{times.delivered:,}", f"{later:,}", within]


def _imports(imports: Mapping[Subject, Imports]) -> Table:
    table = new_table(
        "import, fresh interpreters: milliseconds of the processor, medians",
        "who", "rounds", "dagster", "the package", "Dagster's event log storages", "the storage",
        "brings the client",
    )  # fmt: skip
    for subject, each in imports.items():
        table.add_row(
            subject.value,
            str(len(each.own)),
            _ms(median(each.dagster)),
            _ms(median(each.package)),
            _ms(median(each.event_log)),
            _ms(median(each.own)),
            "yes" if each.has_client else "no",
        )
    return table


def _demands(found: Sequence[Demand]) -> Table:
    backends = [behaviour.value for behaviour in STATES]
    table = new_table("demands", "what", "database", "limit", *backends, "noise", "verdict")
    rows: dict[tuple[str, str], list[Demand]] = {}
    for demand in found:
        rows.setdefault((demand.what, demand.where), []).append(demand)
    for (what, where), of_row in rows.items():
        by_backend = {demand.backend: demand for demand in of_row}
        # What has no backend stands in the first column.
        first = by_backend.get("")
        noises = [demand.noise for demand in of_row if demand.noise is not None]
        table.add_row(
            what,
            where or NOTHING,
            f"≤ {_figure(of_row[0].limit, of_row[0].unit)}",
            *(
                _verdict(by_backend.get(backend) or (first if not position else None))
                for position, backend in enumerate(backends)
            ),
            f"{min(noises):.2f} to {max(noises):.2f}" if noises else NOTHING,
            "ok" if all(demand.is_met for demand in of_row) else "[red]over[/red]",
        )
    return table


def _verdict(demand: Demand | None) -> str:
    if demand is None:
        return NOTHING
    text = _figure(demand.figure, demand.unit)
    return text if demand.is_met else f"[red]{text} over[/red]"


def _figure(figure: float, unit: str) -> str:
    if unit == CLIENTS:
        return "yes" if figure else "no"
    return f"{figure:.1f}{unit}" if unit == MILLISECONDS else f"{figure:.2f}{unit}"


def _given_up(times: Times) -> str | None:
    if times.given_up_after is None:
        return None
    return f"> {times.given_up_after:,.0f} s"


def _ms(seconds: float | None, unit: str = "") -> str:
    if seconds is None:
        return NOTHING
    return f"{seconds * 1000:,.2f}{unit}" if seconds < 1 else f"{seconds * 1000:,.0f}{unit}"


def _ratio(ratio: float | None) -> str:
    return NOTHING if ratio is None else f"{ratio:.2f}x"
