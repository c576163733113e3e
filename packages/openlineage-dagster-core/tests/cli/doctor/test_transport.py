from __future__ import annotations

import os
from pathlib import Path

import pytest

from openlineage_dagster_core.cli.doctor import transport
from openlineage_dagster_core.cli.doctor.finding import Finding, Status, findings_of
from openlineage_dagster_core.delivery.configured import Destination


def check(
    monkeypatch: pytest.MonkeyPatch, **environ: str
) -> tuple[list[Finding], list[Destination]]:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    sending: list[Destination] = []
    found = findings_of("transport", lambda: transport.check(dict(os.environ), sending))
    return found, sending


def of(findings: list[Finding], status: Status) -> list[str]:
    return [finding.message for finding in findings if finding.status is status]


def test_nothing_configured_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    (found,), sending = check(monkeypatch)

    assert found.status is Status.PROBLEM
    assert "OPENLINEAGE_URL" in (found.remedy or "")
    assert sending == []


def test_each_value_is_shown_with_its_origin_and_without_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, sending = check(
        monkeypatch, OPENLINEAGE_URL="http://me:geheim@host:5000", OPENLINEAGE_API_KEY="streng"
    )

    assert {finding.status for finding in found} == {Status.OK}
    lines = [finding.message for finding in found]
    assert "url = http://***@host:5000, from OPENLINEAGE_URL" in lines
    assert "endpoint = api/v1/lineage, by default" in lines
    assert "auth.apiKey = ***, from OPENLINEAGE_API_KEY" in lines
    assert not any("geheim" in line or "streng" in line for line in lines)
    assert [each.kind for each in sending] == ["http"]


def test_off_is_a_warning_and_nothing_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    found, sending = check(monkeypatch, OPENLINEAGE_URL="http://host", OPENLINEAGE_DISABLED="true")

    assert "OPENLINEAGE_DISABLED" in of(found, Status.WARNING)[0]
    assert sending == []


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OPENLINEAGE_URL": "localhost:5000"}, "OPENLINEAGE_URL is 'localhost:5000'"),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "htpp"}, "htpp"),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "file"}, "cannot make the transport file"),
    ],
)
def test_a_wrong_configuration_is_a_problem(
    environ: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = check(monkeypatch, **environ)

    (problem,) = of(found, Status.PROBLEM)
    assert said in problem


def test_a_named_file_that_is_not_there_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = check(monkeypatch, OPENLINEAGE_URL="http://host", OPENLINEAGE_CONFIG="/no/such.yml")

    assert "/no/such.yml" in of(found, Status.WARNING)[0]


def test_a_file_that_wins_over_the_address_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("openlineage.yml").write_text("transport: {type: console}\n")

    found, _ = check(monkeypatch, OPENLINEAGE_URL="http://host")

    does_not_count, only_here = of(found, Status.NOTE)
    assert "OPENLINEAGE_URL does not count" in does_not_count
    assert "only in processes that start in that directory" in only_here


def test_a_broken_file_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("openlineage.yml").write_text("transport: {")

    found, sending = check(monkeypatch, OPENLINEAGE_URL="http://host")

    assert "openlineage.yml" in of(found, Status.PROBLEM)[0]
    assert sending == []


def test_no_answers_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = check(
        monkeypatch, OPENLINEAGE__TRANSPORT__TYPE="async_http", OPENLINEAGE_URL="http://host"
    )

    assert "async_http" in of(found, Status.WARNING)[0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("auth", "apiKey"), "geheim"),
        (("auth", "whatever"), "geheim"),
        (("custom_headers", "X-Team"), "geheim"),
        (("config", "sasl.password"), "geheim"),
        (("url",), "http://me:geheim@host/"),
        (("transports",), [{"type": "http", "auth": {"type": "x", "value": "geheim"}}]),
        (("config",), {"sasl.jaas.config": 'x required password="geheim";'}),
    ],
)
def test_secrets_are_masked(path: tuple[str, ...], value: object) -> None:
    assert "geheim" not in str(transport.masked(path, value))
    assert "***" in str(transport.masked(path, value))


def test_everything_else_is_shown() -> None:
    assert transport.masked(("url",), "http://host:5000/a") == "http://host:5000/a"
    assert transport.masked(("auth", "type"), "api_key") == "api_key"
    assert transport.masked(("timeout",), 3) == 3
    assert transport.masked(("config", "bootstrap.servers"), "a:9092") == "a:9092"
