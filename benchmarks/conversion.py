"""How fast logs of runs become OpenLineage events as JSON, beside what openlineage-python takes."""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import os
import platform
import pstats
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from functools import lru_cache
from itertools import count
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import dagster as dg
from openlineage.client.constants import __version__ as client_version
from openlineage.client.serde import Serde
from rich.console import Console
from rich.table import Table

from benchmarks import baseline
from benchmarks.event_log import JOB, EventLog
from openlineage_dagster_core.caches import PerValue
from openlineage_dagster_core.conversion import convert
from openlineage_dagster_core.conversion.envelope import Event
from openlineage_dagster_core.facts.model import AssetFacts, Definitions, Facts, RunFacts
from openlineage_dagster_core.facts.progress import ProgressLog
from openlineage_dagster_core.identity import Identity
from openlineage_dagster_core.serialisation import to_json
from openlineage_dagster_core.settings import Settings
from openlineage_dagster_core.snapshots.definitions_codec import (
    decode_asset,
    decode_job,
    encode_asset,
    encode_job,
)

WIDTHS = (5, 30, 200)
OURS = "openlineage_dagster_core"
PROFILED = 10
BASELINE_EVENTS = 2000
FIRST_RUN, FIRST_PASS, LATER = "first run", "first pass", "later"
KNOWN = 0
"""The mark of columns that are the same in every run."""

NOTES = """\
baseline: Serde.to_json of openlineage-python over the finished events, without conversion;
run by run in turn with ours. All times are of the processor: other programs count for little.
ours: conversion, ProgressLog.observe and serialisation, from entries of the log.
first run: the first of the first pass. first pass: all runs, with new definitions and empty caches.
later: the same runs, read from the log again, with the definitions and the caches of before.
"""
_CACHE = type(lru_cache(lambda: None))


class Definers(Enum):
    """Where the definitions come from."""

    LOCATION = "the code location's, as in the sensor"
    KEPT = "kept in the instance, the same for all runs, as in the deliverer"
    KEPT_ANEW = "kept in the instance, another version for each run"


@dataclass(frozen=True)
class Case:
    """What is measured.

    Args:
        name: for the reader.
        log: what is replayed.
        definers: where the definitions come from.
        repeats: whether the runs have the same schemas and column lineage; otherwise no run has
            any that was seen before, in any pass.
        is_profiled: whether its profile is of interest.
    """

    name: str
    log: EventLog
    definers: Definers = Definers.LOCATION
    repeats: bool = True
    is_profiled: bool = False


@dataclass(frozen=True)
class Run:
    """A run to be replayed; never twice, for no real run is.

    Args:
        facts: its row.
        entries: its log.
        definitions: finds the definitions.
    """

    facts: RunFacts
    entries: Sequence[dg.EventLogEntry]
    definitions: Callable[[], Definitions]


@dataclass(frozen=True)
class Row:
    """One line of the result.

    Args:
        case: its name.
        when: with which caches.
        events: how many are made in a pass.
        mean_bytes: of an event's JSON.
        baseline: openlineage-python's, in events a second.
        ours: likewise.
        ratio: how many times faster ours is: the median of the rounds'.
    """

    case: str
    when: str
    events: int
    mean_bytes: float
    baseline: float
    ours: float
    ratio: float


@dataclass(frozen=True)
class Split:
    """Where the time goes.

    Args:
        case: its name.
        when: with which caches.
        conversion: events a second, if there were nothing else.
        serialisation: likewise.
        shares: of definitions, conversion, observing and serialisation, in the time of all.
    """

    case: str
    when: str
    conversion: float
    serialisation: float
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Hot:
    """A function, in the profile.

    Args:
        case: its name.
        function: file, line and name.
        calls: how often it was called.
        own_share: of the time, without what it calls.
    """

    case: str
    function: str
    calls: int
    own_share: float


@dataclass(frozen=True)
class Report:
    """All that was found.

    Args:
        rows: the rates.
        splits: where the time goes.
        hot: the most expensive functions.
    """

    rows: list[Row]
    splits: list[Split]
    hot: list[Hot]


class UnequalError(Exception):
    """Our text says something else than openlineage-python's."""


