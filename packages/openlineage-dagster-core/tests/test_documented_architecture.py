"""The picture of docs/architecture.md shows what its source says, and modules that exist."""

import re
from html import unescape
from pathlib import Path

import openlineage_dagster_core

DOCS = Path(__file__).parents[3] / "docs"
SOURCES = Path(openlineage_dagster_core.__file__).parent
LINES = [
    line
    for label in re.findall(r'label="([^"]+)"', (DOCS / "architecture.dot").read_text())
    for line in label.split(r"\n")
]


def test_every_module_in_the_picture_exists() -> None:
    modules = [word for line in LINES for word in line.split() if word.endswith(".py")]
    assert len(modules) > 10
    assert [each for each in modules if not (SOURCES / each).is_file()] == []


def test_the_picture_is_drawn_from_its_source() -> None:
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", (DOCS / "images/architecture.svg").read_text())
    assert sorted(map(unescape, drawn)) == sorted(LINES), "run `nox -s pictures`"
