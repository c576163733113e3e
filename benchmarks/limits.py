"""Figures that have a limit, and the table that shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from benchmarks.tables import NOTHING, new_table


@dataclass(frozen=True)
class Limited:
    """One figure and its limit.

    Args:
        what: the figure's name.
        figure: what was measured.
        limit: what is allowed.
        unit: of both.
        is_least: whether the figure must be at least the limit; otherwise at most.
        predecessor: the same figure of 0.2.1; None where that was not measured.
    """

    what: str
    figure: float
    limit: float
    unit: str = ""
    is_least: bool = False
    predecessor: float | None = None

    @property
    def is_met(self) -> bool:
        """True if the figure keeps its limit."""
        return self.figure >= self.limit if self.is_least else self.figure <= self.limit


def limits_table(figures: Iterable[Limited], *, has_predecessor: bool = False) -> Table:
    """Make the table of all figures and their limits.

    Args:
        figures: what was measured.
        has_predecessor: whether to show 0.2.1.

    Returns:
        The table.
    """
    others = ["0.2.1"] if has_predecessor else []
    table = new_table("limits", "what", "limit", "measured", *others, "verdict")
    for each in figures:
        of_others = (
            [NOTHING if each.predecessor is None else _text(each.predecessor, each.unit)]
            if has_predecessor
            else []
        )
        table.add_row(
            each.what,
            f"{'≥' if each.is_least else '≤'} {_text(each.limit, each.unit)}",
            _text(each.figure, each.unit),
            *of_others,
            "ok" if each.is_met else f"[red]{'under' if each.is_least else 'over'}[/red]",
        )
    return table


def limits_for_machines(figures: Iterable[Limited]) -> list[dict[str, Any]]:
    """Return the same as plain data.

    Args:
        figures: what was measured.

    Returns:
        What can be written as JSON.
    """
    return [{**asdict(each), "is_met": each.is_met} for each in figures]


def _text(figure: float, unit: str) -> str:
    return f"{figure:,.2f}{unit}"
