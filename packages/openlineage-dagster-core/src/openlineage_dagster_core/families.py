"""Which Dagster events give OpenLineage events, by family; imports nothing of OpenLineage."""

from __future__ import annotations

from enum import Enum

from dagster import DagsterEventType


class Family(str, Enum):
    """A kind of OpenLineage run; its value is the `jobType` that backends see."""

    RUN = "JOB"
    STEP = "STEP"
    ASSET = "ASSET"
    CHECK = "CHECK"
    OBSERVATION = "OBSERVATION"


RUN_ENDS = frozenset(
    {
        DagsterEventType.RUN_SUCCESS,
        DagsterEventType.RUN_FAILURE,
        DagsterEventType.RUN_CANCELED,
    }
)
STEP_ENDS = frozenset(
    {
        DagsterEventType.STEP_SUCCESS,
        DagsterEventType.STEP_FAILURE,
        DagsterEventType.STEP_SKIPPED,
    }
)

RUN_FAMILY = RUN_ENDS | {DagsterEventType.RUN_START}
STEP_FAMILY = STEP_ENDS | {DagsterEventType.STEP_START, DagsterEventType.STEP_UP_FOR_RETRY}
ASSET_FAMILY = frozenset(
    {DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_FAILED_TO_MATERIALIZE}
)
CHECK_FAMILY = frozenset({DagsterEventType.ASSET_CHECK_EVALUATION})
OBSERVATION_FAMILY = frozenset({DagsterEventType.ASSET_OBSERVATION, DagsterEventType.ASSET_WIPED})
"""What is said of a dataset without making it."""

CONVERTED = RUN_FAMILY | STEP_FAMILY | ASSET_FAMILY | CHECK_FAMILY | OBSERVATION_FAMILY
"""All of them. Other families' runs start and end with these events too."""

FOLLOWED = CONVERTED | {
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
}
"""The Dagster events that the engine reads: those that are converted, and what a run plans."""

FOLLOWED_VALUES = frozenset(event_type.value for event_type in FOLLOWED)
"""The same as the log stores them: a later Dagster may have types that this one does not know."""

RUN_END_VALUES = frozenset(event_type.value for event_type in RUN_ENDS)
