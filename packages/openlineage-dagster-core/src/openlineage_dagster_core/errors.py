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
    """An event that the backend did not take; never reaches a user's run.

    Args:
        message: what happened, fit for a log.
        answer: the beginning of what the backend said: it may repeat what is in the event.
    """

    def __init__(self, message: str, answer: str = "") -> None:
        super().__init__(message)
        self.answer = answer

    @property
    def in_full(self) -> str:
        """The message and the answer, for where events themselves may be seen."""
        return f"{self}: {self.answer}" if self.answer else str(self)


class EventRefusedError(DeliveryError):
    """The backend refuses this event and would refuse it again: it is parked.

    Args:
        status: the HTTP status, None where the transport has none.
        answer: the beginning of what the backend said.
    """

    def __init__(self, status: int | None, answer: str) -> None:
        super().__init__(f"refused with {status}" if status else "refused", answer)
        self.status = status


class FactsUnavailableError(DeliveryError):
    """The instance cannot be read at the moment, so an event cannot be converted yet."""


class RunDeletedError(DeliveryError):
    """The instance does not know the run of an event any more.

    Args:
        run_id: the Dagster run id.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id} was deleted")
        self.run_id = run_id


class BackendUnavailableError(DeliveryError):
    """The backend takes no events at the moment: they wait and are sent again in order.

    Args:
        message: what happened.
        status: the HTTP status, None where there was no answer.
        answer: the beginning of what the backend said.
        is_silent: whether there was no answer at all: no connection, or none in time.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        answer: str = "",
        *,
        is_silent: bool = False,
    ) -> None:
        super().__init__(message, answer)
        self.status = status
        self.is_silent = is_silent
