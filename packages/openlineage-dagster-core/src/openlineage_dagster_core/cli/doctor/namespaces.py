"""Shows the names that jobs and datasets will have."""

from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice

from dagster import AssetKey, RepositoryDefinition

from openlineage_dagster_core.cli.doctor.finding import Finding, fine, note
from openlineage_dagster_core.cli.doctor.subject import Subject
from openlineage_dagster_core.facts.definitions import DefinedAssets
from openlineage_dagster_core.facts.model import RunFacts
from openlineage_dagster_core.identity import Identity, run_job_name
from openlineage_dagster_core.settings import Settings

EXAMPLES = 3


def check(subject: Subject) -> Iterator[Finding]:
    """Show the namespaces, and with definitions some names."""
    if subject.instance is None and (subject.has_storage or not subject.sensors):
        yield note("they are not known while the instance cannot be opened")
        return
    settings = subject.settings
    run = _run_of(subject)
    identity = Identity(settings)
    dataset = identity.dataset(run, AssetKey("any"), None).namespace
    yield fine(
        f"jobs in {identity.job_namespace(run)!r} ({settings.job_namespace.text}), datasets in "
        f"{dataset!r} ({settings.namespace_template.text})"
    )
    yield from _check_tags(settings, is_storage=subject.has_storage)
    if subject.repository is not None:
        yield from _show_examples(subject.repository, identity, run)


def _check_tags(settings: Settings, *, is_storage: bool) -> Iterator[Finding]:
    tags = sorted({*settings.namespace_template.tags, *settings.job_namespace.tags})
    if not tags:
        return
    tokens = ", ".join(f"{{tag:{tag}}}" for tag in tags)
    if is_storage and not settings.resolve_run_tags:
        step = "To resolve run tags, set resolve_run_tags: true in the storage's config."
        yield note(f"{tokens} is empty: the storage does not resolve run tags by default", step)
    else:
        yield note(f"{tokens} comes from each run's tags; here it is shown empty")


def _show_examples(
    repository: RepositoryDefinition, identity: Identity, run: RunFacts
) -> Iterator[Finding]:
    assets = DefinedAssets(repository.asset_graph)
    for key in islice(assets, EXAMPLES):
        namespace, name = identity.dataset(run, key, assets[key])
        yield fine(f"asset {key.to_user_string()}: dataset {namespace!r}, {name!r}")
    jobs = sorted(name for name in repository.job_names if not name.startswith("__"))
    for name in jobs[:EXAMPLES]:
        of_job = RunFacts("", name, run.created_at)
        job_name = run_job_name(of_job, is_like_asset=AssetKey([name]) in assets)
        yield fine(f"job {name}: {identity.job_namespace(run)!r}, {job_name!r}")


def _run_of(subject: Subject) -> RunFacts:
    """Make a run of the named definitions, so that the templates' tokens have values."""
    code, created_at = subject.code, datetime.fromtimestamp(0, timezone.utc)
    if subject.repository is None:
        return RunFacts("", "", created_at)
    location = code.module_name or (code.python_file.name if code.python_file else None)
    name = subject.repository.name
    return RunFacts("", "", created_at, code_location=location, repository=name)
