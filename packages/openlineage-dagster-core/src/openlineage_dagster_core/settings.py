"""Every option in one place: environment names, the `dagster.yaml` schema, what is allowed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from dagster import Field, Noneable, Permissive, StringSource

from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.namespaces import (
    DEFAULT_NAMESPACE,
    DEFAULT_TEMPLATE,
    NamespaceTemplate,
)
from openlineage_dagster_core.validation import (
    check_http_url,
    one_of,
    seconds,
    text_by_text,
    texts,
    whole_number,
)

ENV_URL = "OPENLINEAGE_URL"
"""The backend's address, read by openlineage-python's client."""

ENV_NAMESPACE = "OPENLINEAGE_NAMESPACE"
"""The namespace where the option `namespace` is not given."""

ENV_DISABLED = "OPENLINEAGE_DISABLED"
"""`true` switches everything off, as in openlineage-python's client."""

ENV_CONFIG = "OPENLINEAGE_CONFIG"
"""The path of an `openlineage.yml`, read by openlineage-python's client."""

ENV_TRANSPORT = "OPENLINEAGE__TRANSPORT"
"""openlineage-python's own variable for a transport: JSON, or `…__TYPE` and others like it."""

ENV_PARENT_ID = "OPENLINEAGE_PARENT_ID"
"""`namespace/job/run id` of what started this process from outside Dagster."""

ENV_ROOT_PARENT_ID = "OPENLINEAGE_ROOT_PARENT_ID"
"""`namespace/job/run id` of where that began."""

ENV_CONTEXT = "OPENLINEAGE_CONTEXT"
"""Both at once, as JSON: `{"parent": {"run": …, "job": …}, "root": …}`."""

SENSOR_SETTINGS = "openlineage_settings"
"""The attribute of a sensor's definition that holds the settings it was made with."""

NEEDED_FACETS = frozenset({"jobType", "processing_engine"})
"""Backends sort jobs and find their orchestrator by them, and no event may be without facets."""

DEFAULT_TIMEOUT_SECONDS = 5.0

DEFAULT_MAX_EVENT_BYTES = 1_000_000
"""What a Kafka broker takes by default, with room for its own headers."""

LEAST_MAX_EVENT_BYTES = 10_000

