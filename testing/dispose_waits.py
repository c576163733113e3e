"""Lets `dispose` send what waits before it returns, as where no other process could go on."""

from __future__ import annotations

import importlib.util

import pytest


@pytest.fixture(autouse=True)
def _no_process_outlives_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where the sensor alone is installed, nothing is disposed of.
    if importlib.util.find_spec("openlineage_dagster_storage"):
        from openlineage_dagster_storage import delivery_process

        monkeypatch.setattr(delivery_process, "can_outlive", lambda: False)
