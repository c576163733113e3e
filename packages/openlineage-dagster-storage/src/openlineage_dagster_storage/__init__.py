"""Mechanism A: an event log storage that turns each stored Dagster event into OpenLineage."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openlineage_dagster_storage.dagster_storage import OpenLineageDagsterStorage
    from openlineage_dagster_storage.storage import OpenLineageEventLogStorage

__all__ = ["OpenLineageDagsterStorage", "OpenLineageEventLogStorage"]


def __getattr__(name: str) -> Any:
    # Not before it is asked for: Dagster's storages bring SQLAlchemy along.
    if name == "OpenLineageEventLogStorage":
        from openlineage_dagster_storage.storage import OpenLineageEventLogStorage

        return OpenLineageEventLogStorage
    if name == "OpenLineageDagsterStorage":
        from openlineage_dagster_storage.dagster_storage import OpenLineageDagsterStorage

        return OpenLineageDagsterStorage
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