_PROVIDER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Globs:
    """Names to take and names to leave out, as shell patterns; `*` crosses slashes.

    Args:
        include: a name must match one of them.
        exclude: and none of these.
        only: and one of these, where something is asked for beside the configuration.
    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ("*",)


class ObservationEvents(str, Enum):
    """What an observation becomes."""

    DATASET = "dataset"
    RUN = "run"


class DatasetIdentity(str, Enum):
    """What a dataset is named after."""

    ASSET = "asset"
    PHYSICAL = "physical"


class AssetRunParent(str, Enum):
    """What the runs of assets are children of."""

    NONE = "none"
    STEP = "step"


@dataclass(frozen=True)
class Settings:
    """What conversion and delivery need to know, checked.

    Args:
        namespace: what `{namespace}` stands for.
        namespace_template: gives a dataset's namespace.
        job_namespace: gives a job's namespace.
        timeout: the limit of one request to the backend, in seconds.
        max_event_bytes: the limit of one event, in bytes of JSON; its heaviest facets are left out.
        observation_events: observations are DatasetEvents, or runs for backends that take nothing
            else.
        strict_assertion_mapping: a check that passes with severity WARN counts as failed, as 0.2
            had it.
        resolve_run_tags: `{tag:KEY}` is the run's tag; else it is empty.
        families: which kinds of runs are emitted.
        assets: which assets' runs, checks and observations are emitted.
        jobs: which Dagster jobs' runs are emitted, with everything in them.
        disabled_facets: the facets that are left out, by name.
        dataset_identity: datasets are named after their assets, or after their tables and URIs.
        dataset_namespaces: the namespaces of tables, by kind (`kind:snowflake`) or asset pattern.
        dataset_symlinks: whether a dataset's other name is told as a symlink.
        asset_run_parent: what the runs of assets are children of.
        dagster_url: where the Dagster UI is, for links to runs.
        execution_parameters: patterns of what is shown of the run configuration.
        environment_variables: patterns of what is shown of the executing process's environment.
        source_code_bytes: how much is shown of the function that makes an asset.
        facet_providers: functions of the user's that add facets, as `package.module:function`.
    """

    namespace: str = DEFAULT_NAMESPACE
    namespace_template: NamespaceTemplate = DEFAULT_TEMPLATE
    job_namespace: NamespaceTemplate = DEFAULT_TEMPLATE
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
    observation_events: ObservationEvents = ObservationEvents.DATASET
    strict_assertion_mapping: bool = False
    resolve_run_tags: bool = True
    families: frozenset[Family] = frozenset(Family)
    assets: Globs = Globs()
    jobs: Globs = Globs()
    disabled_facets: frozenset[str] = frozenset()
    dataset_identity: DatasetIdentity = DatasetIdentity.ASSET
    dataset_namespaces: Mapping[str, str] = field(default_factory=dict)
    dataset_symlinks: bool = False
    asset_run_parent: AssetRunParent = AssetRunParent.NONE
    dagster_url: str | None = None
    execution_parameters: tuple[str, ...] = ()
    environment_variables: tuple[str, ...] = ()
    source_code_bytes: int = 0
    facet_providers: tuple[str, ...] = ()

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any], environ: Mapping[str, str] = os.environ
    ) -> Settings:
        """Read the options that both mechanisms share, and the environment.

        Args:
            options: by name; None means not given, other names are ignored.
            environ: the process's environment.

        Returns:
            The settings.

        Raises:
            ConfigurationError: a value is wrong.
        """
        check_url(environ)
        given = {name: value for name, value in options.items() if value is not None}
        namespace = given.get("namespace", environ.get(ENV_NAMESPACE) or DEFAULT_NAMESPACE)
        if not isinstance(namespace, str) or not namespace.strip():
            raise ConfigurationError("namespace", namespace, "a text that is not empty")
        template = given.get("namespace_template", DEFAULT_TEMPLATE.text)
        return cls(
            namespace=namespace,
            namespace_template=NamespaceTemplate(template),
            job_namespace=NamespaceTemplate(
                given.get("job_namespace", template), option="job_namespace"
            ),
            timeout=seconds("timeout", given.get("timeout", DEFAULT_TIMEOUT_SECONDS)),
            max_event_bytes=whole_number(
                "max_event_bytes",
                given.get("max_event_bytes", DEFAULT_MAX_EVENT_BYTES),
                least=LEAST_MAX_EVENT_BYTES,
            ),
            observation_events=one_of(
                "observation_events", given.get("observation_events", "dataset"), ObservationEvents
            ),
            strict_assertion_mapping=bool(given.get("strict_assertion_mapping", False)),
            resolve_run_tags=bool(given.get("resolve_run_tags", True)),
            families=_families(given.get("families")),
            assets=_globs("assets", given),
            jobs=_globs("jobs", given),
            disabled_facets=_facet_names(given.get("disabled_facets", [])),
            dataset_identity=one_of(
                "dataset_identity", given.get("dataset_identity", "asset"), DatasetIdentity
            ),
            dataset_namespaces=text_by_text(
                "dataset_namespaces", given.get("dataset_namespaces", {})
            ),
            dataset_symlinks=bool(given.get("dataset_symlinks", False)),
            asset_run_parent=one_of(
                "asset_run_parent", given.get("asset_run_parent", "none"), AssetRunParent
            ),
            dagster_url=_dagster_url(given.get("dagster_url")),
            execution_parameters=texts(
                "execution_parameters", given.get("execution_parameters", [])
            ),
            environment_variables=texts(
                "environment_variables", given.get("environment_variables", [])
            ),
            source_code_bytes=whole_number(
                "source_code_bytes", given.get("source_code_bytes", 0), least=0
            ),
            facet_providers=_providers(given.get("facet_providers", [])),
        )


def _globs(what: str, given: Mapping[str, Any]) -> Globs:
    include, exclude = f"include_{what}", f"exclude_{what}"
    return Globs(
        include=texts(include, given.get(include, ["*"])),
        exclude=texts(exclude, given.get(exclude, [])),
    )


def _families(value: object) -> frozenset[Family]:
    if value is None:
        return frozenset(Family)
    by_name = {family.name.lower(): family for family in Family}
    names = texts("families", value)
    for name in names:
        if name not in by_name:
            raise ConfigurationError("families", name, ", ".join(map(repr, by_name)))
    return frozenset(by_name[name] for name in names)


def _facet_names(value: object) -> frozenset[str]:
    names = frozenset(texts("disabled_facets", value))
    for name in sorted(names & NEEDED_FACETS):
        raise ConfigurationError(
            "disabled_facets", name, "any facet but " + ", ".join(sorted(NEEDED_FACETS))
        )
    return names


def _dagster_url(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigurationError("dagster_url", value, "an address such as http://localhost:3000")
    check_http_url("dagster_url", value)
    return value.strip().rstrip("/")


def _providers(value: object) -> tuple[str, ...]:
    names = texts("facet_providers", value)
    for name in names:
        if not _PROVIDER.fullmatch(name):
            raise ConfigurationError("facet_providers", name, "package.module:function")
    return names


def check_url(environ: Mapping[str, str]) -> None:
    """Check the backend's address before anything is sent to it.

    Args:
        environ: the process's environment.

    Raises:
        ConfigurationError: `OPENLINEAGE_URL` is no http(s) address; user and password are not in
            the message.
    """
    url = environ.get(ENV_URL)
    if url and not is_disabled(environ):
        check_http_url(ENV_URL, url)


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Tell whether `OPENLINEAGE_DISABLED` switches us off.

    Args:
        environ: the process's environment.

    Returns:
        Whether nothing is to be emitted.
    """
    return environ.get(ENV_DISABLED, "").strip().lower() in ("true", "1")


