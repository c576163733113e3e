"""The report at the end: one screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from soak.course import Outcome

FIRST = 5
"""How many differences and failures are shown of each deployment."""


def show(console: Console, outcomes: Sequence[Outcome], seed: int, database: str) -> None:
    """Print how it went.

    Args:
        console: where to.
        outcomes: one for each deployment.
        seed: that chose the course.
        database: of the deployments.
    """
    table = Table(title=f"Soak on {database}, --seed {seed}", title_justify="left")
    table.add_column()
    for outcome in outcomes:
        table.add_column(outcome.mechanism, justify="right")
    for name, values in _rows(outcomes).items():
        table.add_row(name, *values)
    console.print(table)
    for outcome in outcomes:
        _show_faults(console, outcome)
    good = all(outcome.is_good for outcome in outcomes)
    console.print(
        "[green]Nothing is missing, nothing is different, and every run's order was kept.[/]"
        if good
        else "[red]Something is wrong.[/]"
    )


def _rows(outcomes: Sequence[Outcome]) -> dict[str, list[str]]:
    compared = [outcome.reconciliation for outcome in outcomes]
    return {
        "minutes of load": [f"{outcome.seconds / 60:.1f}" for outcome in outcomes],
        "runs by status": [_listed(outcome.runs) for outcome in outcomes],
        "runs killed": [str(outcome.killed) for outcome in outcomes],
        "reported from outside": [str(outcome.reports) for outcome in outcomes],
        "faults": [_listed(outcome.faults) for outcome in outcomes],
        "events in the log": [f"{each.logged:,}" for each in compared],
        "OpenLineage events expected": [f"{each.expected:,}" for each in compared],
        "delivered": [f"{each.arrived:,}" for each in compared],
        "repeated": [f"{each.repeated:,}" for each in compared],
        "missing": [str(each.missing) for each in compared],
        "different": [str(each.different) for each in compared],
        "not in the log": [str(each.unexpected) for each in compared],
        "out of order": [str(each.disordered) for each in compared],
        "longest from event to arrival": [f"{each.longest_wait:.0f} s" for each in compared],
        "delivery after the load": [f"{outcome.drained_seconds:.0f} s" for outcome in outcomes],
    }


def _listed(counts: Counter[str]) -> str:
    return "\n".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _show_faults(console: Console, outcome: Outcome) -> None:
    differences = outcome.reconciliation.differences
    for difference in differences[:FIRST]:
        console.print(
            f"{outcome.mechanism}: {difference.run}\n  {difference.event}\n"
            f"    expected {difference.expected}\n    found    {difference.found}",
            markup=False,
            highlight=False,
        )
    for failure in outcome.failures[:FIRST]:
        console.print(f"{outcome.mechanism}: {failure}", markup=False, highlight=False)
    left = len(differences[FIRST:]) + len(outcome.failures[FIRST:])
    if left:
        console.print(f"{outcome.mechanism}: and {left} more")
