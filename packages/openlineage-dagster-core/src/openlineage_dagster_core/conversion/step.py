"""Runs of steps: children of the Dagster run, without datasets of their own."""

from functools import partial

from openlineage.client.event_v2 import RunState
from openlineage.client.generated.base import JobFacet
from openlineage.client.generated.parent_run import ParentRunFacet

from openlineage_dagster_core.conversion import custom, described
from openlineage_dagster_core.conversion.envelope import END_STATES, Draft, Envelope, Event, Source
from openlineage_dagster_core.conversion.nominal_time import run_nominal_time
from openlineage_dagster_core.facets.run import parent_facet
from openlineage_dagster_core.facts.model import ErrorFacts, Facts, KnownRun
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.identity import (
    Identity,
    run_job_name,
    step_job_name,
    step_run_id,
    without_mapping_index,
)

OF_THE_ASSET = ("documentation", "sourceCodeLocation")  # Facets of a step from its asset


def changed(
    source: Source, step_key: str, state: RunState, error: ErrorFacts | None = None
) -> list[Draft]:
    """Return the drafts for an event in a step's life: START, RUNNING (a retry) or an end.

    An end comes after START if the step never started. A second START or a second end gives
    nothing.
    """
    facts = source.facts
    has_started = step_key in facts.progress.started
    is_again = step_key in facts.progress.ended or (state is RunState.START and has_started)
    if is_again or Family.STEP not in source.identity.settings.families:
        return []
    drafts: list[Draft] = []
    if state in END_STATES and not has_started:
        drafts.append(partial(_event, source, step_key, RunState.START))
    drafts.append(partial(_event, source, step_key, state, error))
    return drafts


def step_as_parent(source: Source, step_key: str) -> ParentRunFacet:
    """Build the `parent` facet of a run whose parent is a step."""
    facts, identity = source.facts, source.identity
    return parent_facet(known_step(facts, identity, step_key), root_run(facts, identity))


def _event(
    source: Source, step_key: str, state: RunState, error: ErrorFacts | None = None
) -> Event:
    facts = source.facts
    identity = source.identity
    parent = parent_facet(known_dagster_run(facts, identity), root_run(facts, identity))
    envelope = Envelope(
        source,
        run_id=step_run_id(facts.run, step_key),
        name=step_job_name(facts.run.job_name, step_key),
        family=Family.STEP,
        step_key=step_key,
        run_facets={"parent": parent, **run_nominal_time(facts)},
        job_facets=_job_facets(source, step_key),
    )
    return custom.with_additions(envelope.event(state, error=error), source, None)


def _job_facets(source: Source, step_key: str) -> dict[str, JobFacet]:
    """Return what is known of the op, and of the one asset that the step makes."""
    facts = source.facts
    made = [facts.assets.get(key) for key in facts.progress.planned.get(step_key, ())]
    asset = made[0] if len(made) == 1 else None
    of_asset = described.asset_job_facets(asset) if asset is not None else {}
    step = facts.job.steps.get(without_mapping_index(step_key)) if facts.job is not None else None
    of_step = described.step_facets(step) if step is not None else {}
    return {**{name: of_asset[name] for name in OF_THE_ASSET if name in of_asset}, **of_step}


def known_step(facts: Facts, identity: Identity, step_key: str) -> KnownRun:
    """Return the run of a step, given its full step key."""
    name, run_id = step_job_name(facts.run.job_name, step_key), step_run_id(facts.run, step_key)
    return KnownRun(identity.job_namespace(facts.run), name, run_id)


def known_dagster_run(facts: Facts, identity: Identity) -> KnownRun:
    """Return the run of the Dagster run itself."""
    run = facts.run
    name = run_job_name(run, is_like_asset=facts.is_job_like_asset)
    return KnownRun(identity.job_namespace(run), name, identity.run_id(run))


def root_run(facts: Facts, identity: Identity) -> KnownRun:
    """Return the run in which it all began: one outside Dagster, else the Dagster run."""
    outside = facts.run.parent
    return known_dagster_run(facts, identity) if outside is None else outside.root or outside.parent
