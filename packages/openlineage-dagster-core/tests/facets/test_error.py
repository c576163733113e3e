import json

from openlineage.client.serde import Serde

from openlineage_dagster_core.facets.error import error_facet
from openlineage_dagster_core.facts.model import ErrorFacts
from openlineage_spec import facet_faults


def test_message_and_stack_come_without_secrets() -> None:
    text = "cannot connect to postgres://me:hunter2@db/x"
    facet = json.loads(Serde.to_json(error_facet(ErrorFacts(text, f"Stack: {text}"))))
    assert facet_faults("errorMessage", facet) == []
    assert facet["message"] == "cannot connect to postgres://***@db/x"
    assert facet["stackTrace"] == "Stack: cannot connect to postgres://***@db/x"


def test_both_are_made_fit() -> None:
    facet = error_facet(ErrorFacts("\x00", "x" * 10**6))
    assert facet.message == "\ufffd"
    assert facet.stackTrace is not None
    assert facet.stackTrace.endswith("x…")


def test_without_a_stack_there_is_none() -> None:
    assert error_facet(ErrorFacts("no")).stackTrace is None
