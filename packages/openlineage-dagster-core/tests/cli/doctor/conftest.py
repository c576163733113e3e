"""A home of its own for each test, a backend that answers as Marquez does, and one that hangs."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OPENLINEAGE") or name == "DAGSTER_HOME":
            monkeypatch.delenv(name)
    for folder in ("user", "work"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An instance's directory with an empty `dagster.yaml`."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return home


@pytest.fixture
def code_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules can be imported."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


class MarquezLike:
    """Answers as Marquez does, to what the doctor asks of it."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.status = 200
        self.date: str | None = None
        self.location: str | None = None
        self.authorization: list[str | None] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.authorization.append(self.headers["Authorization"])
                path = self.path.partition("?")[0]
                content: dict[str, object] = {"namespaces": [], "totalCount": 0}
                status = fake.status
                if path.startswith("/api/v1/jobs/runs/"):
                    state = fake.states.get(path.rpartition("/")[2])
                    content = {"state": state}
                    status = 200 if state else 404
                self._answer(status, content)

            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                state = {"START": "RUNNING", "COMPLETE": "COMPLETED"}[event["eventType"]]
                fake.states[event["run"]["runId"]] = state
                self._answer(201, {})

            def _answer(self, status: int, content: dict[str, object]) -> None:
                body = json.dumps(content).encode()
                self.send_response_only(status)
                self.send_header("Date", fake.date or self.date_time_string())
                if fake.location:
                    self.send_header("Location", fake.location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Be quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def marquez_like() -> Iterator[MarquezLike]:
    """A backend that answers as Marquez does."""
    fake = MarquezLike()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


@pytest.fixture
def hanging() -> Iterator[str]:
    """The address of a backend that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def refusing() -> Iterator[str]:
    """The address of nobody: the port is taken, and nobody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
