"""Runs the soak: `python -m soak --minutes 5`; both mechanisms by default, one after the other."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from postgres import new_database, running_server
from receiver import Receiver
from soak.arrivals import Arrivals
from soak.course import Course, Outcome
from soak.deployment import Deployment, SensorDeployment, StorageDeployment
from soak.screen import show

MECHANISMS: dict[str, type[Deployment]] = {
    "storage": StorageDeployment,
    "sensor": SensorDeployment,
}


def main(arguments: Sequence[str]) -> int:
    """Run it.

    Args:
        arguments: of the command line.

    Returns:
        The exit status: 0 where everything has been delivered as it should.
    """
    options = _options(arguments)
    # What the environment of this process says is not for those that it starts, nor for itself.
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE_")]:
        if name != "OPENLINEAGE_SPEC_DIR":
            del os.environ[name]
    output = options.output or Path(tempfile.mkdtemp(prefix="soak-"))
    output.mkdir(parents=True, exist_ok=True)
    console = Console()
    console.print(f"--seed {options.seed}; everything is in {output}", highlight=False)
    mechanisms = [options.mechanism] if options.mechanism else list(MECHANISMS)
    seconds = options.minutes * 60 / len(mechanisms)
    with contextlib.ExitStack() as stack:
        server = None
        if options.database == "postgres":
            server = stack.enter_context(running_server())
        outcomes = [
            _soak(each, output / each, server, seconds, options, console) for each in mechanisms
        ]
    show(console, outcomes, options.seed, options.database)
    if not all(outcome.is_good for outcome in outcomes):
        console.print(f"events, logs and homes are in {output}", highlight=False)
        return 1
    if options.output is None:
        shutil.rmtree(output)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="of load (default: 60)")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="chooses the course of events"
    )
    parser.add_argument(
        "--mechanism", choices=list(MECHANISMS), help="only this one (default: half the time each)"
    )
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time (default: 2)")
    parser.add_argument(
        "--output", type=Path, help="a new folder for events, logs and homes; it is kept"
    )
    return parser.parse_args(arguments)


def _soak(
    mechanism: str,
    folder: Path,
    server: str | None,
    seconds: float,
    options: argparse.Namespace,
    console: Console,
) -> Outcome:
    folder.mkdir()
    began = time.monotonic()
    with (
        contextlib.closing(Receiver()) as receiver,
        contextlib.closing(Arrivals(folder / "events.jsonl")) as arrivals,
        (folder / "course.log").open("w") as log,
        console.status(mechanism) as status,
    ):
        receiver.keep = arrivals.keep

        def tell(what: str) -> None:
            minutes = (time.monotonic() - began) / 60
            status.update(f"{mechanism}, {minutes:.1f} minutes, {len(arrivals):,} events: {what}")
            log.write(f"{time.time():.3f} {len(arrivals)} {what}\n")
            log.flush()

        deployment = MECHANISMS[mechanism](
            folder,
            receiver.url,
            new_database(server) if server else None,
        )
        with contextlib.closing(deployment):
            course = Course(deployment, receiver, arrivals, options.seed, options.workers, tell)
            return course.run(seconds)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("\ninterrupted")
