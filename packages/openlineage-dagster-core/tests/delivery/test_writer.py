"""Who appends, and when it is certain that it has ended."""

import os
import socket
import subprocess
import sys

import pytest

from openlineage_dagster_core.delivery.writer import is_gone, this_writer


def test_this_process_is_not_gone() -> None:
    assert not is_gone(this_writer())


def test_whoever_said_so_is_gone() -> None:
    assert is_gone(None)


@pytest.mark.skipif(os.name == "nt", reason="there it is never certain")
def test_a_process_that_has_ended_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert is_gone(f"{socket.gethostname()}/{child.pid}")


@pytest.mark.parametrize("writer", ["another-machine/1", f"{socket.gethostname()}/x", "", "/"])
def test_of_anything_else_it_is_not_certain(writer: str) -> None:
    assert not is_gone(writer)
