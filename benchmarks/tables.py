"""Tables that look alike in every report."""

from __future__ import annotations

from rich.table import Table

NOTHING = "-"
"""Stands where nothing was measured."""

_TEXTS = frozenset({"backend", "database", "setting", "verdict"})


def new_table(title: str, *columns: str) -> Table:
    """Begin a table.

    Args:
        title: above it.
        columns: their heads; the first is text, and so are a few others, by their names.

    Returns:
        A table without rows.
    """
    table = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        is_text = position == 0 or column in _TEXTS
        table.add_column(column, justify="left" if is_text else "right")
    return table
