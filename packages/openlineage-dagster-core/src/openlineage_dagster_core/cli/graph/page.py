"""Writes the page: one HTML file that loads nothing and sends nothing."""

import base64
import hashlib
import html
import json
from importlib.resources import files
from string import Template

from openlineage_dagster_core.cli.foreign_json import Json
from openlineage_dagster_core.cli.terminal import CommandError

WEB = files(__package__) / "web"


def page(title: str, drawing: Json) -> str:
    """Return the HTML for a window's title and what `drawing` returns; all text stays text."""
    library = _file("cytoscape/cytoscape.min.js")
    script = _file("page.js")
    return Template(_file("page.html")).substitute(
        title=html.escape(title),
        # The page's policy allows these two scripts, and no request.
        scripts=f"'{_digest(library)}' '{_digest(script)}'",
        style=_file("page.css"),
        library=library,
        script=script,
        data=embedded(drawing),
    )


def embedded(value: object) -> str:
    """Write JSON for an element `script`: ASCII without any character that HTML interprets."""
    text = json.dumps(value, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _file(name: str) -> str:
    try:
        return (WEB / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        step = "Install openlineage-dagster-core again: building it fetches that file."
        missing = f"This installation lacks {name}, which the page needs."
        raise CommandError(missing, step) from None


def _digest(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
