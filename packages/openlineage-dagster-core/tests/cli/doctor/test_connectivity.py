from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from openlineage_dagster_core.cli.doctor import connectivity
from openlineage_dagster_core.cli.doctor.connectivity import Answer
from openlineage_dagster_core.cli.doctor.finding import Finding, Status
from openlineage_dagster_core.delivery.configured import Destination


def check(answers: list[Answer] | None = None, **config: object) -> list[Finding]:
    return list(connectivity.check(Destination("", config), [] if answers is None else answers))


def test_marquez_is_known_by_its_answer_and_gets_the_key(marquez_like: Any) -> None:
    answers: list[Answer] = []

    (found,) = check(
        answers, type="http", url=marquez_like.url, auth={"type": "api_key", "apiKey": "k"}
    )

    assert found.status is Status.OK
    assert "Marquez" in found.message
    assert marquez_like.authorization == ["Bearer k"]
    (answer,) = answers
    assert answer.is_marquez
    assert answer.date is not None


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, Status.OK),
        (501, Status.OK),
        (401, Status.WARNING),
        (403, Status.WARNING),
        (503, Status.WARNING),
    ],
)
def test_any_answer_counts_but_for_those_that_tell_of_trouble(
    status: int, expected: Status, marquez_like: Any
) -> None:
    marquez_like.status = status

    (found,) = check(type="http", url=marquez_like.url)

    assert found.status is expected
    assert f"HTTP {status}" in found.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_problem_that_names_the_target(status: int, marquez_like: Any) -> None:
    marquez_like.status = status
    marquez_like.location = "https://me:geheim@lineage.example/api/v1/namespaces?limit=1"

    (found,) = check(type="http", url=marquez_like.url)

    assert found.status is Status.PROBLEM
    assert f"redirects to https://lineage.example (HTTP {status}" in found.message
    assert "geheim" not in found.message
    assert "OPENLINEAGE_URL" in (found.remedy or "")


def test_nobody_there_is_a_problem(refusing: str) -> None:
    (found,) = check(type="http", url=refusing.replace("//", "//me:geheim@"))

    assert found.status is Status.PROBLEM
    assert "Connection refused" in found.message
    assert "geheim" not in found.message


def test_a_backend_that_hangs_is_given_up(hanging: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectivity, "SECONDS", 0.2)
    began = time.monotonic()

    (found,) = check(type="http", url=hanging)

    assert "has not answered within 0.2 s" in found.message
    assert time.monotonic() - began < 5


def test_a_path_that_the_client_drops_is_a_problem(marquez_like: Any) -> None:
    lost, _ = check(type="http", url=f"{marquez_like.url}/lineage")
    kept = check(type="http", url=f"{marquez_like.url}/lineage/")

    assert lost.status is Status.PROBLEM
    assert f"events go to {marquez_like.url}/api/v1/lineage" in lost.message
    assert len(kept) == 1


def test_a_file_needs_its_folder(tmp_path: Path) -> None:
    (missing,) = check(type="file", log_file_path=str(tmp_path / "no" / "events"))
    (there,) = check(type="file", log_file_path=str(tmp_path / "events"))
    (relative,) = check(type="file", log_file_path="events")

    assert (missing.status, there.status) == (Status.PROBLEM, Status.OK)
    assert relative.status is Status.WARNING


def test_a_folder_that_cannot_be_written_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not a mode: root may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)

    (found,) = check(type="file", log_file_path=str(tmp_path / "events"))

    assert found.status is Status.PROBLEM
    assert str(tmp_path) in found.message


def test_kafka_without_a_topic_is_a_problem() -> None:
    pytest.importorskip("confluent_kafka")

    (found,) = check(type="kafka", config={"bootstrap.servers": "127.0.0.1:9"})

    assert found.status is Status.PROBLEM
    assert "topic" in found.message


def test_kafka_without_its_library_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)

    (found,) = check(type="kafka", topic="t", config={})

    assert found.status is Status.PROBLEM
    assert found.remedy == "pip install confluent-kafka"


def test_a_broker_that_is_not_there_is_a_problem(
    refusing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("confluent_kafka")
    monkeypatch.setattr(connectivity, "SECONDS", 1.0)
    address = refusing.removeprefix("http://")

    (found,) = check(type="kafka", topic="t", config={"bootstrap.servers": address})

    assert found.status is Status.PROBLEM
    assert "Connection refused" in found.message


def test_what_cannot_be_asked_is_noted() -> None:
    (found,) = check(type="my.Transport")

    assert found.status is Status.NOTE
    assert "--send" in (found.remedy or "")
