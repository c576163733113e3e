"""What the option `backend` sets for each backend; `docs/backends` gives the reasons."""

from collections.abc import Mapping
from enum import Enum
from typing import Any


class Backend(str, Enum):
    """The backends with options of their own."""

    MARQUEZ = "marquez"
    DATAHUB = "datahub"
    OPENMETADATA = "openmetadata"
    DATA_RENTGEN = "data-rentgen"
    ATLAS = "atlas"
    DATADOG = "datadog"
    GOOGLE = "google"
    DATAZONE = "datazone"


_RUNS_ONLY = {"observation_events": "run"}
PRESETS: Mapping[Backend, Mapping[str, Any]] = {
    Backend.MARQUEZ: {},
    Backend.ATLAS: {},
    Backend.DATAHUB: {
        **_RUNS_ONLY,
        "families": ("run", "asset", "check", "observation"),  # A step's parent becomes a ghost
        "disabled_facets": ("jobDependencies",),  # As does each job that it names
        "asset_job_name": "{group}.{key}",
    },
    Backend.OPENMETADATA: {**_RUNS_ONLY, "dataset_identity": "physical"},
    Backend.DATA_RENTGEN: {**_RUNS_ONLY, "run_ids": "sortable"},
    Backend.DATADOG: _RUNS_ONLY,
    Backend.GOOGLE: _RUNS_ONLY,
    Backend.DATAZONE: {**_RUNS_ONLY, "max_event_bytes": 300_000},
}
"""Options by backend; those that the user gives win."""

DROPPING_TRANSPORTS = {"amazon_datazone_api": Backend.DATAZONE, "gcplineage": Backend.GOOGLE}
"""Transports of openlineage-python that count a DatasetEvent as sent without sending it."""
