"""Processes as in pods: each with a disk and process ids of its own, which end with it.

A mount namespace hides the home and a PID namespace ends all that the process has started, so
nothing outlives it. That needs root on Linux.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

_SCRIPT = """
set -e
yaml=$(cat "$DAGSTER_HOME/dagster.yaml")
mount -t tmpfs none "$DAGSTER_HOME"
mount -t tmpfs none "$TMPDIR"
printf '%s\\n' "$yaml" > "$DAGSTER_HOME/dagster.yaml"
sh -c '"$@"; exit "$?"' inner "$@"
exit "$?"
"""
"""Sees an empty home with nothing but `dagster.yaml`, as a mounted ConfigMap gives it. The first
process of a container is often a shell, and Python the child of another one: with a command after
it, a shell does not become its last command."""

_UNSHARE = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]

ENVIRONMENT = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
"""What Kubernetes adds to the environment of a container."""


def in_pod(arguments: Sequence[str]) -> list[str]:
    """Make the command that runs Python in a pod.

    Args:
        arguments: of this Python.

    Returns:
        Program and arguments; `DAGSTER_HOME` and `TMPDIR` name directories.
    """
    return [*_UNSHARE, "sh", "-c", _SCRIPT, "pod", sys.executable, *arguments]


def start_in_pod(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start Python in a pod.

    Args:
        arguments: of this Python.
        log: the file for its output.

    Returns:
        The process; it ends when all in the pod has ended.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            in_pod(arguments), env={**os.environ, **ENVIRONMENT}, stdout=output, stderr=output
        )


def skip_without_pods() -> None:
    """Skip the test, visibly, where this machine has no pods."""
    if shutil.which("unshare") is None:
        pytest.skip("pods need unshare, which Linux has")
    done = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pods need root: {done.stderr.strip()}")
