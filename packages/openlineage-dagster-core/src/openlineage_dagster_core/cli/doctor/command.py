"""The command `doctor`: its options, the order of the checks, and what it prints."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openlineage_dagster_core.cli.code import CodeTarget
from openlineage_dagster_core.cli.options import code_options, home_option

if TYPE_CHECKING:
    from openlineage_dagster_core.cli.doctor.finding import Finding


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
def doctor(
    home: Path | None,
    code: CodeTarget,
    send: bool,
    as_json: bool,
) -> int:
    """Check how OpenLineage is set up, and print what to do about each problem.

    Sends no event without --send. It checks the environment of its own process: run it where
    Dagster runs, under the same account.
    """
    from openlineage_dagster_core.cli.doctor.finding import exit_status
    from openlineage_dagster_core.cli.doctor.printing import Printer

    printer = Printer(is_for_people=not as_json)
    findings = []
    with _quiet():
        for finding in examine(home, code, dict(os.environ), sends=send):
            findings.append(finding)
            printer.print(finding)
    if as_json:
        click.echo(json.dumps([finding.as_json() for finding in findings], indent=2))
    printer.sum_up(findings)
    return exit_status(findings)


def examine(
    home: Path | None, code: CodeTarget, environ: Mapping[str, str], *, sends: bool
) -> Iterator[Finding]:
    """Run all checks; whatever happens in one, the others still run.

    Args:
        home: the instance's directory; None takes `DAGSTER_HOME`.
        code: where definitions are, if anywhere.
        environ: the process's environment.
        sends: whether to send a test event.

    Yields:
        What was found.
    """
    # All the heavy ones: Dagster, openlineage-python, requests.
    from openlineage_dagster_core.cli.doctor import (
        clocks,
        connectivity,
        delivery,
        mechanisms,
        namespaces,
        sensor_state,
        transport,
        versions,
    )
    from openlineage_dagster_core.cli.doctor.backend import Answer
    from openlineage_dagster_core.cli.doctor.boundary import findings_of
    from openlineage_dagster_core.cli.doctor.configured import Destination
    from openlineage_dagster_core.cli.doctor.opening import Opening

    yield from findings_of(
        versions.CHECK, lambda: versions.look(versions.installed(), versions.facade())
    )
    destinations: list[Destination] = []
    yield from findings_of(transport.CHECK, lambda: transport.look(environ, destinations))
    answers: list[Answer] = []
    for each in destinations:
        yield from findings_of(connectivity.CHECK, partial(connectivity.look, each, answers))
    with contextlib.closing(Opening(environ)) as opening:
        yield from opening.open(home, code)
        subject = opening.subject
        if sends:
            from openlineage_dagster_core.cli.doctor import sending

            marquez = [answer.address for answer in answers if answer.is_marquez]
            yield from findings_of(
                sending.CHECK,
                lambda: sending.look(subject.settings, environ, destinations, marquez),
            )
        for check in (mechanisms, namespaces, delivery, sensor_state):
            yield from findings_of(check.CHECK, partial(check.look, subject))
        yield from findings_of(clocks.CHECK, lambda: clocks.look(subject, answers))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep libraries from writing beside what is printed: all that they say is said here."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        # Users' code may print when it is imported.
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
