"""What the page's script draws → the page: one file that needs no other and asks for none."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any

from openlineage_dagster_core.cli.failure import CommandError

WEB = files(__package__) / "web"


def page(title: str, drawing: Mapping[str, Any]) -> str:
    """Write the page.

    Args:
        title: of the browser's window.
        drawing: what `drawing` gives. Whatever is written in it stays text.

    Returns:
        The HTML.

    Raises:
        CommandError: the package was built without the library that draws.
    """
    library = _text("cytoscape/cytoscape.min.js")
    script = _text("page.js")
    return Template(_text("page.html")).substitute(
        title=html.escape(title),
        # Nothing but these two is run, nothing is loaded, nothing is sent.
        scripts=f"'{_digest(library)}' '{_digest(script)}'",
        style=_text("page.css"),
        library=library,
        script=script,
        data=embedded(drawing),
    )


def embedded(value: object) -> str:
    """Write JSON that can stand in an element `script`.

    Args:
        value: JSON's values.

    Returns:
        ASCII without any character that HTML knows.
    """
    text = json.dumps(value, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _text(name: str) -> str:
    try:
        return (WEB / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CommandError(
            f"This installation lacks {name}, which pages are made of.",
            "Install openlineage-dagster-core again: building it fetches that file.",
        ) from None


def _digest(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
