"""Every option in one place: environment names, the `dagster.yaml` schema, what is allowed."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import urlsplit

from dagster import Field, Noneable, Permissive, StringSource

from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.namespaces import (
    DEFAULT_NAMESPACE,
    DEFAULT_TEMPLATE,
    NamespaceTemplate,
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

NAMESPACE_OPTIONS = ("namespace", "namespace_template", "job_namespace")
EMISSION_OPTIONS = (
    "families",
    "include_assets",
    "exclude_assets",
    "include_jobs",
    "exclude_jobs",
    "disabled_facets",
)
NEEDED_FACETS = frozenset({"jobType", "processing_engine"})
"""Backends sort jobs and find their orchestrator by them, and no event may be without facets."""

STORAGE_OPTIONS = (
    "wrapped",
    *NAMESPACE_OPTIONS,
    *EMISSION_OPTIONS,
    "timeout",
    "flush_timeout",
    "outbox_directory",
    "observation_events",
    "resolve_run_tags",
    "strict_assertion_mapping",
)

DEFAULT_TIMEOUT_SECONDS = 5.0
DEFAULT_FLUSH_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True)
class Globs:
    """Names to take and names to leave out, as shell patterns; `*` crosses slashes.

    Args:
        include: a name must match one of them.
        exclude: and none of these.
    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()


class ObservationEvents(str, Enum):
    """What an observation becomes."""

    DATASET = "dataset"
    RUN = "run"


_Choice = TypeVar("_Choice", bound=Enum)


@dataclass(frozen=True)
class Settings:
    """What conversion and delivery need to know, checked.

    Args:
        namespace: what `{namespace}` stands for.
        namespace_template: gives a dataset's namespace.
        job_namespace: gives a job's namespace.
        timeout: the limit of one request to the backend, in seconds.
        observation_events: observations are DatasetEvents, or runs for backends that take nothing
            else.
        strict_assertion_mapping: a check that passes with severity WARN counts as failed, as 0.2
            had it.
        resolve_run_tags: `{tag:KEY}` is the run's tag; else it is empty.
        families: which kinds of runs are emitted.
        assets: which assets' runs, checks and observations are emitted.
        jobs: which Dagster jobs' runs are emitted, with everything in them.
        disabled_facets: the facets that are left out, by name.
    """

    namespace: str = DEFAULT_NAMESPACE
    namespace_template: NamespaceTemplate = DEFAULT_TEMPLATE
    job_namespace: NamespaceTemplate = DEFAULT_TEMPLATE
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    observation_events: ObservationEvents = ObservationEvents.DATASET
    strict_assertion_mapping: bool = False
    resolve_run_tags: bool = True
    families: frozenset[Family] = frozenset(Family)
    assets: Globs = Globs()
    jobs: Globs = Globs()
    disabled_facets: frozenset[str] = frozenset()

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
            observation_events=one_of(
                "observation_events", given.get("observation_events", "dataset"), ObservationEvents
            ),
            strict_assertion_mapping=bool(given.get("strict_assertion_mapping", False)),
            resolve_run_tags=bool(given.get("resolve_run_tags", True)),
            families=_families(given.get("families")),
            assets=Globs(
                include=texts("include_assets", given.get("include_assets", ["*"])),
                exclude=texts("exclude_assets", given.get("exclude_assets", [])),
            ),
            jobs=Globs(
                include=texts("include_jobs", given.get("include_jobs", ["*"])),
                exclude=texts("exclude_jobs", given.get("exclude_jobs", [])),
            ),
            disabled_facets=_facet_names(given.get("disabled_facets", [])),
        )


def texts(option: str, value: object) -> tuple[str, ...]:
    """Check a list of texts.

    Args:
        option: the option's name.
        value: what the user gave.

    Returns:
        The texts.

    Raises:
        ConfigurationError: it is no list, or something in it is no text.
    """
    allowed = "a list of texts"
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise ConfigurationError(option, value, allowed)
    items = tuple(value)
    for item in items:
        if not isinstance(item, str) or not item:
            raise ConfigurationError(option, item, allowed)
    return items


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


def one_of(option: str, value: object, choices: type[_Choice]) -> _Choice:
    """Check a choice.

    Args:
        option: the option's name.
        value: what the user gave.
        choices: the values that there are.

    Returns:
        The choice.

    Raises:
        ConfigurationError: there is no such value.
    """
    for choice in choices:
        if value in (choice, choice.value):
            return choice
    allowed = ", ".join(repr(choice.value) for choice in choices)
    raise ConfigurationError(option, value, f"one of {allowed}")


def seconds(option: str, value: object, *, zero: bool = False) -> float:
    """Check a duration.

    Args:
        option: the option's name.
        value: what the user gave, in seconds.
        zero: whether 0 is allowed.

    Returns:
        The duration in seconds.

    Raises:
        ConfigurationError: it is no number, or not positive.
    """
    allowed = f"a number of seconds {'>= 0' if zero else '> 0'}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(option, value, allowed)
    if not (value >= 0 if zero else value > 0) or value == float("inf"):
        raise ConfigurationError(option, value, allowed)
    return float(value)


