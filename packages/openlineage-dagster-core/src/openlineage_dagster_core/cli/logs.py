"""Shows on the terminal what libraries log while a command runs, safe to print."""

import contextlib
import logging
import sys
from collections.abc import Iterator

from openlineage_dagster_core.cli.terminal import escaped


class _EscapedFormatter(logging.Formatter):
    """Writes a record as one line that is safe to print."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record))


@contextlib.contextmanager
def warnings_shown() -> Iterator[None]:
    """Print warnings of all libraries to standard error, escaped: they may quote foreign names."""
    # Without a handler Python prints the raw text.
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_EscapedFormatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


@contextlib.contextmanager
def console_events_shown(*, on_stderr: bool = False) -> Iterator[None]:
    """Print the events of the console transport, one a line, by default to standard output."""
    from openlineage_dagster_core.delivery.transport import CONSOLE_LOGGER

    log = logging.getLogger(CONSOLE_LOGGER)
    handler = logging.StreamHandler(sys.stderr if on_stderr else sys.stdout)
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.level, log.propagate = before
