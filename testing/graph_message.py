"""Says on one screen what differs between two lineage graphs, and which events that concerns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lineage_graph import LineageGraph, Name

Json = dict[str, Any]

LINES = 40
WIDTH = 120
EVENT_LINES = 12
"""How many of the lines are for events."""

ASPECTS = ("reads", "writes", "runs", "without_duration", "columns", "assertions")


@dataclass(frozen=True)
class _Statement:
    """One thing that a graph says.

    Args:
        text: what it is about.
        about: `job`, `columns` or `assertions`.
        name: of the job, or of the dataset whose columns or assertions they are.
    """

    text: str
    about: str
    name: Name

    def concerns(self, event: Json) -> bool:
        """Tell whether an event tells of it."""
        if "job" not in event:
            return False
        if self.about == "job":
            return _name(event["job"]) == self.name
        side, facets, facet = {
            "columns": ("outputs", "facets", "columnLineage"),
            "assertions": ("inputs", "inputFacets", "dataQualityAssertions"),
        }[self.about]
        return any(
            _name(dataset) == self.name and facet in (dataset.get(facets) or {})
            for dataset in event[side]
        )


def compare(found: LineageGraph, expected: LineageGraph, events: list[Json]) -> str:
    """Describe how two graphs differ in the aspects that both can tell.

    Args:
        found: what a system says.
        expected: what it should say.
        events: what it was sent, in order.

    Returns:
        At most 40 lines of at most 120 characters; empty where they do not differ.
    """
    wrong: dict[str, dict[_Statement, str]] = {}
    figures: dict[str, str] = {}
    for aspect in ASPECTS:
        if getattr(found, aspect) is None or getattr(expected, aspect) is None:
            continue
        says, should_say = _statements(found, aspect), _statements(expected, aspect)
        different = _differences(says, should_say)
        if different:
            wrong[aspect] = different
            figures[aspect] = f"expected {len(should_say)}, found {len(says)}"
    if not wrong:
        return ""
    lines = [f"{found.system} does not show the graph of {expected.system}"]
    share = (LINES - EVENT_LINES - len(lines)) // len(wrong) - 1
    for aspect, different in wrong.items():
        title = f"{aspect.replace('_', ' ')}: {len(different)} wrong ({figures[aspect]})"
        lines += [title, *_shortened([f"  {text}" for text in different.values()], share)]
    lines += _events_concerned([each for part in wrong.values() for each in part], events)
    return "\n".join(map(_narrow, lines))


def _statements(graph: LineageGraph, aspect: str) -> dict[_Statement, str]:
    """What a graph says of an aspect: about what, and what."""
    if aspect == "reads":
        return {
            _Statement(f"dataset {_text(dataset)} -> job {_text(job)}", "job", job): "there"
            for dataset, job in graph.reads or ()
        }
    if aspect == "writes":
        return {
            _Statement(f"job {_text(job)} -> dataset {_text(dataset)}", "job", job): "there"
            for job, dataset in graph.writes or ()
        }
    if aspect == "runs":
        return {
            _Statement(f"job {_text(job)}", "job", job): _counted(states)
            for job, states in (graph.runs or {}).items()
        }
    if aspect == "without_duration":
        return {
            _Statement(f"job {_text(job)} run {run_id}", "job", job): "there"
            for job, run_id in graph.without_duration or ()
        }
    if aspect == "columns":
        return {
            _Statement(
                f"column {_text(source)} {column} -> {_text(target)} {made}", "columns", target
            ): "there"
            for (source, column), (target, made) in graph.columns or ()
        }
    return {
        _Statement(f"dataset {_text(dataset)} {assertion}", "assertions", dataset): (
            "passed" if is_passed else "failed"
        )
        for dataset, made in (graph.assertions or {}).items()
        for assertion, is_passed in made.items()
    }


def _differences(
    says: Mapping[_Statement, str], should_say: Mapping[_Statement, str]
) -> dict[_Statement, str]:
    """What is wrong, as lines."""
    lines = {}
    for each in sorted(says.keys() | should_say.keys(), key=lambda statement: statement.text):
        found, expected = says.get(each), should_say.get(each)
        if found is None:
            value = "" if expected == "there" else f": {expected}"
            lines[each] = f"missing       {each.text}{value}"
        elif expected is None:
            value = "" if found == "there" else f": {found}"
            lines[each] = f"not expected  {each.text}{value}"
        elif found != expected:
            lines[each] = f"different     {each.text}: expected {expected}, found {found}"
    return lines


def _events_concerned(statements: list[_Statement], events: list[Json]) -> list[str]:
    concerned = [each for each in events if any(one.concerns(each) for one in statements)]
    without_event = {
        f"  {one.about} {_text(one.name)}: there is no event of it"
        for one in statements
        if not any(one.concerns(event) for event in events)
    }
    lines = [
        f"  {event['eventType']:8}  {event['eventTime']}  {_text(_name(event['job']))}  "
        f"run {event['run']['runId']}"
        # Edges and states are decided when a run ends.
        for event in sorted(concerned, key=lambda event: event["eventType"] in ("START", "RUNNING"))
    ]
    title = f"events concerned: {len(concerned)} of {len(events)}"
    return [title, *_shortened([*sorted(without_event), *lines], EVENT_LINES - 1)]


def _shortened(lines: list[str], most: int) -> list[str]:
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"  … and {len(lines) - most + 1} more"]


def _narrow(line: str) -> str:
    """Shorten a line in the middle, in a name: what it begins and ends with says more."""
    if len(line) <= WIDTH:
        return line
    end = WIDTH // 2
    return f"{line[: WIDTH - end - 1]}…{line[-end:]}"


def _counted(states: Counter[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()) if count)


def _name(described: Json) -> Name:
    return described["namespace"], described["name"]


def _text(name: Iterable[str]) -> str:
    return ":".join(name)
