"""Has openlineage-python's Kafka transport wait for the broker's answer to each event.

By itself it takes an event for sent when its producer has given up, or before it has tried.
It leans on the inside of `KafkaTransport`; confluent-kafka is there where that transport is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openlineage.client.transport.kafka import KafkaTransport

from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

LIMITS = ("message.timeout.ms", "delivery.timeout.ms")
"""Two names of the same option: how long the producer tries to send a message."""

CRITICAL = "2"
"""The level from which on the producer writes to standard error, which is the user's run's."""

ABOUT_THE_EVENT = frozenset(
    {"MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_MSG_SIZE", "INVALID_RECORD"}
)
"""Errors that the same event would meet with again; the names are those of the protocol."""


def wait_for_answers(transport: KafkaTransport, timeout: float) -> None:
    """Have a transport raise where the broker has not taken an event.

    Args:
        transport: changed; what the user says of its producer stays.
        timeout: how long to try to send an event, in seconds, where the user does not say.
    """
    producer = AnsweredProducer(transport, timeout)
    transport.producer = producer  # type: ignore[assignment]
    transport.flush = True


class AnsweredProducer:
    """Stands between a transport and its producer; one message is under way at a time.

    The transport calls `flush` after each message and does not look at what became of it.

    Args:
        transport: whose producer it is; it gets a new one.
        timeout: how long to try to send an event, in seconds, where the user does not say.
    """

    def __init__(self, transport: KafkaTransport, timeout: float) -> None:
        self._error: KafkaError | None = None
        self._reason = ""
        given = transport.kafka_config.config
        config: dict[str, Any] = {"log_level": CRITICAL, **given, "error_cb": self._note}
        if not any(name in given for name in LIMITS):
            config[LIMITS[0]] = str(round(timeout * 1000))
        # The one that is there has other options, and no messages.
        transport.producer = None
        transport._setup_producer(config)  # noqa: SLF001 -- said above
        self._producer: Any = transport.producer

    def produce(self, **message: Any) -> None:
        """Do what `Producer.produce` does.

        Args:
            message: its arguments.

        Raises:
            EventRefusedError: the message is too large.
            BackendUnavailableError: it cannot be sent now.
        """
        from confluent_kafka import KafkaException

        self._error, self._reason = None, ""
        try:
            self._producer.produce(**{**message, "on_delivery": self._answered})
        except KafkaException as error:
            self._error = error.args[0]
        self._raise_error()

    def flush(self, timeout: float = -1) -> int:
        """Do what `Producer.flush` does.

        Args:
            timeout: in seconds; -1 to wait for the answer, or for the producer to give up.

        Returns:
            How many messages are without an answer.

        Raises:
            EventRefusedError: the broker will not take this message.
            BackendUnavailableError: there is no broker that takes it now.
        """
        left: int = self._producer.flush(timeout)
        self._raise_error()
        return left

    def _note(self, error: KafkaError) -> None:
        """Keep what the producer says of its connections."""
        self._reason = f" ({error.str()})"

    def _answered(self, error: KafkaError | None, _: Message) -> None:
        self._error = error

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is None:
            return
        if error.name() in ABOUT_THE_EVENT:
            raise EventRefusedError(None, f"Kafka: {error.str()}")
        raise BackendUnavailableError(f"Kafka: {error.str()}{self._reason}")
