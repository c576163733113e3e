"""Checks the transport: which one, where its values come from, whether it can be made."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note, problem, warning
from openlineage_dagster_core.cli.terminal import explained
from openlineage_dagster_core.delivery import configured, transport
from openlineage_dagster_core.delivery.configured import ConfiguredTransport, Destination
from openlineage_dagster_core.redaction import MASK, redacted
from openlineage_dagster_core.settings import ENV_CONFIG, ENV_DISABLED, ENV_URL, is_disabled

_KAFKA = frozenset({"kafka", "msk-iam"})
# Keys below which a secret may have any name
_PRIVATE = frozenset({"auth", "customheaders", "fskwargs", "headers", "storageoptions"})
_HOW = transport.HOW_TO_CONFIGURE
CONFIGURE = f"{_HOW[0].upper()}{_HOW[1:]}."
NOT_ONLY_HERE = "Do so for every process of Dagster: doctor sees this shell's environment alone."


def check(environ: Mapping[str, str], sending: list[Destination]) -> Iterator[Finding]:
    """Check the transport, and add to `sending` those that send, if all is configured well."""
    if is_disabled(environ):
        disabled = f"nothing is emitted: {ENV_DISABLED} is {environ[ENV_DISABLED]!r}"
        yield warning(disabled, f"Unset {ENV_DISABLED} wherever Dagster runs.")
    given = environ.get(ENV_CONFIG)
    file = configured.config_file(environ)
    if given and file != Path(given):
        lost = f"{ENV_CONFIG} names {given}, which does not exist or cannot be read: it is ignored"
        yield warning(lost, "Name a file that the account of Dagster can read.")
    try:
        found = configured.transport(environ)
    except configured.ConfigFileError as error:
        yield problem(str(error), "Correct the file: without it no event is sent.")
        return
    if found is None:
        step = f"{CONFIGURE} {NOT_ONLY_HERE}"
        yield problem("nothing is emitted: no transport is configured", step)
        return
    yield from _describe(found, environ)
    if file is not None and file == Path.cwd() / "openlineage.yml" and file != Path(given or ""):
        step = f"If some processes of Dagster start elsewhere, name the file in {ENV_CONFIG}."
        yield note(f"{file} counts only in processes that start in that directory", step)
    if not is_disabled(environ):
        transport.check(environ)
        sending.extend(configured.destinations(found.config))
        _make(found.kind, sending)


def _describe(found: ConfiguredTransport, environ: Mapping[str, str]) -> Iterator[Finding]:
    for value in found.values:
        name = ".".join(value.path)
        origin = "by default" if value.origin == configured.DEFAULT else f"from {value.origin}"
        shown = masked(value.path, value.value)
        text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
        yield fine(f"{name} = {text}, {origin}")
    if environ.get(ENV_URL) and not any(value.origin == ENV_URL for value in found.values):
        unused = f"{ENV_URL} does not count: {found.values[0].origin} configures the transport"
        yield note(unused, f"To use {ENV_URL}, remove the other configuration.")
    if found.kind == "async_http":
        yield warning(
            "async_http does not wait for answers: events that the backend refuses count as sent",
            "Use http: it does not delay any run.",
        )
    if found.kind == "noop":
        yield warning("noop sends nothing", CONFIGURE)


def _make(kind: str, sending: list[Destination]) -> None:
    """Make the client as the deliverer does; raise CommandError where that fails."""
    if any(each.kind in _KAFKA for each in sending):
        # Its producer would connect, and write its errors to standard error.
        return
    # Loads all of openlineage-python.
    from openlineage_dagster_core.delivery.client import LineageClient

    step = "Correct its configuration, or install the library that it needs."
    with explained(f"openlineage-python cannot make the transport {kind}", step):
        LineageClient(timeout=1.0).close()


def masked(path: tuple[str, ...], value: object) -> object:
    """Return a JSON value at a path of the transport's configuration, with secrets masked."""
    if isinstance(value, Mapping):
        return {key: masked((*path, str(key)), inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(path, inner) for inner in value]
    if path[-1] == "type":
        return value
    if any(key.lower().replace("_", "") in _PRIVATE for key in path):
        return MASK
    return redacted(".".join(path), value) if isinstance(value, str) else value