def check_url(environ: Mapping[str, str]) -> None:
    """Check the backend's address before anything is sent to it.

    Args:
        environ: the process's environment.

    Raises:
        ConfigurationError: `OPENLINEAGE_URL` is no http(s) address; user and password are not in
            the message.
    """
    url = environ.get(ENV_URL)
    if not url or is_disabled(environ):
        return
    check_http_url(ENV_URL, url)


def check_http_url(option: str, url: str) -> None:
    """Check an http(s) address.

    Args:
        option: where it was given.
        url: the address.

    Raises:
        ConfigurationError: it is none; user and password are not in the message.
    """
    allowed = "an address such as http://localhost:5000 or https://user@host/path"
    try:
        parts = urlsplit(url.strip())
        port_is_valid = parts.port is None or parts.port > 0
        host = parts.hostname
    except ValueError:
        raise ConfigurationError(option, without_credentials(url), allowed) from None
    if parts.scheme not in ("http", "https") or not host or not port_is_valid:
        raise ConfigurationError(option, without_credentials(url), allowed)


def without_credentials(url: str) -> str:
    """Take user and password out of an address, to show it.

    Args:
        url: any text.

    Returns:
        The text without what stands before an `@`, or after a `:` where a port would stand.
    """
    scheme, separator, rest = url.rpartition("://")
    host = rest.rpartition("@")[2]
    # user:password without a host, which is no port.
    return f"{scheme}{separator}" + re.sub(r":(?!\d+(/|$))[^/]+", ":***", host)


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Tell whether `OPENLINEAGE_DISABLED` switches us off.

    Args:
        environ: the process's environment.

    Returns:
        Whether nothing is to be emitted.
    """
    return environ.get(ENV_DISABLED, "").strip().lower() in ("true", "1")


def reject_unknown(given: Collection[str], known: Collection[str]) -> None:
    """Refuse options that do not exist, with the nearest one that does.

    Args:
        given: the names that the user wrote.
        known: the names that exist.

    Raises:
        ConfigurationError: a name is not known.
    """
    for name in sorted(set(given) - set(known)):
        nearest = difflib.get_close_matches(name, list(known), n=1)
        hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
        raise ConfigurationError(
            name, "an option that does not exist", ", ".join(sorted(known)) + hint
        )


def storage_config_schema() -> Permissive:
    """Describe the `config:` of `OpenLineageEventLogStorage` in `dagster.yaml`.

    It is permissive so that an unknown option gets our message (`reject_unknown`), which names the
    options that exist.

    Returns:
        The schema, with a description for each option.
    """
    return Permissive(  # type: ignore[no-untyped-call]
        {
            "wrapped": Field(
                Permissive(),  # type: ignore[no-untyped-call]
                is_required=False,
                description="The event log storage to wrap: {module, class, config}.",
            ),
            "namespace": Field(
                StringSource,
                is_required=False,
                description=f"Namespace of jobs and datasets (else {ENV_NAMESPACE}, else "
                f"'{DEFAULT_NAMESPACE}').",
            ),
            "namespace_template": Field(
                StringSource,
                is_required=False,
                description="Namespace with tokens, such as '{namespace}/{code_location}'.",
            ),
            "job_namespace": Field(
                StringSource,
                is_required=False,
                description="Namespace of jobs where it differs from the datasets'; same tokens.",
            ),
            **_emission_schema(),
            "timeout": Field(
                Noneable(float),
                is_required=False,
                description="Limit of one request to the backend in seconds "
                f"(default {DEFAULT_TIMEOUT_SECONDS}). Runs never wait for it.",
            ),
            "flush_timeout": Field(
                Noneable(float),
                is_required=False,
                description="How long a process that ends may go on sending, in seconds (default "
                f"{DEFAULT_FLUSH_TIMEOUT_SECONDS}); the rest is sent by the next process.",
            ),
            "outbox_directory": Field(
                StringSource,
                is_required=False,
                description="Where events wait until they are sent (default: 'openlineage' under "
                "the instance's directory).",
            ),
            "observation_events": Field(
                StringSource,
                is_required=False,
                description="'dataset' (default) sends an observation as a DatasetEvent, 'run' as "
                "a run, for backends that take nothing else.",
            ),
            "resolve_run_tags": Field(
                Noneable(bool),
                is_required=False,
                description="Resolve {tag:KEY} in namespaces from the run's tags; by default it is "
                "empty, as in 0.2.",
            ),
            "strict_assertion_mapping": Field(
                Noneable(bool),
                is_required=False,
                description="A check that passes with severity WARN counts as failed, as in 0.2.",
            ),
        }
    )


def _emission_schema() -> dict[str, Field]:
    families = ", ".join(family.name.lower() for family in Family)
    descriptions = {
        "families": f"What is emitted: any of {families} (default: all).",
        "include_assets": "Emit only assets whose key matches one of these patterns (raw/*).",
        "exclude_assets": "Do not emit assets whose key matches one of these patterns.",
        "include_jobs": "Emit only runs of Dagster jobs that match one of these patterns.",
        "exclude_jobs": "Do not emit runs of Dagster jobs that match one of these patterns.",
        "disabled_facets": "Leave these facets out, such as [columnLineage].",
    }
    return {
        name: Field(Noneable([str]), is_required=False, description=description)
        for name, description in descriptions.items()
    }