class Passes:
    """Gives the runs of one case, pass after pass.

    Args:
        case: the case.
        runs: how many a pass has.
    """

    def __init__(self, case: Case, runs: int) -> None:
        self._case = case
        self._runs = runs
        self._unseen = count(KNOWN + 1)
        self._definitions = Definitions()
        self._decoded: dict[str, AssetFacts] = {}

    def forget(self) -> None:
        """Define everything anew, and empty our caches: the next pass is a first one."""
        gc.collect()
        for cache in gc.get_objects():
            is_ours = isinstance(cache, _CACHE) and str(cache.__module__).startswith(OURS)
            if is_ours or isinstance(cache, PerValue):
                cache.cache_clear()
        gc.collect()
        self._decoded.clear()
        self._definitions = self._case.log.definitions()

    def read(self) -> list[Run]:
        """Read the runs of the next pass.

        Returns:
            New objects throughout.
        """
        read = []
        for number in range(self._runs):
            unseen = next(self._unseen)
            mark = KNOWN if self._case.repeats else unseen
            facts, entries = self._case.log.run(number, mark)
            read.append(Run(facts, entries, self._definer(unseen)))
        gc.collect()
        return read

    def _definer(self, unseen: int) -> Callable[[], Definitions]:
        found = self._definitions
        if self._case.definers is Definers.LOCATION:
            return lambda: found
        if self._case.definers is Definers.KEPT_ANEW:
            found = _changed(found, unseen)
        texts = [encode_asset(asset) for asset in found.assets.values()]
        job_text = encode_job(found.jobs[JOB])
        return lambda: self._kept(texts, job_text)

    def _kept(self, texts: Sequence[str], job_text: str) -> Definitions:
        """Decode each version once, as the deliverer does."""
        for text in texts:
            if text not in self._decoded:
                self._decoded[text] = decode_asset(text)
        assets = [self._decoded[text] for text in texts]
        return Definitions(
            assets={asset.key: asset for asset in assets}, jobs={JOB: decode_job(job_text)}
        )


def _changed(definitions: Definitions, number: int) -> Definitions:
    """Return definitions of which every asset has another description."""
    assets = {
        asset.key: replace(asset, description=f"{asset.description} Version {number}.")
        for asset in definitions.assets.values()
    }
    return replace(definitions, assets=assets)


def events_of(run: Run, identity: Identity) -> Iterator[Event]:
    """Convert a run, as both mechanisms do.

    Args:
        run: the run.
        identity: gives names and ids.

    Yields:
        The events.
    """
    definitions = run.definitions()
    log = ProgressLog()
    for entry in run.entries:
        yield from convert(entry, _facts(run, log, definitions), identity)
        log.observe(entry)


def _facts(run: Run, log: ProgressLog, definitions: Definitions) -> Facts:
    return Facts(
        run.facts,
        log.progress,
        assets=definitions.assets,
        job=definitions.jobs.get(run.facts.job_name),
        environment=definitions.environment,
    )


def finished(runs: Sequence[Run], identity: Identity) -> tuple[list[list[Event]], int]:
    """Convert runs and compare the texts.

    Args:
        runs: of a first pass.
        identity: gives names and ids.

    Returns:
        The events of each run, and how many bytes all are.

    Raises:
        UnequalError: an event of ours is not what openlineage-python writes.
    """
    by_run: list[list[Event]] = []
    size = 0
    for run in runs:
        events = list(events_of(run, identity))
        for event in events:
            ours, theirs = to_json(event), Serde.to_json(event)
            if json.loads(ours) != json.loads(theirs):
                raise UnequalError(f"not equal\nours:   {ours}\ntheirs: {theirs}")
            size += len(ours)
        by_run.append(events)
    return by_run, size


def seconds_of_ours(run: Run, identity: Identity) -> float:
    """Time us.

    Args:
        run: to be replayed.
        identity: gives names and ids.

    Returns:
        Seconds.
    """
    begin = process_time()
    for event in events_of(run, identity):
        to_json(event)
    return process_time() - begin


def seconds_of_baseline(events: Sequence[Event]) -> float:
    """Time openlineage-python.

    Args:
        events: finished.

    Returns:
        Seconds.
    """
    begin = process_time()
    for event in events:
        Serde.to_json(event)
    return process_time() - begin


