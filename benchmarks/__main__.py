"""Runs one benchmark by its name: `python -m benchmarks conversion`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence

BENCHMARKS: Mapping[str, tuple[str, str]] = {
    "conversion": ("benchmarks.conversion", "how fast events are converted"),
    "storage": ("benchmarks.storage.cost", "what Mechanism A costs a process that stores events"),
    "freshness": ("benchmarks.freshness.latency", "how soon Mechanism A's events arrive"),
    "deliverer": ("benchmarks.deliverer.cost", "how fast Mechanism A's deliverer is, and its cost"),
    "sensor": ("benchmarks.sensor.keeping_up", "how Mechanism B keeps up with the event log"),
    "replay": ("benchmarks.replay.rate", "how fast the past is sent again"),
    "graph": ("benchmarks.graph", "how fast large pages of lineage are made and opened"),
}
"""By name: the module with its `main`, and what it measures. Only the one that is run is imported:
each needs what the others are not installed with."""


def main(arguments: Sequence[str]) -> int:
    """Run what the first argument names.

    Args:
        arguments: the name, then the benchmark's own.

    Returns:
        The exit status: that of the benchmark; 2 where there is none of that name.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n".join(f"{name}: {what}" for name, (_, what) in BENCHMARKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own: try --help")
    options = parser.parse_args(arguments)
    module = importlib.import_module(BENCHMARKS[options.name][0])
    run: Callable[[Sequence[str]], int] = module.main
    return run(options.arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
