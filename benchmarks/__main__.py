"""Runs one benchmark by its name: `python -m benchmarks conversion`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console

BENCHMARKS: Mapping[str, tuple[str, str]] = {
    "conversion": ("benchmarks.conversion", "how fast events are converted"),
    "storage": ("benchmarks.storage.cost", "what Mechanism A costs whoever stores events"),
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
        The exit status: 2 where there is no benchmark of that name.
    """
    name = arguments[0] if arguments else ""
    if name not in BENCHMARKS:
        console = Console(stderr=True)
        console.print(f"no benchmark {name!r}; there is:" if name else "which benchmark?")
        for known, (_, what) in BENCHMARKS.items():
            console.print(f"  {known}: {what}", highlight=False)
        return 2
    run: Callable[[Sequence[str]], int] = importlib.import_module(BENCHMARKS[name][0]).main
    return run(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
