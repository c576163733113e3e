"""Where a replay goes."""

import json
from pathlib import Path

import pytest

from openlineage_dagster_core.delivery.client import CONNECTIONS
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.replay.destination import clients_to
from openlineage_dagster_core.settings import Settings
from receiver import Receiver
from small_event import event


def test_to_a_file_one_client_appends(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text("{}\n")
    [client] = clients_to(f"file:{path}", Settings())
    client.emit(event())
    client.close()
    assert [*map(json.loads, path.read_text().splitlines())][1]["job"]["name"]


def test_to_an_address_there_are_several_and_none_has_a_key(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "hunter2")
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:1")
    clients = clients_to(receiver.url, Settings())
    assert len(clients) == CONNECTIONS
    clients[-1].emit(event())
    for client in clients:
        client.close()
    assert len(receiver.events) == 1
    assert "hunter2" not in str(receiver.headers)


@pytest.mark.parametrize("wrong", ["", "file:", "ftp://x", "http://", "events.ndjson"])
def test_anything_else_is_refused_with_what_is_allowed(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="--to"):
        clients_to(wrong, Settings())
