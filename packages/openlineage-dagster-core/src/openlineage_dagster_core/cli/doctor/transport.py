"""Checks the transport: which one, where its values come from, whether it can be made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from openlineage_dagster_core.cli.doctor.configured import (
    ConfigFileError,
    Configured,
    Destination,
    config_file,
    destinations,
    transport,
)
from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem, warning
from openlineage_dagster_core.cli.doctor.masked import masked
from openlineage_dagster_core.cli.failure import cause_of
from openlineage_dagster_core.delivery.transport import HOW_TO_CONFIGURE, check
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.settings import ENV_CONFIG, ENV_DISABLED, ENV_URL, is_disabled

CHECK = "transport"

_KAFKA = frozenset({"kafka", "msk-iam"})

NOT_ONLY_HERE = (
    "Do it for every process of Dagster: doctor sees the environment of this shell alone."
)


def look(environ: Mapping[str, str], sending: list[Destination]) -> Iterator[Finding]:
    """Check the transport.

    Args:
        environ: the process's environment.
        sending: the transports that send are added; none where none is configured as it must be,
            or all is off.

    Yields:
        What was found.
    """
    if is_disabled(environ):
        yield warning(
            CHECK,
            f"nothing is emitted: {ENV_DISABLED} is {environ[ENV_DISABLED]!r}",
            f"Unset {ENV_DISABLED} wherever Dagster runs.",
        )
    named = environ.get(ENV_CONFIG)
    file = config_file(environ)
    if named and file != Path(named):
        yield warning(
            CHECK,
            f"{ENV_CONFIG} names {named}, which is not there or cannot be read: it is passed over",
            "Name a file that the account of Dagster can read.",
        )
    try:
        found = transport(environ)
    except ConfigFileError as error:
        yield problem(CHECK, str(error), "Set the file right; events are sent nowhere without it.")
        return
    if found is None:
        how = _sentence(HOW_TO_CONFIGURE)
        yield problem(
            CHECK, "nothing is emitted: no transport is configured", f"{how} {NOT_ONLY_HERE}"
        )
        return
    yield from _described(found, environ)
    if file is not None and file == Path.cwd() / "openlineage.yml" and file != Path(named or ""):
        yield note(
            CHECK,
            f"{file} counts only in processes that start in that directory",
            f"Name it with {ENV_CONFIG} if not all of Dagster does.",
        )
    if not is_disabled(environ):
        yield from _made(found, environ, sending)


def _described(found: Configured, environ: Mapping[str, str]) -> Iterator[Finding]:
    for value in found.values:
        name = ".".join(value.path)
        origin = "by default" if value.origin == "default" else f"from {value.origin}"
        yield fine(CHECK, f"{name} = {masked(value.path, value.value)}, {origin}")
    if environ.get(ENV_URL) and not any(value.origin == ENV_URL for value in found.values):
        yield note(
            CHECK,
            f"{ENV_URL} does not count: the transport is configured by {found.values[0].origin}",
            f"Unset one of the two if {ENV_URL} is what you mean.",
        )
    if found.kind == "async_http":
        yield warning(
            CHECK,
            "async_http does not wait for answers: what the backend refuses counts as sent",
            "Use http; no run waits for it.",
        )
    if found.kind == "noop":
        yield warning(CHECK, "noop sends nothing", _sentence(HOW_TO_CONFIGURE))


def _made(
    found: Configured, environ: Mapping[str, str], sending: list[Destination]
) -> Iterator[Finding]:
    try:
        check(environ)
    except ConfigurationError as error:
        yield problem(CHECK, f"{error.option} is {error.value!r}", f"It must be {error.allowed}.")
        return
    sending.extend(destinations(found.config))
    if any(each.kind in _KAFKA for each in sending):
        # Its producer would connect, and write what it meets with to standard error.
        return
    # It brings all of openlineage-python along.
    from openlineage_dagster_core.delivery.client import LineageClient

    try:
        LineageClient(timeout=1.0).close()
    except Exception as error:
        # Transports raise what they like.
        yield problem(
            CHECK,
            f"openlineage-python cannot make the transport {found.kind}: {cause_of(error)}",
            "Set its configuration right, or install what it needs.",
        )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
