"""Which events are emitted, and which facets they carry: the user's choice."""

from fnmatch import fnmatchcase

from dagster import AssetKey

from openlineage_dagster_core.conversion.envelope import Event, Source
from openlineage_dagster_core.facts.model import RunFacts
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import asset_path
from openlineage_dagster_core.serialisation import FACETS, facet_holders
from openlineage_dagster_core.settings import Globs, Settings

_ALL = Globs()


def allows_job(settings: Settings, run: RunFacts) -> bool:
    """Return True if the settings allow events of a run; those outside any run are allowed."""
    return not run.run_id or _allows(settings.jobs, run.job_name)


def allows_asset(source: Source, key: AssetKey, family: Family) -> bool:
    """Return True if the family is on, and the asset is included and not excluded."""
    return allows(source.identity.settings, key, family)


def allows(settings: Settings, key: AssetKey, family: Family) -> bool:
    """Return True if the settings allow events of this family about an asset."""
    return family in settings.families and _allows(settings.assets, asset_path(key))


def _allows(globs: Globs, name: str) -> bool:
    def matches(patterns: tuple[str, ...]) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    if globs == _ALL:
        return True
    return matches(globs.include) and matches(globs.only) and not matches(globs.exclude)


def without_disabled_facets(settings: Settings, event: Event) -> Event:
    """Remove the facets that the settings switch off from an event, in place."""
    if settings.disabled_facets:
        for _, _, part in facet_holders(event):
            for attribute in FACETS:
                facets = getattr(part, attribute, None) or {}
                for name in settings.disabled_facets & facets.keys():
                    del facets[name]
    return event
