"""Files of events, as they are found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openlineage_dagster_core.cli.foreign_json import NO_JSON, events_in
from openlineage_dagster_core.cli.terminal import CommandError

ONE, TWO = {"job": {"name": "one"}}, {"job": {"name": "two"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{json.dumps(ONE)}\n{json.dumps(TWO)}\n", [ONE, TWO]),
        (f"\n\n{json.dumps(ONE)}\n  \n{json.dumps(TWO)}", [ONE, TWO]),
        (json.dumps([ONE, TWO]), [ONE, TWO]),
        (f"\n{json.dumps([ONE, TWO], indent=2)}\n", [ONE, TWO]),
        (json.dumps(ONE, indent=2), [ONE]),
        (f"torn\n{json.dumps(ONE)}\n{json.dumps(TWO)[:-5]}", [NO_JSON, ONE, NO_JSON]),
        (f"[torn\n{json.dumps(ONE)}", [NO_JSON, ONE]),
        ("", []),
        ("\n \n", []),
        ("[]", []),
        ("[" * 100_000, [NO_JSON]),
    ],
)
def test_lines_arrays_and_objects_are_read(
    tmp_path: Path, text: str, expected: list[object]
) -> None:
    file = tmp_path / "events"
    file.write_text(text, encoding="utf-8")
    assert list(events_in(file)) == expected


def test_bytes_that_are_no_text_are_no_json(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(b"\x1f\x8b\x08\xff\n" + json.dumps(ONE).encode())
    assert list(events_in(file)) == [NO_JSON, ONE]


def test_a_missing_file_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"There is no file .*nowhere\. Name a file"):
        next(events_in(tmp_path / "nowhere"))
