"""An event of the log is decoded when it is asked for, and weighs what its text does."""

import pytest
from dagster import serialize_value

from log_entries import step_event
from openlineage_dagster_core.event_log.stored_event import UNKNOWN_WEIGHT, EventId, StoredEvent

ID = EventId("run", 1)


def test_a_text_is_decoded_to_what_was_stored() -> None:
    entry = step_event("run", 5.0)
    text = serialize_value(entry)
    event = StoredEvent(ID, text)
    assert event.entry() == entry
    assert event.weight > len(text)


def test_what_dagster_has_decoded_already_is_not_decoded_again() -> None:
    entry = step_event("run", 5.0)
    event = StoredEvent(ID, decoded=entry)
    assert event.entry() is entry
    assert event.weight == UNKNOWN_WEIGHT


@pytest.mark.parametrize("text", ["", "no JSON", '{"__class__": "Unknown"}', "null"])
def test_a_text_that_is_no_event_is_an_error(text: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 -- whatever Dagster raises
        StoredEvent(ID, text).entry()
