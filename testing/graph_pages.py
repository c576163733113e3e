"""Lineage of any size as a page of `openlineage-dagster graph`, opened in Chromium."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Dialog, Page, Request, ViewportSize, sync_playwright

Json = dict[str, Any]

WINDOW: ViewportSize = {"width": 1280, "height": 760}
BEGIN = datetime(2026, 2, 1, 6, tzinfo=timezone.utc)

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
"""The browser: the system's, or the one that the environment names."""

GRAPH = "document.getElementById('graph')._cyreg.cy"
"""What Cytoscape draws, which it keeps with the element that it draws in."""


def dataset(
    name: str,
    /,
    namespace: str = "shop",
    made_of: dict[str, list[tuple[str, str]]] | None = None,
    about: str = "",
    **columns: str,
) -> Json:
    """Describe a dataset, as an event does.

    Args:
        name: of the dataset.
        namespace: of the dataset.
        made_of: by column, the datasets of "shop" and their columns that it is made of.
        about: its description.
        **columns: types by name.

    Returns:
        A part of an event.
    """
    facets: Json = {}
    if columns:
        facets["schema"] = {"fields": [{"name": key, "type": columns[key]} for key in columns]}
    if about:
        facets["documentation"] = {"description": about}
    if made_of:
        facets["columnLineage"] = {
            "fields": {
                column: {
                    "inputFields": [
                        {"namespace": "shop", "name": source, "field": source_column}
                        for source, source_column in sources
                    ]
                }
                for column, sources in made_of.items()
            }
        }
    return {"namespace": namespace, "name": name, "facets": facets}


def run(
    job: str,
    inputs: Iterable[Json] = (),
    outputs: Iterable[Json] = (),
    *,
    state: str = "COMPLETE",
    minute: int = 0,
    kind: str = "ASSET",
    namespace: str = "shop",
    parent: str | None = None,
) -> Json:
    """Describe a run, by one event.

    Args:
        job: whose run it is.
        inputs: what it reads.
        outputs: what it writes.
        state: the event's type.
        minute: when it was; each run's own, for the run's id is made of it.
        kind: the type of the job.
        namespace: of the job.
        parent: the job of "shop" that the job belongs to.

    Returns:
        The event.
    """
    facets = {"parent": {"job": {"namespace": "shop", "name": parent}}} if parent else {}
    return {
        "eventType": state,
        "eventTime": (BEGIN + timedelta(minutes=minute)).isoformat(),
        "run": {"runId": f"019c1800-0000-7000-8000-{minute:012d}", "facets": facets},
        "job": {
            "namespace": namespace,
            "name": job,
            "facets": {"jobType": {"jobType": kind, "integration": "DAGSTER"}},
        },
        "inputs": list(inputs),
        "outputs": list(outputs),
    }


def pipelines(count: int) -> list[Json]:
    """Describe pipelines of five layers of eight datasets, each with a job that makes it.

    Args:
        count: how many datasets.

    Returns:
        An event for each.
    """
    events = []
    for number in range(count):
        layer, place = divmod(number % 40, 8)
        pipeline = number // 40
        name = f"pipeline_{pipeline:03d}/layer_{layer}/table_{place}"
        before = [
            dataset(f"pipeline_{pipeline:03d}/layer_{layer - 1}/table_{(place + shift) % 8}")
            for shift in range(2 if layer else 0)
        ]
        state = ("COMPLETE", "COMPLETE", "COMPLETE", "FAIL", "START")[number % 5]
        made = dataset(name, a="text", b="text", c="text", d="text", e="text")
        events.append(run(name, before, [made], state=state, minute=number))
    return events


def page_of(events: Iterable[Json], folder: Path) -> Path:
    """Write events to a file, and their page beside it.

    Args:
        events: what is drawn.
        folder: where to.

    Returns:
        The page.

    Raises:
        subprocess.CalledProcessError: the command fails.
    """
    source, output = folder / "events.jsonl", folder / "lineage.html"
    source.write_text("\n".join(map(json.dumps, events)), encoding="utf-8")
    command = [sys.executable, "-m", "openlineage_dagster_core.cli", "graph"]
    subprocess.run([*command, source, "-o", output], check=True, stdout=subprocess.DEVNULL)
    return output


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser, without a window.

    Yields:
        The browser, until it is left.
    """
    with sync_playwright() as playwright:
        # Root, as in a container, may not have a sandbox.
        has_sandbox = hasattr(os, "geteuid") and os.geteuid() != 0
        browser = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=has_sandbox)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, path: Path, **options: Any) -> Iterator[Page]:
    """Open a page, which may ask for nothing and may not fail.

    Args:
        browser: shows it.
        path: the page.
        **options: Playwright's, of a page.

    Yields:
        The page, painted.

    Raises:
        AssertionError: the page said, threw or asked for anything.
    """
    troubles: list[str] = []
    page = browser.new_page(
        viewport=WINDOW, reduced_motion="reduce", locale="en-GB", timezone_id="UTC", **options
    )

    def dismiss(dialog: Dialog) -> None:
        troubles.append(dialog.message)
        dialog.dismiss()

    def watch(request: Request) -> None:
        if not request.url.startswith(("data:", path.as_uri())):
            troubles.append(request.url)

    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: troubles.append(said.text))
    page.on("dialog", dismiss)
    page.on("request", watch)
    page.goto(path.as_uri())
    painted(page)
    try:
        yield page
    finally:
        page.close()
    assert not troubles


def painted(page: Page) -> None:
    """Wait for what is drawn after the next frame, too.

    Args:
        page: is open.
    """
    page.evaluate(
        "new Promise(done => requestAnimationFrame(() => setTimeout(() => setTimeout(done))))"
    )
