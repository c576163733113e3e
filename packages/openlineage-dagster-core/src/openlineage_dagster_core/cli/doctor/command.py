"""The command `doctor`: its options, the order of the checks, and the output."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openlineage_dagster_core.cli.code import CodeTarget, code_options
from openlineage_dagster_core.cli.deployment import home_option
from openlineage_dagster_core.cli.terminal import escaped

if TYPE_CHECKING:
    from rich.console import Console

    from openlineage_dagster_core.cli.doctor.finding import Finding

_STYLES = {"ok": "green", "note": "cyan", "warning": "yellow", "problem": "bold red"}


@click.command(
    epilog="""\b
Examples:
  openlineage-dagster doctor                          the instance of DAGSTER_HOME
  openlineage-dagster doctor -m my_project.defs       and the definitions, with their names
  openlineage-dagster doctor --send                   sends a test event and looks for it
  openlineage-dagster doctor --json | jq '.[] | select(.status == "problem")'

\b
Exit status: 0 all is well, 1 warnings, 2 problems.
"""
)
@home_option
@code_options
@click.option("--send", is_flag=True, help="Send a test event; with Marquez, read it back.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of findings for machines.")
def doctor(home: Path | None, code: CodeTarget, send: bool, as_json: bool) -> int:
    """Check how OpenLineage is set up, and print what to do about each problem.

    Sends no event without --send. It checks the environment of its own process: run it where
    Dagster runs, under the same account.
    """
    from rich.console import Console
    from rich.text import Text

    from openlineage_dagster_core.cli.doctor.finding import exit_status

    # Made before `_quiet` redirects standard output.
    console = Console(file=sys.stdout, highlight=False, quiet=as_json)
    findings = []
    with _quiet():
        for finding in examine(home, code, dict(os.environ), sends=send):
            findings.append(finding)
            _print(console, finding)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    count = Counter(finding.status.value for finding in findings)
    counted = ((count[status], status) for status in ("problem", "warning"))
    bad = [f"{number} {status}{'s' if number > 1 else ''}" for number, status in counted if number]
    console.print(Text(f"\n{', '.join(bad)}." if bad else "\nAll is well."), soft_wrap=True)
    return exit_status(findings)


def examine(
    home: Path | None, code: CodeTarget, environ: Mapping[str, str], *, sends: bool
) -> Iterator[Finding]:
    """Run all checks, whatever happens in one of them; with `sends`, send a test event."""
    # These load Dagster, openlineage-python and requests.
    from openlineage_dagster_core.cli.doctor import (
        backends,
        clocks,
        connectivity,
        delivery,
        mechanisms,
        namespaces,
        transport,
        versions,
    )
    from openlineage_dagster_core.cli.doctor.connectivity import Answer
    from openlineage_dagster_core.cli.doctor.finding import findings_of, named
    from openlineage_dagster_core.cli.doctor.subject import Opening
    from openlineage_dagster_core.delivery.configured import Destination

    yield from findings_of(
        "versions", lambda: versions.check(versions.installed(), versions.facade())
    )
    destinations: list[Destination] = []
    yield from findings_of("transport", lambda: transport.check(environ, destinations))
    answers: list[Answer] = []
    for each in destinations:
        yield from findings_of("connectivity", partial(connectivity.check, each, answers))
    with Opening(environ) as opening:
        yield from named("definitions", opening.load_definitions(code))
        yield from named("instance", opening.open_instance(home))
        subject = opening.subject
        if sends:
            marquez = [answer.address for answer in answers if answer.is_marquez]

            def send() -> Iterator[Finding]:
                # It imports the client, which a broken installation may lack.
                from openlineage_dagster_core.cli.doctor import sending

                yield from sending.check(subject.settings, environ, destinations, marquez)

            yield from findings_of("test event", send)
        for name, check in (
            ("mechanisms", mechanisms.check),
            ("namespaces", namespaces.check),
            ("delivery", delivery.check),
            ("sensor", delivery.check_sensors),
        ):
            yield from findings_of(name, partial(check, subject))
        yield from findings_of("backend", lambda: backends.check(subject, destinations))
        yield from findings_of("clocks", lambda: clocks.check(subject, answers))


def _print(console: Console, finding: Finding) -> None:
    """Print one finding, and its remedy on a line of its own."""
    from rich.text import Text

    mark = finding.status.value
    line = Text(f"{mark:<8}", style=_STYLES[mark])
    line.append(f"{finding.check:<13}", style="dim")
    line.append(escaped(finding.message), style="default")
    # Whole lines: the terminal breaks them, and a search in a file finds them.
    console.print(line, soft_wrap=True)
    if finding.remedy:
        console.print(Text(f"{'':21}-> {escaped(finding.remedy)}", style="default"), soft_wrap=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what libraries log, warn and print: doctor's findings say it all."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        # The user's code may print when it is imported.
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
