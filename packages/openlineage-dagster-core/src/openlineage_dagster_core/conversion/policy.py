"""Which events are emitted, and which facets they carry: the user's choice."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from openlineage.client.event_v2 import DatasetEvent

from openlineage_dagster_core.conversion.envelope import Event, family_of
from openlineage_dagster_core.facts.model import RunFacts
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import CHECKS_SUFFIX, OBSERVATIONS_SUFFIX
from openlineage_dagster_core.settings import Globs, Settings


def allows_job(settings: Settings, run: RunFacts) -> bool:
    """Tell whether anything of a Dagster run is emitted.

    Args:
        settings: hold the globs.
        run: the Dagster run.

    Returns:
        Whether its job is included and not excluded; what belongs to no run has no job to exclude.
    """
    return not run.run_id or _allows(settings.jobs, run.job_name)


def allows_event(settings: Settings, event: Event) -> bool:
    """Tell whether an event is emitted.

    Args:
        settings: hold the families and the globs.
        event: from conversion.

    Returns:
        Whether its family is on, and the asset that it is about included and not excluded.
    """
    family = family_of(event)
    if family not in settings.families:
        return False
    if family in (Family.RUN, Family.STEP):
        return True
    name = event.dataset.name if isinstance(event, DatasetEvent) else event.job.name
    for suffix in (CHECKS_SUFFIX, OBSERVATIONS_SUFFIX):
        name = name.removesuffix(suffix)
    return _allows(settings.assets, name)


def _allows(globs: Globs, name: str) -> bool:
    is_included = any(fnmatchcase(name, glob) for glob in globs.include)
    return is_included and not any(fnmatchcase(name, glob) for glob in globs.exclude)


def without_disabled_facets(settings: Settings, event: Event) -> Event:
    """Take out the facets that are switched off.

    Args:
        settings: hold their names.
        event: from conversion, changed in place.

    Returns:
        The event.
    """
    if settings.disabled_facets:
        if isinstance(event, DatasetEvent):
            holders: list[Any] = [event.dataset]
        else:
            holders = [event.run, event.job, *(event.inputs or ()), *(event.outputs or ())]
        for holder in holders:
            for attribute in ("facets", "inputFacets", "outputFacets"):
                facets = getattr(holder, attribute, None) or {}
                for name in settings.disabled_facets & facets.keys():
                    del facets[name]
    return event