def _option(kind: Any, description: str) -> Field:
    return Field(kind, is_required=False, description=description)


_FAMILIES = ", ".join(family.name.lower() for family in Family)
_TEXTS = Noneable([str])

SHARED_OPTIONS: Mapping[str, Field] = {
    "namespace": _option(
        StringSource,
        f"Namespace of jobs and datasets (else {ENV_NAMESPACE}, else '{DEFAULT_NAMESPACE}').",
    ),
    "namespace_template": _option(
        StringSource, "Namespace with tokens, such as '{namespace}/{code_location}'."
    ),
    "job_namespace": _option(
        StringSource, "Namespace of jobs where it differs from the datasets'; same tokens."
    ),
    "families": _option(_TEXTS, f"What is emitted: any of {_FAMILIES} (default: all)."),
    "include_assets": _option(
        _TEXTS, "Emit only assets whose key matches one of these patterns (raw/*)."
    ),
    "exclude_assets": _option(
        _TEXTS, "Do not emit assets whose key matches one of these patterns."
    ),
    "include_jobs": _option(
        _TEXTS, "Emit only runs of Dagster jobs that match one of these patterns."
    ),
    "exclude_jobs": _option(
        _TEXTS, "Do not emit runs of Dagster jobs that match one of these patterns."
    ),
    "disabled_facets": _option(_TEXTS, "Leave these facets out, such as [columnLineage]."),
    "dataset_identity": _option(
        StringSource,
        "'asset' (default) names datasets after their assets, 'physical' after the table or URI "
        "in the definition's metadata.",
    ),
    "dataset_namespaces": _option(
        Noneable(Permissive()),  # type: ignore[no-untyped-call]
        "Namespaces of tables: 'kind:snowflake' or a pattern for asset keys, to "
        "'snowflake://org-account'.",
    ),
    "dataset_symlinks": _option(
        Noneable(bool), "Tell a dataset's other name, physical or asset, as a symlink."
    ),
    "asset_run_parent": _option(
        StringSource,
        "'none' (default) or 'step': runs of assets as children of their steps, for backends that "
        "show hierarchies.",
    ),
    "dagster_url": _option(StringSource, "Where the Dagster UI is, for links to runs."),
    "execution_parameters": _option(
        _TEXTS,
        "Show what matches in the run configuration, such as ['ops.*']; secrets are masked "
        "(default: nothing).",
    ),
    "source_code_bytes": _option(
        Noneable(int),
        "Show the Python function that makes an asset, up to so many bytes; secrets are masked "
        "(default 0: not at all).",
    ),
    "facet_providers": _option(
        _TEXTS, "Functions that add facets of your own: [package.module:function]."
    ),
    "max_event_bytes": _option(
        Noneable(int),
        f"Limit of one event in bytes (default {DEFAULT_MAX_EVENT_BYTES}); its heaviest facets are "
        "left out.",
    ),
    "observation_events": _option(
        StringSource,
        "'dataset' (default) sends an observation as a DatasetEvent, 'run' as a run, for backends "
        "that take nothing else.",
    ),
    "strict_assertion_mapping": _option(
        Noneable(bool), "A check that passes with severity WARN counts as failed, as in 0.2."
    ),
    "timeout": _option(
        Noneable(float),
        "Limit of one request to the backend in seconds "
        f"(default {DEFAULT_TIMEOUT_SECONDS}). Runs never wait for it.",
    ),
}
"""The options of both mechanisms, as `dagster.yaml` describes them."""

STORAGE_OPTIONS: Mapping[str, Field] = {
    "wrapped": _option(
        Permissive(),  # type: ignore[no-untyped-call]
        "The event log storage to wrap: {module, class, config}.",
    ),
    **SHARED_OPTIONS,
    "deliver": _option(
        StringSource,
        "'automatic' (default): processes that store events start a deliverer where none lives; "
        "'external': a service runs `openlineage-dagster deliver`, and no process starts one.",
    ),
    "flush_timeout": _option(
        Noneable(float),
        "How long the end of a run waits for its lineage to be delivered, in seconds; by default 5 "
        "in a container that a deliverer would end with, and not at all elsewhere.",
    ),
    "environment_variables": _option(
        _TEXTS,
        "Show these environment variables of the process that executes a run; secrets are masked "
        "(default: none).",
    ),
    "resolve_run_tags": _option(
        Noneable(bool),
        "Resolve {tag:KEY} in namespaces from the run's tags; by default it is empty, as in 0.2.",
    ),
}


def storage_config_schema() -> Permissive:
    """Describe the `config:` of `OpenLineageEventLogStorage` in `dagster.yaml`.

    It is permissive so that an unknown option gets our message (`reject_unknown`), which names the
    options that exist.

    Returns:
        The schema, with a description for each option.
    """
    return Permissive(dict(STORAGE_OPTIONS))  # type: ignore[no-untyped-call]
