"""Makes openlineage-python's Kafka transport wait for the broker's answer to each event.

Without this, the transport returns before its producer has sent an event, and also when the
producer gives up. The module uses private members of `KafkaTransport`. It imports confluent-kafka
late, because only that transport needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openlineage.client.transport.kafka import KafkaTransport

from openlineage_dagster_core.errors import BackendUnavailableError, EventRefusedError

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

# Two names of one option: milliseconds for which the producer tries to send a message
LIMITS = ("message.timeout.ms", "delivery.timeout.ms")
CRITICAL = "2"  # The least severe level that the producer logs, to the process's standard error
# Errors of the Kafka protocol that the same event would cause again
ABOUT_THE_EVENT = frozenset(
    {"MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_MSG_SIZE", "INVALID_RECORD"}
)


def wait_for_answers(transport: KafkaTransport, timeout: float) -> None:
    """Make a transport raise an error where the broker has not taken an event.

    The producer tries for `timeout` seconds. Options of the producer that the user has set stay.
    """
    transport.producer = _AnsweredProducer(transport, timeout)  # type: ignore[assignment]
    transport.flush = True


class _AnsweredProducer:
    """Wraps a transport's producer, and raises an error for a message that was not delivered.

    The transport calls `flush` after each message and ignores the result. One message is under way
    at a time. A message that is too large raises EventRefusedError; every other failure raises
    BackendUnavailableError.
    """

    def __init__(self, transport: KafkaTransport, timeout: float) -> None:
        self._error: KafkaError | None = None
        self._reason = ""
        given = transport.kafka_config.config
        config: dict[str, Any] = {"log_level": CRITICAL, **given, "error_cb": self._note}
        if not any(name in given for name in LIMITS):
            config[LIMITS[0]] = str(round(timeout * 1000))
        # The transport's producer has other options; it holds no messages.
        transport.producer = None
        transport._setup_producer(config)  # noqa: SLF001 -- see the module
        self._producer: Any = transport.producer

    def produce(self, **message: Any) -> None:
        """Queue a message, with the arguments of `Producer.produce`."""
        from confluent_kafka import KafkaException

        self._error, self._reason = None, ""
        try:
            self._producer.produce(**{**message, "on_delivery": self._answered})
        except KafkaException as error:
            self._error = error.args[0]
        self._raise_error()

    def flush(self, timeout: float = -1) -> int:
        """Wait `timeout` seconds for the answer; return the number of messages without one.

        -1 waits until the broker answers or the producer gives up.
        """
        left: int = self._producer.flush(timeout)
        self._raise_error()
        return left

    def _note(self, error: KafkaError) -> None:
        """Keep the latest error of the producer's connections, for the message of a failure."""
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
