"""The errors that our own code raises."""

from __future__ import annotations

from dagster import DagsterError


class ConfigurationError(DagsterError, ValueError):
    """A wrong option, raised when the configuration is read.

    Args:
        option: the option's name, as the user wrote it.
        value: what the user gave; leave secrets out.
        allowed: what would be right, in a few words.
    """

    def __init__(self, option: str, value: object, allowed: str) -> None:
        super().__init__(f"OpenLineage option {option!r}: got {value!r}; allowed: {allowed}")
        self.option = option
        self.value = value
        self.allowed = allowed


class DeliveryError(Exception):
    """An event that the backend did not take; never reaches a user's run."""


class EventRefusedError(DeliveryError):
    """The backend refuses this event and would refuse it again: it is parked.

    Args:
        status: the HTTP status, None where the transport has none.
        answer: the beginning of what the backend said.
    """

    def __init__(self, status: int | None, answer: str) -> None:
        super().__init__(f"refused with {status}: {answer}" if status else f"refused: {answer}")
        self.status = status
        self.answer = answer


class FactsUnavailableError(DeliveryError):
    """The instance cannot be read at the moment, so an event cannot be converted yet."""


class BackendUnavailableError(DeliveryError):
    """The backend takes no events at the moment: they wait and are sent again in order.

    Args:
        message: what happened.
        status: the HTTP status, None where there was no answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
