"""Checks that the place where events are sent can be reached, without sending one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from openlineage_dagster_core.cli.doctor.backend import (
    SECONDS,
    Address,
    Answer,
    NotReachedError,
    ask,
    connect,
)
from openlineage_dagster_core.cli.doctor.configured import Destination
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem, warning
from openlineage_dagster_core.cli.failure import cause_of
from openlineage_dagster_core.redaction import without_secrets
from openlineage_dagster_core.validation import without_credentials

CHECK = "connectivity"

HTTP = frozenset({"http", "async_http"})

TRY = "Try with --send."

_OWN_TLS = ("sslContext", "ssl_context", "sslcontext")

_IN_TROUBLE = frozenset({500, 502, 503, 504})
"""Others, such as 501, only say that it is no Marquez."""

NEXT_STEP = "See that the backend runs, and that it can be reached from this machine."


def look(destination: Destination, answers: list[Answer]) -> Iterator[Finding]:
    """Check where events go.

    Args:
        destination: a transport that sends.
        answers: that of an HTTP backend is added.

    Yields:
        What was found.
    """
    where = f"{destination.name}: " if destination.name else ""
    if destination.kind in HTTP:
        yield from _http(where, destination.config, answers)
    elif destination.kind in _OTHERS:
        yield _OTHERS[destination.kind](where, destination.config)
    else:
        yield note(CHECK, f"{where}whether {destination.kind} can be reached is not checked", TRY)


def _http(where: str, config: Mapping[str, object], answers: list[Answer]) -> Iterator[Finding]:
    address = Address.from_config(config)
    shown = f"{where}{without_credentials(address.url)}"
    path = urlsplit(address.url).path.rstrip("/")
    if not urlsplit(address.full).path.startswith(f"{path}/"):
        yield problem(
            CHECK,
            f"{shown} loses its path: events go to {without_credentials(address.full)}",
            "End the url with a slash.",
        )
    try:
        if any(name in config for name in _OWN_TLS):
            connect(address.url)
            yield note(CHECK, f"{shown} takes connections; its TLS is set up by hand", TRY)
            return
        answer = ask(address)
    except NotReachedError as error:
        yield problem(CHECK, f"{shown} cannot be reached: {error}", NEXT_STEP)
        return
    answers.append(answer)
    yield _answered(shown, answer)


def _answered(shown: str, answer: Answer) -> Finding:
    took = f"HTTP {answer.status} after {answer.seconds * 1000:.0f} ms"
    if answer.is_marquez:
        return fine(CHECK, f"{shown} is a Marquez and answers ({took})")
    if answer.redirects_to is not None:
        return problem(
            CHECK,
            f"{shown} redirects to {answer.redirects_to} ({took}), and redirects are not followed: "
            "no event arrives",
            "Set OPENLINEAGE_URL, or url in openlineage.yml, to the final address.",
        )
    if answer.status in (401, 403):
        return warning(
            CHECK,
            f"{shown} does not let us in ({took})",
            "See that the API key is right; --send tells whether it takes events all the same.",
        )
    if answer.status in _IN_TROUBLE:
        return warning(CHECK, f"{shown} answers that it is in trouble ({took})", NEXT_STEP)
    return fine(CHECK, f"{shown} answers ({took}); whether it takes events, --send tells")


def _file(where: str, config: Mapping[str, object]) -> Finding:
    path = str(config.get("log_file_path", ""))
    if urlsplit(path).scheme == "file":
        path = url2pathname(urlsplit(path).path)
    if "://" in path or config.get("filesystem"):
        return note(CHECK, f"{where}it is not known whether that file system can be written", TRY)
    file = Path(path)
    folder = file.absolute().parent
    if not folder.is_dir():
        return problem(CHECK, f"{where}there is no directory {folder}", "Make it.")
    target = file if config.get("append") and file.exists() else folder
    if not os.access(target, os.W_OK):
        return problem(
            CHECK,
            f"{where}{target} cannot be written by this account",
            "Allow it to the account that Dagster runs under.",
        )
    if not file.is_absolute():
        return warning(
            CHECK,
            f"{where}{file} is somewhere else for each process that starts in another directory",
            "Give an absolute path.",
        )
    return fine(CHECK, f"{where}{target} can be written")


def _kafka(where: str, config: Mapping[str, object]) -> Finding:
    try:
        # Not everybody has it.
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient
    except ImportError:
        return problem(
            CHECK, f"{where}confluent-kafka is not installed", "pip install confluent-kafka"
        )
    given = config.get("config")
    if not isinstance(given, Mapping) or not config.get("topic"):
        return problem(
            CHECK,
            f"{where}kafka has no topic or no config",
            "Name the topic, and bootstrap.servers in config.",
        )
    options: dict[str, Any] = dict(given)
    reasons: list[str] = []
    topic = str(config.get("topic"))
    try:
        # By itself it writes to standard error.
        options |= {"log_level": "2", "error_cb": lambda error: reasons.append(error.str())}
        client = AdminClient(options)
        try:
            topics = client.list_topics(timeout=SECONDS).topics
        finally:
            # Then it says why.
            client.poll(0)
    except (KafkaException, ValueError, TypeError) as error:
        reason = without_secrets(reasons[0]) if reasons else cause_of(error)
        return problem(CHECK, f"{where}the Kafka broker cannot be reached: {reason}", NEXT_STEP)
    if topic not in topics:
        return warning(
            CHECK,
            f"{where}the Kafka broker answers, and has no topic {topic}",
            "Make it, unless the broker makes topics by itself.",
        )
    return fine(CHECK, f"{where}the Kafka broker answers, and has the topic {topic}")


def _console(where: str, _: Mapping[str, object]) -> Finding:
    return note(CHECK, f"{where}console prints events to the log of the process that sends them")


def _noop(where: str, _: Mapping[str, object]) -> Finding:
    return note(CHECK, f"{where}noop goes nowhere")


_OTHERS: Mapping[str, Callable[[str, Mapping[str, object]], Finding]] = {
    "console": _console,
    "file": _file,
    "kafka": _kafka,
    "noop": _noop,
}