def split_of(runs: Sequence[Run], identity: Identity) -> dict[str, float]:
    """Time the parts of us; a clock is read between them, which costs little beside them.

    Args:
        runs: of a pass.
        identity: gives names and ids.

    Returns:
        Seconds by part.
    """
    definitions_took = conversion = observing = serialisation = 0.0
    for run in runs:
        begin = process_time()
        definitions, log = run.definitions(), ProgressLog()
        before = process_time()
        definitions_took += before - begin
        for entry in run.entries:
            events = list(convert(entry, _facts(run, log, definitions), identity))
            converted = process_time()
            conversion += converted - before
            for event in events:
                to_json(event)
            written = process_time()
            serialisation += written - converted
            log.observe(entry)
            before = process_time()
            observing += before - written
    return {
        "definitions": definitions_took,
        "conversion": conversion,
        "observing": observing,
        "serialisation": serialisation,
    }


def profile(case: str, runs: Sequence[Run], identity: Identity) -> Iterator[Hot]:
    """Find the most expensive functions.

    Args:
        case: its name.
        runs: of a pass.
        identity: gives names and ids.

    Yields:
        Those with the most time of their own.
    """
    profiler = cProfile.Profile()
    profiler.enable()
    for run in runs:
        seconds_of_ours(run, identity)
    profiler.disable()
    found: dict[tuple[str, int, str], Any] = vars(pstats.Stats(profiler))["stats"]
    total = sum(own for _, _, own, _, _ in found.values())
    for (path, line, name), (_, calls, own, _, _) in sorted(
        found.items(), key=lambda item: item[1][2], reverse=True
    )[:PROFILED]:
        where = f"{Path(path).parent.name}/{Path(path).name}:{line} " if line else ""
        yield Hot(case, f"{where}{name}", calls, own / total)


def measure(case: Case, runs: int, rounds: int, report: Report) -> None:
    """Measure one case.

    Args:
        case: the case.
        runs: how many a pass has.
        rounds: how often each is measured; the median counts.
        report: is added to.

    Raises:
        UnequalError: an event of ours is not what openlineage-python writes.
    """
    identity = Identity(Settings())
    passes = Passes(case, runs)
    passes.forget()
    by_run, size = finished(passes.read(), identity)
    events = sum(map(len, by_run))
    # Of each round: events a second, theirs and ours.
    rates: dict[str, list[tuple[float, float]]] = {FIRST_RUN: [], FIRST_PASS: [], LATER: []}
    for _ in range(rounds):
        passes.forget()
        for when in (FIRST_PASS, LATER):
            pairs = [
                (seconds_of_baseline(of_run), seconds_of_ours(run, identity))
                for of_run, run in zip(by_run, passes.read(), strict=True)
            ]
            theirs, ours = (sum(seconds) for seconds in zip(*pairs, strict=True))
            rates[when].append((events / theirs, events / ours))
            if when == FIRST_PASS:
                theirs, ours = pairs[0]
                rates[FIRST_RUN].append((len(by_run[0]) / theirs, len(by_run[0]) / ours))
    for when, found in rates.items():
        theirs, ours = (median(of_rounds) for of_rounds in zip(*found, strict=True))
        ratio = median(ours / theirs for theirs, ours in found)
        count_of = len(by_run[0]) if when == FIRST_RUN else events
        report.rows.append(Row(case.name, when, count_of, size / events, theirs, ours, ratio))
    passes.forget()
    for when in (FIRST_PASS, LATER):
        parts = split_of(passes.read(), identity)
        total = sum(parts.values())
        report.splits.append(
            Split(
                case.name,
                when,
                conversion=events / parts["conversion"],
                serialisation=events / parts["serialisation"],
                shares={part: took / total for part, took in parts.items()},
            )
        )
    if case.is_profiled:
        report.hot.extend(profile(case.name, passes.read(), identity))


def cases(assets_per_width: int) -> Iterator[Case]:
    """List what is measured.

    Args:
        assets_per_width: how many assets of each width there are.

    Yields:
        The cases.
    """
    mixed = EventLog(WIDTHS, assets_per_width)
    yield Case("all widths", mixed, is_profiled=True)
    for width in WIDTHS:
        yield Case(f"{width} columns", EventLog([width], assets_per_width))
    yield Case("all widths, columns new in every run", mixed, repeats=False, is_profiled=True)
    yield Case("all widths, definitions kept", mixed, Definers.KEPT)
    yield Case(
        "all widths, definitions kept anew for each run",
        mixed,
        Definers.KEPT_ANEW,
        is_profiled=True,
    )


