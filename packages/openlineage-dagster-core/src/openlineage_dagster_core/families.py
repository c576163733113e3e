"""Which Dagster events give OpenLineage events, by family; imports nothing of OpenLineage."""

from enum import Enum

from dagster import DagsterEventType


class Family(str, Enum):
    """A kind of OpenLineage run; its value is the `jobType` that backends see."""

    RUN = "JOB"
    STEP = "STEP"
    ASSET = "ASSET"
    CHECK = "CHECK"
    OBSERVATION = "OBSERVATION"


_Type = DagsterEventType

RUN_ENDS = frozenset({_Type.RUN_SUCCESS, _Type.RUN_FAILURE, _Type.RUN_CANCELED})
STEP_ENDS = frozenset({_Type.STEP_SUCCESS, _Type.STEP_FAILURE, _Type.STEP_SKIPPED})
RUN_FAMILY = RUN_ENDS | {_Type.RUN_START}
STEP_FAMILY = STEP_ENDS | {_Type.STEP_START, _Type.STEP_UP_FOR_RETRY}
ASSET_FAMILY = frozenset({_Type.ASSET_MATERIALIZATION, _Type.ASSET_FAILED_TO_MATERIALIZE})
CHECK_FAMILY = frozenset({_Type.ASSET_CHECK_EVALUATION})
OBSERVATION_FAMILY = frozenset({_Type.ASSET_OBSERVATION, _Type.ASSET_WIPED})
# All of them. Runs of other families start and end with these events too.
CONVERTED = RUN_FAMILY | STEP_FAMILY | ASSET_FAMILY | CHECK_FAMILY | OBSERVATION_FAMILY

# The Dagster events that the engine reads: those that are converted, and what a run plans.
FOLLOWED = CONVERTED | {_Type.ASSET_MATERIALIZATION_PLANNED, _Type.ASSET_CHECK_EVALUATION_PLANNED}
# As the log stores them: a later Dagster may have types that this one does not know.
FOLLOWED_VALUES = frozenset(event_type.value for event_type in FOLLOWED)
RUN_END_VALUES = frozenset(event_type.value for event_type in RUN_ENDS)
