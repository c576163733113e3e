"""Shows the progress of a replay on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from openlineage_dagster_core.cli.terminal import escaped

if TYPE_CHECKING:
    from rich.console import RenderableType

    from openlineage_dagster_core.replay.replay import Progress


@contextlib.contextmanager
def progress_bar(progress: Callable[[], Progress], total: int | None) -> Iterator[None]:
    """Show a bar with rate and remaining time while the block runs, if there is a terminal.

    The bar's thread calls `progress`; `total` is the number of runs, if it is known.
    """
    # Loaded late: a command that only reports an error does not need them.
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    from rich import progress as rich_progress

    class Bar(rich_progress.Progress):
        def get_renderables(self) -> Iterable[RenderableType]:
            # rich asks once before there is a task.
            for task in self.tasks:
                done = progress()
                self.update(
                    task.id,
                    completed=done.runs,
                    what=escaped(f"waiting: {done.waiting}" if done.waiting else "replay"),
                    rate=sum(done.by_type.values()) / task.elapsed if task.elapsed else 0.0,
                )
            return super().get_renderables()

    bar = Bar(
        rich_progress.TextColumn("{task.fields[what]}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.TextColumn("{task.completed:.0f}/{task.fields[of]} runs"),
        rich_progress.TextColumn("{task.fields[rate]:.0f} events/s"),
        rich_progress.TimeElapsedColumn(),
        rich_progress.TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    of = "?" if total is None else str(total)
    bar.add_task("", total=total, what="replay", of=of, rate=0.0)
    with bar:
        yield
