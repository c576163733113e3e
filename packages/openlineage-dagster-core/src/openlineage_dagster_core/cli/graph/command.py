"""The command `graph`: its options and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import click

from openlineage_dagster_core.cli.code import CodeTarget
from openlineage_dagster_core.cli.failure import OK, CommandError, explained
from openlineage_dagster_core.cli.graph.source import (
    Read,
    is_address,
    read_event_log,
    read_file,
    read_marquez,
)
from openlineage_dagster_core.cli.options import code_options, home_option
from openlineage_dagster_core.cli.terminal_text import echo, escaped


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
    help="The page; what is there is overwritten.",
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
    Without SOURCE the Dagster event log is drawn.
    """
    if source is not None and (home is not None or code.is_given):
        raise CommandError(
            "--home, -m and -f choose a Dagster event log, and SOURCE is something else.",
            "Leave out one of them.",
        )
    if source is not None and output.exists() and Path(source).exists() and output.samefile(source):
        raise CommandError(f"{output} is what is to be drawn.", "Name another file after -o.")
    read = _read(source, home, code)
    _write(output, read)
    _tell(output, read, as_json)
    if opens:
        click.launch(output.absolute().as_uri())
    return OK


def _read(source: str | None, home: Path | None, code: CodeTarget) -> Read:
    from rich.console import Console
    from rich.text import Text

    # Prints nothing where standard error is not a terminal.
    with Console(stderr=True, highlight=False).status("Reading") as status:

        def tell(text: str) -> None:
            status.update(Text(escaped(text)))

        if source is None:
            return read_event_log(home, code, tell)
        if is_address(source):
            return read_marquez(source)
        return read_file(Path(source), tell)


def _write(output: Path, read: Read) -> None:
    from openlineage_dagster_core.cli.graph.drawing import drawing
    from openlineage_dagster_core.cli.graph.page import page

    text = page(f"Lineage of {read.name}", drawing(read.lineage, read.name))
    with explained(f"{output} cannot be written", "Name another file after -o."):
        output.write_text(text, encoding="utf-8", newline="\n")


def _tell(output: Path, read: Read, as_json: bool) -> None:
    lineage = read.lineage
    if as_json:
        said = {
            "page": str(output.absolute()),
            "source": read.name,
            "datasets": len(lineage.datasets),
            "jobs": len(lineage.jobs),
            "columns": sum(len(each.columns) for each in lineage.datasets.values()),
            "left_out": read.left_out,
        }
        click.echo(json.dumps(said))
        return
    echo(
        f"{output}: {len(lineage.datasets):,} datasets and {len(lineage.jobs):,} jobs of "
        f"{read.name}."
    )
    if read.left_out:
        echo(f"{read.left_out:,} lines are not OpenLineage events; they are left out.", err=True)
