"""The exceptions are fakes with the shape of the libraries' own: boto3 and google are optional."""

from enum import Enum
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from openlineage_dagster_core.delivery.failure_status import answer_of, chain, status_of


class FakeError(Exception):
    def __init__(self, **attributes: Any) -> None:
        super().__init__("failed")
        vars(self).update(attributes)


class GrpcLikeCode(Enum):
    FAILED = 412


def requests_error(status: int, text: str = "") -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    response._content = text.encode()
    return requests.HTTPError(response=response)


def botocore_response(status: object, message: object = "wrong") -> dict[str, Any]:
    return {"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Message": message}}


def wrapped(error: Exception) -> Exception:
    """What a strict composite transport raises."""
    try:
        raise RuntimeError("Transport failed to emit event") from error  # noqa: TRY301
    except RuntimeError as wrapping:
        return wrapping


def followed(error: Exception) -> Exception:
    """An exception that another one was raised in place of."""
    try:
        try:
            raise error  # noqa: TRY301
        except Exception:
            raise LookupError from None
    except LookupError as following:
        return following


CASES = [
    (requests_error(422, "bad field"), 422, "bad field"),
    (FakeError(response=SimpleNamespace(status_code=400, text="no")), 400, "no"),
    (FakeError(response=botocore_response(409)), 409, "wrong"),
    (FakeError(code=404, message="not there"), 404, "not there"),
    (FakeError(code=HTTPStatus.CONFLICT), 409, ""),
    (FakeError(code=GrpcLikeCode.FAILED), 412, ""),
    (FakeError(code=503, response=None), 503, ""),
]
NAMES = [
    "requests' own",
    "fake like httpx's",
    "fake like botocore's",
    "fake like google's with an int",
    "fake like google's with an HTTPStatus",
    "fake like google's with an enum",
    "fake like google's without a response",
]


@pytest.mark.parametrize(("error", "status", "answer"), CASES, ids=NAMES)
@pytest.mark.parametrize(
    "hide", [lambda error: error, wrapped, followed, lambda error: wrapped(wrapped(error))]
)
def test_a_status_and_its_answer_are_found(
    error: Exception, status: int, answer: str, hide: Any
) -> None:
    hidden = hide(error)
    assert status_of(hidden) == status
    assert type(status_of(hidden)) is int
    assert answer_of(hidden) == answer


@pytest.mark.parametrize(
    "error",
    [
        ValueError("400"),
        FakeError(code=7),
        FakeError(code="400"),
        FakeError(code=True),
        FakeError(code=lambda: 400),
        FakeError(response={}),
        FakeError(response=botocore_response("400")),
        FakeError(response={"ResponseMetadata": None}),
        requests.ConnectionError("refused"),
    ],
)
def test_an_exception_like_any_other_has_no_status(error: Exception) -> None:
    assert status_of(error) is None
    assert answer_of(error) == ""


def test_the_outermost_status_counts() -> None:
    error = requests_error(503)
    error.__cause__ = requests_error(400)
    assert status_of(error) == 503


def test_a_cause_counts_before_a_context() -> None:
    error = RuntimeError()
    error.__context__ = requests_error(500)
    error.__cause__ = requests_error(400)
    assert status_of(error) == 400


def test_an_exception_that_the_caller_was_handling_does_not_count() -> None:
    before = requests_error(400)
    error = followed(RuntimeError())
    assert error.__context__ is not None
    error.__context__.__context__ = before
    assert status_of(error) == 400
    assert status_of(error, before) is None


def test_a_circle_of_exceptions_ends() -> None:
    first, second = RuntimeError(), RuntimeError()
    first.__context__, second.__context__ = second, first
    assert list(chain(first)) == [first, second]
