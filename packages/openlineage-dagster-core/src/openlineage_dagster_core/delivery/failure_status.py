"""Finds the status and the answer that a transport's exception hides.

openlineage-python's transports raise what their libraries raise, often wrapped in an exception of
their own. This module imports none of those libraries: it recognises their exceptions by their
shape. Everywhere, `handled` is an exception that the caller was already handling: it is no part of
the failure.
"""

from collections.abc import Iterator

from openlineage_dagster_core.nested import value_at


def status_of(error: BaseException, handled: BaseException | None = None) -> int | None:
    """Return the HTTP status that an exception or one of its causes carries; None without one."""
    return next((found for each in chain(error, handled) if (found := _status(each))), None)


def answer_of(error: BaseException, handled: BaseException | None = None) -> str:
    """Return the backend's text that comes with the status; empty without a text."""
    return next((_answer(each) for each in chain(error, handled) if _status(each)), "")


def chain(error: BaseException, handled: BaseException | None = None) -> Iterator[BaseException]:
    """List an exception and those that caused it, the outermost first and each once.

    Causes (`raise … from …`) come before contexts.
    """
    seen = {id(handled)}
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__context__, each.__cause__]


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    candidates = (
        getattr(response, "status_code", None),  # requests and httpx
        value_at(response, "ResponseMetadata", "HTTPStatusCode"),  # botocore
        getattr(error, "code", None),  # google-api-core: an int, or an enum whose value is one
    )
    for candidate in candidates:
        status = getattr(candidate, "value", candidate)
        if isinstance(status, int) and 100 <= status <= 599:
            return int(status)
    return None


def _answer(error: BaseException) -> str:
    response = getattr(error, "response", None)
    candidates = (
        getattr(response, "text", None),  # requests and httpx
        value_at(response, "Error", "Message"),  # botocore
        getattr(error, "message", None),  # google-api-core
    )
    return next((text for text in candidates if isinstance(text, str)), "")
