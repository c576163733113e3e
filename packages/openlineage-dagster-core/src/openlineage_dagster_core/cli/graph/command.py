"""The command `graph`: its options, the reading of its sources, and its output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openlineage_dagster_core.cli import terminal
from openlineage_dagster_core.cli.code import CodeTarget, code_options
from openlineage_dagster_core.cli.deployment import Deployment, home_option, opened
from openlineage_dagster_core.cli.foreign_json import STANDARD_INPUT, events_in, is_address
from openlineage_dagster_core.cli.terminal import CommandError, explained

if TYPE_CHECKING:
    from openlineage_dagster_core.cli.graph.model import Lineage

STRIDE = 500  # Events between two reports of the progress


@dataclass(frozen=True)
class _Read:
    """The lineage of a source, and the number of its lines that are not OpenLineage events."""

    name: str
    lineage: Lineage
    next_step: str
    left_out: int = 0


@click.command(
    epilog="""\b
Examples:
  openlineage-dagster graph                             the event log of DAGSTER_HOME
  openlineage-dagster graph -m my_project.definitions   the same, with its definitions
  openlineage-dagster graph events.jsonl --open         a file of OpenLineage events
  openlineage-dagster graph http://localhost:5000       what a Marquez shows"""
)
@click.argument("source", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("lineage.html"),
    show_default=True,
    metavar="FILE",
    help="The page; an existing file is overwritten.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@home_option
@code_options
def graph(
    source: str | None,
    output: Path,
    opens: bool,
    as_json: bool,
    home: Path | None,
    code: CodeTarget,
) -> int:
    """Draw lineage as one HTML page, which needs no other file and no network.

    SOURCE is a file of OpenLineage events (one JSON object a line, as the file transport writes
    them, or a JSON array; - is the standard input) or the address of a Marquez, http://HOST:PORT.
    Without SOURCE it draws the Dagster event log.
    """
    if source is not None and (home is not None or code.is_given):
        both = "--home, -m and -f choose a Dagster event log, and SOURCE names another source."
        raise CommandError(both, "Leave out one of them.")
    if source is not None and output.exists() and Path(source).exists() and output.samefile(source):
        raise CommandError(f"{output} is also the source.", "Name another file after -o.")
    from rich.console import Console
    from rich.text import Text

    from openlineage_dagster_core.cli.graph.drawing import drawing
    from openlineage_dagster_core.cli.graph.page import page

    # Prints nothing where standard error is not a terminal.
    with Console(stderr=True, highlight=False).status("Reading") as status:
        read = _read(source, home, code, lambda text: status.update(Text(terminal.escaped(text))))
    lineage = read.lineage
    if not lineage.datasets:
        terminal.report(f"Error: {_describe_nothing(read)} {read.next_step}")
        return terminal.INCOMPLETE
    text = page(f"Lineage of {read.name}", drawing(lineage, read.name))
    with explained(f"{output} cannot be written", "Name another file after -o."):
        output.write_text(text, encoding="utf-8", newline="\n")
    if as_json:
        result = {
            "page": str(output.absolute()),
            "source": read.name,
            "datasets": len(lineage.datasets),
            "jobs": len(lineage.jobs),
            "columns": sum(len(each.columns) for each in lineage.datasets.values()),
            "left_out": read.left_out,
        }
        click.echo(json.dumps(result))
    else:
        drawn = f"{len(lineage.datasets):,} datasets and {len(lineage.jobs):,} jobs"
        terminal.echo(f"{output}: {drawn} of {read.name}.")
        if read.left_out:
            left_out = f"{read.left_out:,} lines are not OpenLineage events"
            terminal.report(f"{left_out}; they are left out.")
    if opens:
        click.launch(output.absolute().as_uri())
    return terminal.OK


def _read(
    source: str | None, home: Path | None, code: CodeTarget, tell: Callable[[str], object]
) -> _Read:
    if source is None:
        with opened(home, code) as deployment:
            name = f"the event log of {deployment.home}"
            step = "Materialize an asset first, or name another instance with --home."
            with explained(f"{name} cannot be read"):
                return _gather(name, _events_of(deployment), step, tell)
    if is_address(source):
        from openlineage_dagster_core.cli.graph.from_marquez import lineage_of_marquez
        from openlineage_dagster_core.validation import without_credentials

        name = f"Marquez at {without_credentials(source)}"
        return _Read(name, lineage_of_marquez(source), "Send it events first, or name another one.")
    path = Path(source)
    name = "the standard input" if path == STANDARD_INPUT else path.name
    step = "Name a file of OpenLineage events, one JSON object a line, with inputs or outputs."
    with explained(f"{name} cannot be read", "Name a file of OpenLineage events."):
        return _gather(name, events_in(path), step, tell)


def _events_of(deployment: Deployment) -> Iterator[object]:
    # These load all of Dagster.
    from openlineage_dagster_core.replay.selection import Selection
    from openlineage_dagster_core.serialisation import to_object

    conversion = deployment.conversion()
    for record in Selection().runs(deployment.instance):
        yield from map(to_object, conversion.events_of_run(record))
    yield from map(to_object, conversion.events_of_no_run())


def _gather(
    name: str, events: Iterable[object], next_step: str, tell: Callable[[str], object]
) -> _Read:
    # `--help` does not need it.
    from openlineage_dagster_core.cli.graph.from_events import Gathering

    gathering = Gathering()
    left_out = 0
    for number, event in enumerate(events):
        left_out += not gathering.add(event)
        if number % STRIDE == 0:
            tell(f"Reading {name}: {number:,} events")
    return _Read(name, gathering.lineage(), next_step, left_out)


def _describe_nothing(read: _Read) -> str:
    jobs = len(read.lineage.jobs)
    found = [f"{jobs:,} jobs"] if jobs else []
    if read.left_out:
        found.append(f"{read.left_out:,} lines that are not OpenLineage events")
    only = f", only {' and '.join(found)}" if found else ""
    name = f"{read.name[0].upper()}{read.name[1:]}" if read.name.startswith("the ") else read.name
    return f"{name} names no dataset{only}: no page is written."
