"""How long a page of thousands of datasets takes to make, open and drag, beside a small one."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page
from rich.console import Console

from benchmarks.tables import new_table
from graph_pages import CHROMIUM, chromium, opened, page_of, painted, pipelines

SMALL = 40
WIDTH = 120

# Times between frames, in milliseconds, until it is told to stop.
WATCH_FRAMES = """
  void (() => {
    window.frames_ = [];
    let last = performance.now();
    const next = now => {
      window.frames_.push(now - last);
      last = now;
      window.watching_ = requestAnimationFrame(next);
    };
    window.watching_ = requestAnimationFrame(next);
  })()"""
STOP = "cancelAnimationFrame(window.watching_), window.frames_"


@dataclass
class Times:
    """What the rounds came to, for pages of one size.

    Args:
        datasets: how many there are, and as many jobs.
        made: seconds that the command took as a process.
        opened: seconds until the page was painted, edges and all.
        jobs_shown: seconds until the jobs were drawn as well.
        frames: seconds from frame to frame while it was dragged.
    """

    datasets: int
    made: list[float] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    jobs_shown: list[float] = field(default_factory=list)
    frames: list[float] = field(default_factory=list)


def main(arguments: Sequence[str]) -> int:
    """Measure and report.

    Args:
        arguments: see `--help`.

    Returns:
        The exit status: 2 where there is no browser. Speed never fails.
    """
    options = _parser().parse_args(arguments)
    if CHROMIUM is None:
        Console(stderr=True).print("no browser: apt-get install chromium, or name one: CHROMIUM")
        return 2
    sizes = [Times(SMALL), Times(options.datasets)]
    with chromium() as browser:
        for _ in range(options.rounds):
            for times in sizes:
                _measure(browser, times)
    if options.json:
        sys.stdout.write(json.dumps([asdict(times) for times in sizes], indent=2) + "\n")
    else:
        _show(sizes, Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False))
    return 0


def _measure(browser: Browser, times: Times) -> None:
    with TemporaryDirectory(prefix="bench_") as folder:
        events = pipelines(times.datasets)
        began = time.monotonic()
        path = page_of(events, Path(folder))
        times.made.append(time.monotonic() - began)
        with opened(browser, path) as page:
            # It counts from where the page was first asked for.
            times.opened.append(page.evaluate("performance.now()") / 1000)
            # Of a large page only the datasets are drawn at first, of a small one the jobs too.
            page.locator("#views label", has_text="Datasets").first.click()
            painted(page)
            times.frames += [each / 1000 for each in _frames(page)]
            began = time.monotonic()
            page.keyboard.press("j")
            painted(page)
            times.jobs_shown.append(time.monotonic() - began)


def _frames(page: Page) -> list[float]:
    page.mouse.move(600, 300)
    page.mouse.down()
    page.evaluate(WATCH_FRAMES)
    for step in range(60):
        page.mouse.move(600 + 5 * step, 300 + step)
    painted(page)
    found: list[float] = page.evaluate(STOP)
    page.mouse.up()
    return found


def _show(sizes: Sequence[Times], console: Console) -> None:
    small, large = sizes
    title = "pages of datasets, each with a job: the median"
    table = new_table(title, "what", *(f"{each.datasets:,}" for each in sizes), "ratio")
    for what, name in (
        ("made, as a process", "made"),
        ("opened", "opened"),
        ("jobs shown", "jobs_shown"),
        ("frame, while dragged", "frames"),
    ):
        fast, slow = median(getattr(small, name)), median(getattr(large, name))
        table.add_row(
            what, f"{fast * 1000:,.0f} ms", f"{slow * 1000:,.0f} ms", f"{slow / fast:.1f}"
        )
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks graph", description=__doc__)
    parser.add_argument(
        "--datasets", type=int, default=3000, help="of the large page [%(default)s]"
    )
    parser.add_argument("--rounds", type=int, default=5, help="[%(default)s]")
    parser.add_argument("--json", action="store_true", help="write the result for machines")
    return parser
