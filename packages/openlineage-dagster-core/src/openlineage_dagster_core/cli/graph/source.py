"""Reads the lineage of whatever `graph` is asked to draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from openlineage_dagster_core.cli.failure import INCOMPLETE, CommandError, explained

if TYPE_CHECKING:
    from openlineage_dagster_core.cli.code import CodeTarget
    from openlineage_dagster_core.cli.graph.model import Lineage

STRIDE = 500
"""How many events are read before the progress is told again."""

Tell = Callable[[str], object]
"""Shows how far the reading is."""


class NothingToDrawError(CommandError):
    """A source can be read, and has no dataset."""

    exit_code = INCOMPLETE


@dataclass(frozen=True)
class Read:
    """What a source has.

    Args:
        name: of the source, for people; without user and password.
        lineage: what it tells; it has datasets.
        left_out: how many lines are no OpenLineage events.
    """

    name: str
    lineage: Lineage
    left_out: int = 0


def is_address(source: str) -> bool:
    """Tell an address from a file.

    Args:
        source: what was named.

    Returns:
        Whether it is an HTTP address.
    """
    return source.lower().startswith(("http://", "https://"))


def read_marquez(url: str) -> Read:
    """Ask a Marquez.

    Args:
        url: its address.

    Returns:
        What it has.

    Raises:
        CommandError: it cannot be asked, or has nothing.
    """
    from openlineage_dagster_core.cli.graph.from_marquez import lineage_of_marquez
    from openlineage_dagster_core.validation import without_credentials

    read = Read(f"Marquez at {without_credentials(url)}", lineage_of_marquez(url))
    _check(read, "Send it events first, or name another one.")
    return read


def read_file(path: Path, tell: Tell) -> Read:
    """Read a file of events.

    Args:
        path: of the file; `-` is the standard input.
        tell: shows how far it is.

    Returns:
        What it has.

    Raises:
        CommandError: it cannot be read, is something else, or has nothing.
    """
    from openlineage_dagster_core.cli.events_file import STANDARD_INPUT, events_in

    name = "the standard input" if path == STANDARD_INPUT else path.name
    with explained(f"{name} cannot be read", "Name a file of OpenLineage events."):
        read = _gathered(name, events_in(path), tell)
    _check(
        read,
        "Name a file of OpenLineage events, one JSON object a line, with inputs or outputs.",
    )
    return read


def read_event_log(home: Path | None, code: CodeTarget, tell: Tell) -> Read:
    """Convert the event log of an instance.

    Args:
        home: its directory; None takes `DAGSTER_HOME`.
        code: where definitions are, if anywhere.
        tell: shows how far it is.

    Returns:
        What it has.

    Raises:
        CommandError: it cannot be read, or has nothing.
    """
    from openlineage_dagster_core.cli.deployment import opened
    from openlineage_dagster_core.cli.graph.from_instance import events_of_instance

    with opened(home, code) as deployment:
        name = f"the event log of {deployment.home}"
        with explained(f"{name} cannot be read", "See that its database answers."):
            read = _gathered(name, events_of_instance(deployment), tell)
    _check(read, "Materialize an asset first, or name another instance with --home.")
    return read


def _gathered(name: str, events: Iterable[object], tell: Tell) -> Read:
    # It brings Dagster along no more than the page needs; `--help` needs none of it.
    from openlineage_dagster_core.cli.graph.from_events import Gathering

    gathering = Gathering()
    left_out = 0
    for number, event in enumerate(events):
        left_out += not gathering.add(event)
        if number % STRIDE == 0:
            tell(f"Reading {name}: {number:,} events")
    return Read(name, gathering.lineage(), left_out)


def _check(read: Read, next_step: str) -> None:
    if read.lineage.datasets:
        return
    jobs = len(read.lineage.jobs)
    found = [f"{jobs:,} jobs"] if jobs else []
    if read.left_out:
        found.append(f"{read.left_out:,} lines that are no OpenLineage events")
    only = f", only {' and '.join(found)}" if found else ""
    name = f"{read.name[0].upper()}{read.name[1:]}" if read.name.startswith("the ") else read.name
    raise NothingToDrawError(f"{name} names no dataset{only}: no page is written.", next_step)
