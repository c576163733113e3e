"""The errors that our own code raises."""

from dagster import DagsterError


class ConfigurationError(DagsterError, ValueError):
    """A wrong option, raised when the configuration is read; leave secrets out of `value`."""

    def __init__(self, option: str, value: object, allowed: str) -> None:
        super().__init__(f"OpenLineage option {option!r}: got {value!r}; allowed: {allowed}")
        self.option = option
        self.value = value
        self.allowed = allowed
        self.problem = f"is {value!r}"
        self.next_step = f"It must be {allowed}."


class UnknownOptionError(ConfigurationError):
    """An option that does not exist; `allowed` names those that do, the nearest one first."""

    def __init__(self, option: str, allowed: str) -> None:
        super().__init__(option, None, allowed)
        self.args = (f"OpenLineage option {option!r} does not exist: {allowed}",)
        self.problem = "does not exist"
        self.next_step = f"{allowed[:1].upper()}{allowed[1:]}."


class DeliveryError(Exception):
    """An event that the backend did not take; never reaches a user's run.

    `answer` is the beginning of the backend's answer, which may repeat what the event contains.
    """

    def __init__(self, message: str, answer: str = "") -> None:
        super().__init__(message)
        self.answer = answer

    @property
    def in_full(self) -> str:
        """The message and the answer, for places where events themselves may be seen."""
        return f"{self}: {self.answer}" if self.answer else str(self)


class EventRefusedError(DeliveryError):
    """The backend refuses this event and would refuse it again: it is parked.

    `status` is the HTTP status; None where the transport has none.
    """

    def __init__(self, status: int | None, answer: str) -> None:
        super().__init__(f"refused with {status}" if status else "refused", answer)
        self.status = status


class FactsUnavailableError(DeliveryError):
    """The instance cannot be read at the moment, so an event cannot be converted yet."""


class RunDeletedError(DeliveryError):
    """The instance does not know the run of an event any more."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id} was deleted")
        self.run_id = run_id


class BackendUnavailableError(DeliveryError):
    """The backend takes no events now: they wait and are sent again in order.

    `status` is the HTTP status; None without an answer. `is_silent` says that there was no answer:
    no connection, or none in time.
    """

    def __init__(
        self, message: str, status: int | None = None, answer: str = "", *, is_silent: bool = False
    ) -> None:
        super().__init__(message, answer)
        self.status = status
        self.is_silent = is_silent
