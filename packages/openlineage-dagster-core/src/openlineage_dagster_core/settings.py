"""The settings that conversion and delivery use, read from the options and the environment."""

# ruff: noqa: RUF009 -- `_default` returns a field

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from openlineage_dagster_core import validation
from openlineage_dagster_core.backends import PRESETS, Backend
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.namespaces import NamespaceTemplate
from openlineage_dagster_core.options import (
    AssetRunParent,
    DatasetIdentity,
    KeySeparator,
    ObservationEvents,
    RunIds,
    declared,
    setting,
)

ENV_PREFIX = "OPENLINEAGE"  # Of all variables that configure openlineage-python or us
ENV_URL = "OPENLINEAGE_URL"  # The backend's address, read by openlineage-python's client
ENV_NAMESPACE = "OPENLINEAGE_NAMESPACE"  # The namespace where the option `namespace` is not given
ENV_DISABLED = "OPENLINEAGE_DISABLED"  # `true` switches everything off, as in openlineage-python
ENV_CONFIG = "OPENLINEAGE_CONFIG"  # The path of an `openlineage.yml`, read by openlineage-python
ENV_TRANSPORT = "OPENLINEAGE__TRANSPORT"  # openlineage-python's transport: JSON, or `…__TYPE` etc.
ENV_PARENT_ID = "OPENLINEAGE_PARENT_ID"  # `namespace/job/run id` of what started this process
ENV_ROOT_PARENT_ID = "OPENLINEAGE_ROOT_PARENT_ID"  # `namespace/job/run id` of where that began
ENV_CONTEXT = "OPENLINEAGE_CONTEXT"  # Both, as JSON: `{"parent": {"run": …, "job": …, "root": …}}`
SENSOR_SETTINGS = "openlineage_settings"  # Attribute of a sensor's definition: its settings


@dataclass(frozen=True)
class Globs:
    """Shell patterns of names; `*` crosses slashes.

    A name must match one of `include` and of `only`, which a command adds, and none of `exclude`.
    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ("*",)


def _default(option: str) -> Any:
    """Return a field of `Settings` with the default of an option."""
    return field(default_factory=lambda: setting(option, {}))


@dataclass(frozen=True)
class Settings:
    """The checked options by name; `options` declares each. `Globs` has two of them together."""

    backend: Backend | None = _default("backend")
    namespace: str = _default("namespace")
    namespace_template: NamespaceTemplate = _default("namespace_template")
    job_namespace: NamespaceTemplate = _default("namespace_template")
    timeout: float = _default("timeout")
    max_event_bytes: int = _default("max_event_bytes")
    observation_events: ObservationEvents = _default("observation_events")
    strict_assertion_mapping: bool = _default("strict_assertion_mapping")
    resolve_run_tags: bool = _default("resolve_run_tags")
    families: frozenset[Family] = _default("families")
    assets: Globs = Globs()
    jobs: Globs = Globs()
    disabled_facets: frozenset[str] = _default("disabled_facets")
    dataset_identity: DatasetIdentity = _default("dataset_identity")
    dataset_namespaces: Mapping[str, str] = _default("dataset_namespaces")
    dataset_key_separator: KeySeparator = _default("dataset_key_separator")
    dataset_symlinks: bool = _default("dataset_symlinks")
    asset_job_name: str = _default("asset_job_name")
    run_ids: RunIds = _default("run_ids")
    asset_run_parent: AssetRunParent = _default("asset_run_parent")
    dagster_url: str | None = _default("dagster_url")
    execution_parameters: tuple[str, ...] = _default("execution_parameters")
    environment_variables: tuple[str, ...] = _default("environment_variables")
    source_code_bytes: int = _default("source_code_bytes")
    sql_lineage: bool = _default("sql_lineage")
    facet_providers: tuple[str, ...] = _default("facet_providers")

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any], environ: Mapping[str, str] = os.environ
    ) -> Settings:
        """Return the settings from the options of both mechanisms and the environment.

        An option that is None counts as not given, so that its preset for the `backend` or its
        default counts; other names are ignored. A wrong value raises ConfigurationError.
        """
        check_url(environ)
        given = {
            "namespace": environ.get(ENV_NAMESPACE) or None,
            **{name: value for name, value in options.items() if value is not None},
        }
        given = {**PRESETS.get(setting("backend", given), {}), **given}
        names = [each.name for each in fields(cls) if each.name in declared()]
        values = {name: setting(name, given) for name in names}
        values["job_namespace"] = values["job_namespace"] or values["namespace_template"]
        for what in ("assets", "jobs"):
            include, exclude = setting(f"include_{what}", given), setting(f"exclude_{what}", given)
            values[what] = Globs(include, exclude)
        return cls(**values)


def check_url(environ: Mapping[str, str]) -> None:
    """Check the backend's address; the ConfigurationError hides user and password."""
    url = environ.get(ENV_URL)
    if url and not is_disabled(environ):
        validation.check_http_url(ENV_URL, url)


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Return True if `OPENLINEAGE_DISABLED` switches us off."""
    return environ.get(ENV_DISABLED, "").strip().lower() in ("true", "1")
