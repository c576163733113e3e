"""What Marquez's API says, put together; an HTTP server stands in for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from openlineage_dagster_core.cli.graph.from_marquez import PAGE, lineage_of_marquez
from openlineage_dagster_core.cli.graph.model import Column, Dataset, Job, Run, State
from openlineage_dagster_core.cli.terminal import CommandError

Json = dict[str, Any]


@contextmanager
def serving(answers: dict[str, object]) -> Iterator[str]:
    """Answer paths (without /api/v1/) with JSON, cut to the page that is asked for; else 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            path = parts.path.removeprefix("/api/v1/")
            answer = answers.get(f"{path} {query['nodeId'][0]}" if "nodeId" in query else path)
            if isinstance(answer, int) or answer is None:
                self.send_response(answer or 404)
                self.end_headers()
                return
            if isinstance(answer, dict) and "offset" in query:
                offset, limit = int(query["offset"][0]), int(query["limit"][0])
                answer = {
                    key: value[offset : offset + limit] if isinstance(value, list) else value
                    for key, value in answer.items()
                }
            body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def named(name: str, **more: object) -> Json:
    return {"namespace": "shop/eu", "name": name, **more}


def test_jobs_datasets_and_columns_of_all_namespaces_are_read() -> None:
    sources = [
        {"namespace": "shop/eu", "dataset": "orders", "field": "price"},
        {"namespace": "shop/eu", "dataset": None, "field": "broken"},
    ]
    sales = {"namespace": "shop/eu", "dataset": "sales", "field": "amount"}
    answers: dict[str, object] = {
        "namespaces": {
            "namespaces": [
                {"name": "shop/eu", "isHidden": False},
                {"name": "gone", "isHidden": True},
            ]
        },
        "namespaces/shop%2Feu/datasets": {
            "datasets": [
                named("orders", fields=[{"name": "price", "type": "numeric"}], description=None),
                named(
                    "sales",
                    fields=[{"name": "amount", "type": "numeric", "description": "€"}],
                    description="Sales.",
                ),
                named("bare", fields=[]),
            ]
        },
        "namespaces/shop%2Feu/jobs": {
            "jobs": [
                named(
                    "sales",
                    inputs=[named("orders")],
                    outputs=[named("sales")],
                    parentJobName="nightly",
                    description="Sells.",
                    facets={"jobType": {"jobType": "ASSET"}},
                    latestRun={
                        "id": "r1",
                        "state": "FAILED",
                        "createdAt": "2026-01-01T10:00:00Z",
                        "startedAt": None,
                        "endedAt": "2026-01-01T10:05:00Z",
                    },
                ),
                named("bare", inputs=[], outputs=[named("bare")], latestRun=None),
            ]
        },
        "column-lineage dataset:shop/eu:sales": {
            "graph": [{"id": "x", "data": {**sales, "inputFields": sources}}, {"data": None}]
        },
    }
    with serving(answers) as url:
        lineage = lineage_of_marquez(f"{url}/")
    assert lineage.datasets["shop/eu", "sales"] == Dataset(
        "", "Sales.", (Column("amount", "numeric", "€"),)
    )
    ended = datetime(2026, 1, 1, 10, 5, tzinfo=timezone.utc)
    assert lineage.jobs["shop/eu", "sales"] == Job(
        "ASSET", "Sells.", ("shop/eu", "nightly"), Run("r1", State.FAIL, ended)
    )
    assert lineage.jobs["shop/eu", "bare"] == Job()
    assert lineage.reads == {(("shop/eu", "orders"), ("shop/eu", "sales"))}
    assert lineage.columns == {((("shop/eu", "orders"), "price"), (("shop/eu", "sales"), "amount"))}


def test_all_pages_are_read() -> None:
    datasets = [named(str(number), fields=[]) for number in range(2 * PAGE + 1)]
    answers: dict[str, object] = {
        "namespaces": {"namespaces": [{"name": "shop/eu"}]},
        "namespaces/shop%2Feu/datasets": {"datasets": datasets},
        "namespaces/shop%2Feu/jobs": {"jobs": []},
    }
    with serving(answers) as url:
        assert len(lineage_of_marquez(url).datasets) == len(datasets)


@pytest.mark.parametrize(
    ("answer", "why"),
    [(500, "HTTP 500"), ("<html>", "not JSON"), ({"error": 1}, "no namespaces"), (404, "HTTP 404")],
)
def test_what_is_no_marquez_is_said(answer: object, why: str) -> None:
    with serving({"namespaces": answer}) as url, pytest.raises(CommandError, match=why):
        lineage_of_marquez(url)


def test_one_that_does_not_answer_is_named_without_its_password() -> None:
    with serving({}) as url:
        pass
    with pytest.raises(CommandError, match="does not answer") as raised:
        lineage_of_marquez(url.replace("://", "://user:hunter2@"))
    assert "hunter2" not in raised.value.message
    assert url.removeprefix("http://") in raised.value.message
