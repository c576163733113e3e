"""Lets signals do what they do in a terminal, also where the tests were started in the background.

A shell lets what it starts with `&` ignore Ctrl-C, and `nohup` a hang-up; children inherit that,
and neither what is to be interrupted nor Dagster's helpers could be ended.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

USUAL: dict[str, Any] = {
    "SIGINT": signal.default_int_handler,
    "SIGTERM": signal.SIG_DFL,
    "SIGQUIT": signal.SIG_DFL,
    "SIGHUP": signal.SIG_DFL,
}


def pytest_configure() -> None:
    """Set what is ignored; in the processes that run tests and in the one that distributes them."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name, usual in USUAL.items():
        number = signal.Signals.__members__.get(name)
        # Not all are there on Windows.
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
