"""Prints findings for people: a line each, as soon as it is there."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from openlineage_dagster_core.cli.doctor.finding import Finding, Status
from openlineage_dagster_core.cli.terminal_text import escaped

_STYLES = {
    Status.OK: "green",
    Status.NOTE: "cyan",
    Status.WARNING: "yellow",
    Status.PROBLEM: "bold red",
}
_MARK_WIDTH = max(len(status.value) for status in Status) + 1
_CHECK_WIDTH = 13


class Printer:
    """Prints to what is standard output when it is made.

    Args:
        is_for_people: False prints nothing.
    """

    def __init__(self, *, is_for_people: bool) -> None:
        self._console = Console(file=sys.stdout, highlight=False, quiet=not is_for_people)

    def print(self, finding: Finding) -> None:
        """Print one finding.

        Args:
            finding: with its remedy on a line of its own.
        """
        line = Text(f"{finding.status.value:<{_MARK_WIDTH}}", style=_STYLES[finding.status])
        line.append(f"{finding.check:<{_CHECK_WIDTH}}", style="dim")
        line.append(escaped(finding.message), style="default")
        self._print(line)
        if finding.remedy:
            indent = " " * (_MARK_WIDTH + _CHECK_WIDTH)
            self._print(Text(f"{indent}-> {escaped(finding.remedy)}", style="default"))

    def sum_up(self, findings: Iterable[Finding]) -> None:
        """Print how many there are of each kind.

        Args:
            findings: all of them.
        """
        count = Counter(finding.status for finding in findings)
        bad = [
            f"{count[status]} {status.value}{'s' if count[status] > 1 else ''}"
            for status in (Status.PROBLEM, Status.WARNING)
            if count[status]
        ]
        self._print(Text(f"\n{', '.join(bad)}." if bad else "\nAll is well."))

    def _print(self, text: Text) -> None:
        # Whole lines, which the terminal breaks, and which can be searched in a file.
        self._console.print(text, soft_wrap=True)
