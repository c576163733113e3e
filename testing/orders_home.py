"""A pytest plugin: an instance on disk in which the project of orders has run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from orders_project import DEFINITIONS
from recorded_run import execute


@dataclass(frozen=True)
class OrdersHome:
    """The instance's directory and its runs.

    Args:
        path: of the directory.
        nightly: the run ids of `nightly`, in order.
        doomed: the run id of `doomed`, which failed.
    """

    path: Path
    nightly: tuple[str, ...]
    doomed: str

    @property
    def runs(self) -> tuple[str, ...]:
        """All run ids in the order in which they were stored."""
        return (*self.nightly, self.doomed)


@pytest.fixture(scope="module")
def orders_home(tmp_path_factory: pytest.TempPathFactory) -> OrdersHome:
    """Make an instance with two runs of `nightly`, one of `doomed`, and a reported asset."""
    path = tmp_path_factory.mktemp("home")
    (path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(path)) as instance:
        nightly = [execute(DEFINITIONS, "nightly", instance).run_id for _ in range(2)]
        doomed = execute(DEFINITIONS, "doomed", instance).run_id
        instance.report_runless_asset_event(dg.AssetMaterialization("outside"))
    return OrdersHome(path, tuple(nightly), doomed)
