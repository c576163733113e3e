"""Every option in one place: environment names, the `dagster.yaml` schema, what is allowed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from dagster import Field, Noneable, Permissive, StringSource

from openlineage_dagster_core import validation
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.namespaces import (
    DEFAULT_NAMESPACE,
    DEFAULT_TEMPLATE,
    NamespaceTemplate,
)

ENV_URL = "OPENLINEAGE_URL"  # The backend's address, read by openlineage-python's client
ENV_NAMESPACE = "OPENLINEAGE_NAMESPACE"  # The namespace where the option `namespace` is not given
ENV_DISABLED = "OPENLINEAGE_DISABLED"  # `true` switches everything off, as in openlineage-python
ENV_CONFIG = "OPENLINEAGE_CONFIG"  # The path of an `openlineage.yml`, read by openlineage-python
ENV_TRANSPORT = "OPENLINEAGE__TRANSPORT"  # openlineage-python's transport: JSON, or `…__TYPE` etc.
ENV_PARENT_ID = "OPENLINEAGE_PARENT_ID"  # `namespace/job/run id` of what started this process
ENV_ROOT_PARENT_ID = "OPENLINEAGE_ROOT_PARENT_ID"  # `namespace/job/run id` of where that began
ENV_CONTEXT = "OPENLINEAGE_CONTEXT"  # Both, as JSON: `{"parent": {"run": …, "job": …}, "root": …}`
SENSOR_SETTINGS = "openlineage_settings"  # Attribute of a sensor's definition: its settings
# Backends sort jobs and find their orchestrator by them, and no event may be without facets.
NEEDED_FACETS = frozenset({"jobType", "processing_engine"})
DEFAULT_TIMEOUT_SECONDS = 5.0
DEFAULT_MAX_EVENT_BYTES = 1_000_000  # What a Kafka broker takes by default, less its headers
LEAST_MAX_EVENT_BYTES = 10_000
_Value = TypeVar("_Value")
_PROVIDER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Globs:
    """Shell patterns of names; `*` crosses slashes.

    A name must match one of `include` and of `only`, which a command adds, and none of `exclude`.
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
    """What conversion and delivery need to know, checked; `SHARED_OPTIONS` describes each option.

    `timeout` is in seconds, `max_event_bytes` in bytes of JSON. `families`, `assets` and `jobs`
    choose what is emitted. `execution_parameters` and `environment_variables` are patterns of what
    may be shown; `facet_providers` are the user's functions, as `package.module:function`.
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
        """Return the settings from the options of both mechanisms and the environment.

        An option that is None counts as not given; other names are ignored. A wrong value raises
        ConfigurationError.
        """
        check_url(environ)
        given = {name: value for name, value in options.items() if value is not None}
        namespace = given.get("namespace", environ.get(ENV_NAMESPACE) or DEFAULT_NAMESPACE)
        if not isinstance(namespace, str) or not namespace.strip():
            raise ConfigurationError("namespace", namespace, "a text that is not empty")
        template = given.get("namespace_template", DEFAULT_TEMPLATE.text)
        of_jobs = given.get("job_namespace", template)

        def read(check: Callable[..., _Value], option: str, default: object, *more: Any) -> _Value:
            return check(option, given.get(option, default), *more)

        return cls(
            namespace=namespace,
            namespace_template=NamespaceTemplate(template),
            job_namespace=NamespaceTemplate(of_jobs, option="job_namespace"),
            timeout=read(validation.seconds, "timeout", DEFAULT_TIMEOUT_SECONDS),
            max_event_bytes=read(_event_bytes, "max_event_bytes", DEFAULT_MAX_EVENT_BYTES),
            observation_events=read(
                validation.one_of, "observation_events", "dataset", ObservationEvents
            ),
            strict_assertion_mapping=bool(given.get("strict_assertion_mapping", False)),
            resolve_run_tags=bool(given.get("resolve_run_tags", True)),
            families=_families(given.get("families")),
            assets=_globs("assets", given),
            jobs=_globs("jobs", given),
            disabled_facets=_facet_names(given.get("disabled_facets", [])),
            dataset_identity=read(validation.one_of, "dataset_identity", "asset", DatasetIdentity),
            dataset_namespaces=read(validation.text_by_text, "dataset_namespaces", {}),
            dataset_symlinks=bool(given.get("dataset_symlinks", False)),
            asset_run_parent=read(validation.one_of, "asset_run_parent", "none", AssetRunParent),
            dagster_url=_dagster_url(given.get("dagster_url")),
            execution_parameters=read(validation.texts, "execution_parameters", []),
            environment_variables=read(validation.texts, "environment_variables", []),
            source_code_bytes=validation.whole_number(
                "source_code_bytes", given.get("source_code_bytes", 0), least=0
            ),
            facet_providers=_providers(given.get("facet_providers", [])),
        )


_event_bytes = partial(validation.whole_number, least=LEAST_MAX_EVENT_BYTES)


def _globs(what: str, given: Mapping[str, Any]) -> Globs:
    include, exclude = f"include_{what}", f"exclude_{what}"
    return Globs(
        include=validation.texts(include, given.get(include, ["*"])),
        exclude=validation.texts(exclude, given.get(exclude, [])),
    )


def _families(value: object) -> frozenset[Family]:
    if value is None:
        return frozenset(Family)
    by_name = {family.name.lower(): family for family in Family}
    names = validation.texts("families", value)
    for name in names:
        if name not in by_name:
            raise ConfigurationError("families", name, ", ".join(map(repr, by_name)))
    return frozenset(by_name[name] for name in names)


def _facet_names(value: object) -> frozenset[str]:
    names = frozenset(validation.texts("disabled_facets", value))
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
    validation.check_http_url("dagster_url", value)
    return value.strip().rstrip("/")


def _providers(value: object) -> tuple[str, ...]:
    names = validation.texts("facet_providers", value)
    for name in names:
        if not _PROVIDER.fullmatch(name):
            raise ConfigurationError("facet_providers", name, "package.module:function")
    return names


def check_url(environ: Mapping[str, str]) -> None:
    """Check the backend's address; the ConfigurationError hides user and password."""
    url = environ.get(ENV_URL)
    if url and not is_disabled(environ):
        validation.check_http_url(ENV_URL, url)


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Return True if `OPENLINEAGE_DISABLED` switches us off."""
    return environ.get(ENV_DISABLED, "").strip().lower() in ("true", "1")


def _option(kind: Any, description: str) -> Field:
    return Field(kind, is_required=False, description=description)


_text = partial(_option, StringSource)
_texts = partial(_option, Noneable([str]))
_flag = partial(_option, Noneable(bool))
_FAMILIES = ", ".join(family.name.lower() for family in Family)

SHARED_OPTIONS: Mapping[str, Field] = {
    "namespace": _text(f"Namespace of jobs and datasets (else {ENV_NAMESPACE}, else 'dagster')."),
    "namespace_template": _text("Namespace with tokens, such as '{namespace}/{code_location}'."),
    "job_namespace": _text("Namespace of jobs if it differs from the datasets'; same tokens."),
    "families": _texts(f"What is emitted: any of {_FAMILIES} (default: all)."),
    "include_assets": _texts("Emit only assets whose key matches one of these patterns (raw/*)."),
    "exclude_assets": _texts("Do not emit assets whose key matches one of these patterns."),
    "include_jobs": _texts("Emit only runs of Dagster jobs that match one of these patterns."),
    "exclude_jobs": _texts("Do not emit runs of Dagster jobs that match one of these patterns."),
    "disabled_facets": _texts("Leave these facets out, such as [columnLineage]."),
    "dataset_identity": _text(
        "'asset' (default) names datasets after their assets, 'physical' after the table or URI "
        "in the definition's metadata."
    ),
    "dataset_namespaces": _option(
        Noneable(Permissive()),  # type: ignore[no-untyped-call]
        "Namespaces ('snowflake://org-account') of tables, by 'kind:snowflake' or key pattern.",
    ),
    "dataset_symlinks": _flag("Send a dataset's other name, physical or asset, as a symlink."),
    "asset_run_parent": _text("'none' (default) or 'step': runs of assets as children of steps."),
    "dagster_url": _text("Where the Dagster UI is, for links to runs."),
    "execution_parameters": _texts(
        "Show what matches in the run configuration, such as ['ops.*']; secrets are masked "
        "(default: nothing)."
    ),
    "source_code_bytes": _option(
        Noneable(int),
        "Bytes to show of the Python function that makes an asset; secrets are masked (default 0).",
    ),
    "facet_providers": _texts("Functions that add facets of your own: [package.module:function]."),
    "max_event_bytes": _option(
        Noneable(int),
        f"Limit of one event in bytes (default {DEFAULT_MAX_EVENT_BYTES}); the heaviest facets go.",
    ),
    "observation_events": _text(
        "'dataset' (default) sends an observation as a DatasetEvent, 'run' as a run, for backends "
        "that take nothing else."
    ),
    "strict_assertion_mapping": _flag("A check that passes with WARN counts as failed (0.2)."),
    "timeout": _option(
        Noneable(float),
        f"Limit of a request in seconds (default {DEFAULT_TIMEOUT_SECONDS}). Runs never wait.",
    ),
}
"""The options of both mechanisms, as `dagster.yaml` describes them."""

STORAGE_OPTIONS: Mapping[str, Field] = {
    "wrapped": _option(
        Permissive(),  # type: ignore[no-untyped-call]
        "The event log storage to wrap: {module, class, config}.",
    ),
    **SHARED_OPTIONS,
    "deliver": _text(
        "'automatic' (default): processes that store events start a deliverer where none lives; "
        "'external': a service runs `openlineage-dagster deliver`, and no process starts one."
    ),
    "flush_timeout": _option(
        Noneable(float),
        "How long the end of a run waits for its lineage to be delivered, in seconds; by default 5 "
        "in a container that a deliverer would end with, and not at all elsewhere.",
    ),
    "environment_variables": _texts(
        "Show these environment variables of the process that executes a run; secrets are masked "
        "(default: none)."
    ),
    "resolve_run_tags": _flag("Resolve {tag:KEY} in namespaces; by default it is empty (0.2)."),
}


def storage_config_schema() -> Permissive:
    """Return the schema of `config:` in `dagster.yaml`, each option described.

    It is permissive so that `reject_unknown` can name the options that exist.
    """
    return Permissive(dict(STORAGE_OPTIONS))  # type: ignore[no-untyped-call]
