from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.transport.noop import NoopConfig, NoopTransport

from openlineage_dagster_core.delivery import configured
from openlineage_dagster_core.delivery.configured import ConfigFileError, Value


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OPENLINEAGE"):
            monkeypatch.delenv(name)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


URL = "http://backend.example.org:5000"
FILE = f"transport:\n  type: http\n  url: {URL}/of-file/\n  auth: {{type: api_key, apiKey: f}}\n"


@pytest.mark.parametrize(
    "file",
    [
        "",
        FILE,
        "filters: []\n",
        "transport: {type: console}\n",
        "transport:\n",
        "transport: {type: }\n",
    ],
)
@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OPENLINEAGE_URL": URL},
        {"OPENLINEAGE_URL": URL, "OPENLINEAGE_API_KEY": "k", "OPENLINEAGE_ENDPOINT": "e"},
        {"OPENLINEAGE__TRANSPORT__TYPE": "http", "OPENLINEAGE__TRANSPORT__URL": URL},
        {"OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": "/x"})},
        {
            "OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": "/x"}),
            "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH": "/y",
        },
        {
            "OPENLINEAGE__TRANSPORT__TYPE": "http",
            "OPENLINEAGE__TRANSPORT__URL": URL,
            "OPENLINEAGE__TRANSPORT__TIMEOUT": "3",
            "OPENLINEAGE__TRANSPORT__AUTH": json.dumps({"type": "api_key", "apiKey": "k"}),
        },
        {"OPENLINEAGE__TRANSPORT__TYPE": "composite", "OPENLINEAGE_URL": URL},
        {
            "OPENLINEAGE__TRANSPORT__TYPE": "composite",
            "OPENLINEAGE__TRANSPORT__TRANSPORTS__ONE__TYPE": "console",
            "OPENLINEAGE_URL": URL,
            "OPENLINEAGE_API_KEY": "k",
        },
        {
            "OPENLINEAGE__TRANSPORT__TYPE": "async_http",
            "OPENLINEAGE_URL": URL,
            "OPENLINEAGE_API_KEY": "k",
            "OPENLINEAGE_ENDPOINT": "e",
        },
    ],
)
def test_it_is_the_configuration_that_the_client_finds(
    environ: dict[str, str], file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    if file:
        Path("openlineage.yml").write_text(file)

    found = configured.transport(dict(os.environ))

    client = OpenLineageClient(transport=NoopTransport(NoopConfig()))
    theirs = client.config.transport or {}
    if theirs.get("type"):
        assert found is not None
        if theirs["type"] != "composite":
            # Where only OPENLINEAGE_URL puts something that nobody reads.
            theirs.pop("transports", None)
        assert found.config == theirs
        assert found.kind == theirs["type"]
    elif "OPENLINEAGE_URL" in environ:
        assert found is not None
        assert OpenLineageClient().transport.kind == found.kind == "http"
        assert found.config["url"] == environ["OPENLINEAGE_URL"]
    else:
        assert found is None
        assert OpenLineageClient().transport.kind == "console"


def test_each_value_says_where_it_comes_from() -> None:
    file = Path("openlineage.yml")
    file.write_text("transport: {type: http, url: http://of-file}\n")
    environ = {"OPENLINEAGE__TRANSPORT__ENDPOINT": "e", "OPENLINEAGE__TRANSPORT__URL": "http://no"}

    found = configured.transport(environ)

    assert found is not None
    assert sorted(found.values, key=lambda value: value.path) == [
        Value(("endpoint",), "e", "OPENLINEAGE__TRANSPORT__ENDPOINT"),
        Value(("type",), "http", str(file.absolute())),
        Value(("url",), "http://of-file", str(file.absolute())),
    ]


def test_the_named_file_comes_first_and_one_that_is_not_there_is_passed_over(
    tmp_path: Path,
) -> None:
    Path("openlineage.yml").write_text("")
    environ = {"OPENLINEAGE_CONFIG": str(tmp_path / "named.yml")}
    assert configured.config_file(environ) == Path("openlineage.yml").absolute()

    (tmp_path / "named.yml").write_text("")
    assert configured.config_file(environ) == tmp_path / "named.yml"


@pytest.mark.parametrize("text", ["transport: {apiKey: geheim\n", "[geheim]", "\x01 geheim"])
def test_a_broken_file_is_an_error_that_does_not_quote_it(text: str) -> None:
    Path("openlineage.yml").write_text(text)

    with pytest.raises(ConfigFileError) as caught:
        configured.transport({})

    assert "openlineage.yml" in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_what_is_inside_other_transports_is_where_events_go() -> None:
    inside = {
        "one": {"type": "http", "url": URL},
        "two": {"type": "transform", "transport": {"type": "console"}},
    }
    listed = [{"type": "file", "name": "three"}, {"type": "noop"}]
    config = {
        "type": "composite",
        "transports": {**inside, "more": {"type": "composite", "transports": listed}},
    }

    found = list(configured.destinations(config))

    assert [(each.name, each.kind) for each in found] == [
        ("one", "http"),
        ("two", "console"),
        ("three", "file"),
        ("2", "noop"),
    ]
