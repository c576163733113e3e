"""Services that docker starts for tests, where there is docker."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

ENGINE_SECONDS = 30.0
"""How long the engine may take to say that it is there."""


def is_there() -> bool:
    """Ask for docker's engine and its compose plug-in.

    Returns:
        Whether both answer.
    """
    docker = shutil.which("docker")
    if docker is None:
        return False
    for question in (["compose", "version"], ["info"]):
        try:
            subprocess.run(
                [docker, *question], capture_output=True, check=True, timeout=ENGINE_SECONDS
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return False
    return True


@contextlib.contextmanager
def services(file: Path, environ: Mapping[str, str], timeout: float = 600.0) -> Iterator[None]:
    """Start what a file describes, and take it away again, its data included.

    Args:
        file: `compose.yaml`.
        environ: added to the environment, for the variables of the file.
        timeout: how long images may be fetched and services may start, in seconds.

    Raises:
        RuntimeError: something did not start; the message has what it said.
    """
    docker = shutil.which("docker") or "docker"
    # A name of its own: what a user has started from the same file goes on.
    project = ["--file", str(file), "--project-name", f"test-{uuid.uuid4().hex}"]

    def compose(*command: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [docker, "compose", *project, *command],
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout,
        )

    try:
        started = compose("up", "--quiet-pull", "--wait", timeout=timeout)
        if started.returncode:
            logs = compose("logs", "--tail", "50")
            raise RuntimeError(f"{started.stdout}\n{logs.stdout}")
        yield
    finally:
        ended = compose("down", "--volumes")
        if ended.returncode:
            raise RuntimeError(ended.stdout)
