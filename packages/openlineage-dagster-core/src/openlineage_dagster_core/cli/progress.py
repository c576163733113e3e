"""Shows the progress of a replay on a terminal."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from openlineage_dagster_core.cli.terminal_text import escaped

if TYPE_CHECKING:
    from rich.console import Console

    from openlineage_dagster_core.replay.replay import Progress as Far

REFRESH_SECONDS = 0.2


@contextlib.contextmanager
def shown(far: Callable[[], Far], total: int | None) -> Iterator[None]:
    """Show a bar with rate and remaining time while a replay goes on, if there is a terminal.

    Args:
        far: gives the replay's progress; called from a thread of the bar.
        total: the number of runs; None where it is not known.
    """
    # Loaded late: a command that only reports an error does not need it.
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with _bar(console, far, total):
        yield


@contextlib.contextmanager
def _bar(console: Console, far: Callable[[], Far], total: int | None) -> Iterator[None]:
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.fields[what]}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.fields[of]} runs"),
        TextColumn("{task.fields[rate]:.0f} events/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    is_over = threading.Event()
    of = "?" if total is None else str(total)
    task = bar.add_task("", total=total, what="replay", of=of, rate=0.0)

    def follow() -> None:
        while not is_over.wait(REFRESH_SECONDS):
            progress = far()
            elapsed = bar.tasks[0].elapsed or 0.0
            bar.update(
                task,
                completed=progress.runs,
                what=escaped(f"waiting: {progress.waiting}" if progress.waiting else "replay"),
                rate=sum(progress.by_type.values()) / elapsed if elapsed else 0.0,
            )

    with bar:
        thread = threading.Thread(target=follow, name="openlineage-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
