"""Mechanism A: an event log storage that turns each stored Dagster event into OpenLineage."""

from openlineage_dagster_storage.dagster_storage import OpenLineageDagsterStorage
from openlineage_dagster_storage.storage import OpenLineageEventLogStorage

__all__ = ["OpenLineageDagsterStorage", "OpenLineageEventLogStorage"]
