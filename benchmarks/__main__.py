"""Runs one benchmark by its name: `python -m benchmarks conversion`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

from rich.console import Console

from benchmarks import conversion
from benchmarks.replay import rate
from benchmarks.sensor import keeping_up
from benchmarks.storage import cost

BENCHMARKS: Mapping[str, ModuleType] = {
    "conversion": conversion,
    "storage": cost,
    "sensor": keeping_up,
    "replay": rate,
}
"""By name; each module has `main`."""


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
        for known, module in BENCHMARKS.items():
            console.print(f"  {known}: {(module.__doc__ or '').splitlines()[0]}", highlight=False)
        return 2
    run: Callable[[Sequence[str]], int] = BENCHMARKS[name].main
    return run(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
