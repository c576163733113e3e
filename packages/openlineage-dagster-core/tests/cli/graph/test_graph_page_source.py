"""What the page is made of, and that nothing in it can break out of its place."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

pytest.importorskip("igraph", reason="pages are laid out by igraph: the extra `graph`")

from openlineage_dagster_core.cli.graph.drawing import drawing
from openlineage_dagster_core.cli.graph.from_events import Gathering
from openlineage_dagster_core.cli.graph.model import (
    Column,
    Dataset,
    Job,
    Lineage,
    Run,
    State,
)
from openlineage_dagster_core.cli.graph.page import embedded, page

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; &amp;",
    "$data ${script}",
    "\u2028\u2029\x00",
    "\ud800",
    "'\"`\\",
]


class _Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.title = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside == "title":
            self.title += data


def hostile_lineage(text: str) -> Lineage:
    name = (text, text)
    return Lineage(
        {name: Dataset(text, text, (Column(text, text, text),))},
        {name: Job(text, text, name, Run(text, State.FAIL))},
        frozenset(),
        frozenset({(name, name)}),
        frozenset({((name, text), (name, text))}),
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text(text: str) -> None:
    plain = _Elements(page("Lineage", drawing(hostile_lineage("plain"), "plain")))
    found = _Elements(page(text, drawing(hostile_lineage(text), text)))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags]
    assert found.scripts[1:] == plain.scripts[1:]
    assert json.loads(found.scripts[0])["nodes"][0]["name"] == text
    if text.isprintable():
        assert found.title == text


@pytest.mark.parametrize("text", HOSTILE)
def test_embedded_json_has_no_character_of_html(text: str) -> None:
    written = embedded({text: [text]})
    assert written.isascii()
    assert not set(written) & set("<>&")
    assert json.loads(written) == {text: [text]}


def test_the_policy_allows_the_two_scripts_and_nothing_from_elsewhere() -> None:
    found = _Elements(page("Lineage", drawing(hostile_lineage("a"), "a")))
    [policy] = [
        attributes["content"] or ""
        for tag, attributes in found.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in found.scripts[1:]
    ]
    assert f"script-src 'sha256-{digests[0]}' 'sha256-{digests[1]}';" in policy
    assert policy.startswith("default-src 'none';")
    for tag, attributes in found.tags:
        assert tag not in {"link", "iframe", "img", "object", "embed"}
        assert not attributes.keys() & {"src", "href", "srcset"}


def test_the_style_sheet_loads_nothing() -> None:
    [style] = re.findall(
        r"<style>(.*?)</style>", page("a", drawing(hostile_lineage("a"), "a")), re.DOTALL
    )
    assert "url(" not in style
    assert "@import" not in style


def named(name: str) -> dict[str, str]:
    return {"namespace": "shop", "name": name}


def test_jobs_without_datasets_are_in_a_view_of_their_own() -> None:
    gathering = Gathering()
    run = {"runId": "r", "facets": {"parent": {"job": named("nightly")}}}
    for event in (
        {"job": named("nightly"), "run": {"runId": "n"}},
        {"job": named("nightly.step"), "run": run},
        {"job": named("sales"), "inputs": [named("orders")], "outputs": [named("sales")]},
    ):
        gathering.add(event)
    drawn = drawing(gathering.lineage(), "events")
    names = [node["name"] for node in drawn["nodes"]]
    shown = {
        view: {names[number] for number, *_ in content["nodes"]}
        for view, content in drawn["views"].items()
    }
    assert names == ["orders", "sales", "nightly", "nightly.step", "sales"]
    assert shown["datasets"] == {"orders", "sales"}
    assert [number for number, *_ in drawn["views"]["jobs"]["nodes"]] == [0, 1, 4]
    assert shown["all"] == set(names)
    assert [edge[:2] for edge in drawn["views"]["datasets"]["edges"]] == [[0, 1]]
    assert [edge[:2] for edge in drawn["views"]["jobs"]["edges"]] == [[0, 4], [4, 1]]
    assert drawn["views"]["all"]["parents"] == 1
    assert drawn["views"]["all"]["edges"][-1][:2] == [2, 3]


def test_every_node_has_one_place_in_each_view() -> None:
    drawn = drawing(hostile_lineage("a"), "a")
    for view in drawn["views"].values():
        numbers = [number for number, *_ in view["nodes"]]
        assert len(numbers) == len(set(numbers))
        places = [tuple(place) for _, *place in view["nodes"]]
        assert len(places) == len(set(places))
