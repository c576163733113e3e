from __future__ import annotations

import pytest

from openlineage_dagster_core.cli.doctor.masked import masked


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
    assert "geheim" not in masked(path, value)
    assert "***" in masked(path, value)


def test_everything_else_is_shown() -> None:
    assert masked(("url",), "http://host:5000/a") == "http://host:5000/a"
    assert masked(("auth", "type"), "api_key") == "api_key"
    assert masked(("timeout",), 3) == "3"
    assert masked(("config", "bootstrap.servers"), "a:9092") == "a:9092"