def main(arguments: Sequence[str]) -> int:
    """Measure and report.

    Args:
        arguments: see `--help`.

    Returns:
        The exit status: 1 where the texts are not equal. Speed never fails.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks conversion", description=__doc__)
    parser.add_argument("--json", action="store_true", help="write the result for machines")
    parser.add_argument("--runs", type=int, default=6, help="in a pass (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="median of (default: %(default)s)")
    parser.add_argument(
        "--assets", type=int, default=20, help="of each width (default: %(default)s)"
    )
    parser.add_argument(
        "--baseline",
        action="store_true",
        help="compare writing and posting with openlineage-python instead",
    )
    options = parser.parse_args(arguments)
    if options.baseline:
        baseline.report(baseline.measure(_finished_events()), as_json=options.json)
        return 0
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    progress = Console(stderr=True)
    report = Report([], [], [])
    try:
        for case in cases(options.assets):
            progress.print(f"measuring: {case.name}", style="dim")
            measure(case, options.runs, options.rounds, report)
    except UnequalError as error:
        progress.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return 1
    if options.json:
        sys.stdout.write(json.dumps(_for_machines(report, options), indent=2) + "\n")
    else:
        _show(report, options)
    return 0


def _finished_events() -> dict[str, list[Event]]:
    """Convert runs until there are events enough, for each case of the baseline."""
    identity = Identity(Settings())
    found: dict[str, list[Event]] = {}
    for name, widths, repeats in (
        ("10 columns", (10,), True),
        ("all widths", WIDTHS, True),
        ("all widths, columns new in every run", WIDTHS, False),
    ):
        passes = Passes(Case(name, EventLog(widths, 6), repeats=repeats), 1)
        passes.forget()
        events: list[Event] = []
        while len(events) < BASELINE_EVENTS:
            events += [event for run in passes.read() for event in events_of(run, identity)]
        found[name] = events[:BASELINE_EVENTS]
    return found


def _for_machines(report: Report, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "versions": _versions(),
        "options": {name: value for name, value in vars(options).items() if name != "json"},
        "rows": [asdict(row) for row in report.rows],
        "splits": [asdict(split) for split in report.splits],
        "profiles": [asdict(hot) for hot in report.hot],
    }


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "dagster": dg.__version__,
        "openlineage-python": client_version,
        "machine": platform.machine(),
    }


def _show(report: Report, options: argparse.Namespace) -> None:
    console = Console(width=None if sys.stdout.isatty() else 132, highlight=False)
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    console.print(
        f"{options.runs} runs, {options.assets} assets of each width, "
        f"median of {options.rounds} rounds; {versions}"
    )
    rates = _table(
        "events/s", "case", "caches", "events", "mean bytes", "baseline", "ours", "ratio"
    )
    for row in report.rows:
        rates.add_row(
            row.case,
            row.when,
            f"{row.events:,}",
            f"{row.mean_bytes:,.0f}",
            f"{row.baseline:,.0f}",
            f"{row.ours:,.0f}",
            f"{row.ratio:.1f}x",
        )
    console.print(rates)
    parts = _table(
        "where ours goes: events/s of a part alone, and shares", "case", "caches",
        "conversion", "serialisation", "definitions", "conversion", "observing", "serialisation",
    )  # fmt: skip
    for split in report.splits:
        parts.add_row(
            split.case,
            split.when,
            f"{split.conversion:,.0f}",
            f"{split.serialisation:,.0f}",
            *(f"{share:.1%}" for share in split.shares.values()),
        )
    console.print(parts)
    for case in dict.fromkeys(hot.case for hot in report.hot):
        hottest = _table(f"own time (cProfile), later pass: {case}", "function", "calls", "share")
        for hot in report.hot:
            if hot.case == case:
                hottest.add_row(hot.function, f"{hot.calls:,}", f"{hot.own_share:.1%}")
        console.print(hottest)
    console.print(NOTES)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        is_text = position == 0 or column == "caches"
        table.add_column(column, justify="left" if is_text else "right")
    return table
