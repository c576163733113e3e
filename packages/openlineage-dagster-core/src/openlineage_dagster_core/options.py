"""Every option, declared once: its type, text, default, and the check of a given value.

The `dagster.yaml` schema, `Settings`, the sensor's arguments and the tables of
`docs/configuration.md` come from these declarations.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, TypedDict, get_args, get_origin, get_type_hints

from dagster import Field, Noneable, Permissive, StringSource

from openlineage_dagster_core import namespaces, validation
from openlineage_dagster_core.backends import Backend
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.families import Family

# Backends sort jobs and find their orchestrator by them, and no event may be without facets.
NEEDED_FACETS = frozenset({"jobType", "processing_engine"})
LEAST_MAX_EVENT_BYTES = 10_000
DEFAULT_JOB_NAME = "{key}"
# What separates the tokens must not occur in a group's name, or two assets could share a job
_APART = r"[^{}]*[^{}\w][^{}]*"
_JOB_NAME = re.compile(
    rf"[^{{}}]*(\{{key}}|\{{key}}{_APART}\{{group}}|\{{group}}{_APART}\{{key}})[^{{}}]*"
)
_PROVIDER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class ObservationEvents(str, Enum):
    """What an observation becomes."""

    DATASET = "dataset"
    RUN = "run"


class DatasetIdentity(str, Enum):
    """What a dataset is named after."""

    ASSET = "asset"
    PHYSICAL = "physical"


class KeySeparator(str, Enum):
    """What separates the parts of an asset's key in its dataset's name."""

    SLASH = "/"
    DOT = "."


class RunIds(str, Enum):
    """What the OpenLineage run id of a Dagster run is: its own id, or one that sorts by time."""

    DAGSTER = "dagster"
    SORTABLE = "sortable"


class AssetRunParent(str, Enum):
    """What the runs of assets are children of."""

    NONE = "none"
    STEP = "step"


class Deliver(str, Enum):
    """What starts the deliverer: processes that store events, or something outside Dagster."""

    AUTOMATIC = "automatic"
    EXTERNAL = "external"


@dataclass(frozen=True)
class Option:
    """What an option does.

    `text` says it in Markdown. `check` gets the option's name and a given value, and returns the
    setting or raises ConfigurationError. `default` is the setting where no value is given; the
    documentation shows it as `shown`.
    """

    text: str
    check: Callable[[str, Any], Any]
    default: Any
    shown: str


def _families(option: str, value: object) -> frozenset[Family]:
    by_name = {family.name.lower(): family for family in Family}
    names = validation.texts(option, value)
    for name in names:
        if name not in by_name:
            raise ConfigurationError(option, name, ", ".join(map(repr, by_name)))
    return frozenset(by_name[name] for name in names)


def _facet_names(option: str, value: object) -> frozenset[str]:
    names = frozenset(validation.texts(option, value))
    for name in sorted(names & NEEDED_FACETS):
        raise ConfigurationError(option, name, "any facet but " + ", ".join(sorted(NEEDED_FACETS)))
    return names


def _template(option: str, value: object) -> namespaces.NamespaceTemplate:
    return namespaces.NamespaceTemplate(validation.text(option, value), option=option)


def _address(option: str, value: object) -> str:
    text = validation.text(option, value)
    validation.check_http_url(option, text)
    return text.strip().rstrip("/")


def _providers(option: str, value: object) -> tuple[str, ...]:
    names = validation.texts(option, value)
    for name in names:
        if not _PROVIDER.fullmatch(name):
            raise ConfigurationError(option, name, "package.module:function")
    return names


def _job_name(option: str, value: object) -> str:
    text = validation.text(option, value)
    is_plain = text == DEFAULT_JOB_NAME
    if not is_plain and not (_JOB_NAME.fullmatch(text) and re.search(r"[^\w{}]", text)):
        allowed = (
            "{key} once and {group} at most once, with a character between them that is not a "
            "letter, a digit or _, such as '{group}.{key}'"
        )
        raise ConfigurationError(option, value, allowed)
    return text


def _choice(choices: type[Enum]) -> Callable[[str, object], Enum]:
    return partial(validation.one_of, choices=choices)


_TEXT = str | None
_TEXTS = Iterable[str] | None


# fmt: off
class DeliveryOptions(TypedDict, total=False):
    """Names, delivery and facets, for both mechanisms; None counts as not given."""

    backend: Annotated[_TEXT, Option(
        "Set [what a backend needs](backends/README.md#presets); options that you give win. One of "
        f"{', '.join(f'`{each.value}`' for each in Backend)}.",
        _choice(Backend), None, "none",
    )]
    namespace: Annotated[_TEXT, Option(
        "Namespace of jobs and datasets.",
        validation.text, namespaces.DEFAULT_NAMESPACE, "`OPENLINEAGE_NAMESPACE`, else `dagster`",
    )]
    namespace_template: Annotated[_TEXT, Option(
        "Namespace with [tokens](#namespaces), such as `{namespace}/{code_location}`.",
        _template, namespaces.DEFAULT_TEMPLATE, "`{namespace}`",
    )]
    job_namespace: Annotated[_TEXT, Option(
        "Namespace of jobs where it differs from that of datasets; same tokens.",
        _template, None, "the same template",
    )]
    timeout: Annotated[float | None, Option(
        "Limit of one whole request to the backend, in seconds. No run waits for it.",
        validation.seconds, 5.0, "5",
    )]
    observation_events: Annotated[_TEXT, Option(
        "`dataset` sends an observation as a DatasetEvent; `run` as a run of `a/b__observations`, "
        "for [backends that take runs only](backends/README.md).",
        _choice(ObservationEvents), ObservationEvents.DATASET, "`dataset`",
    )]
    dataset_identity: Annotated[_TEXT, Option(
        "`asset` names a dataset after its asset, `physical` after the [table or "
        "URI](#datasets-by-table-or-uri) in its metadata.",
        _choice(DatasetIdentity), DatasetIdentity.ASSET, "`asset`",
    )]
    dataset_namespaces: Annotated[Mapping[str, str] | None, Option(
        "Namespaces of tables, such as `snowflake://org-account`, by `kind:snowflake` or a pattern "
        "of asset keys. The most specific one that fits counts.",
        validation.text_by_text, {}, "none",
    )]
    dataset_key_separator: Annotated[_TEXT, Option(
        "Between the parts of an asset's key in its dataset's name: `/`, or `.` as in "
        "[DataHub's plugin for Dagster](backends/datahub.md).",
        _choice(KeySeparator), KeySeparator.SLASH, "`/`",
    )]
    dataset_symlinks: Annotated[bool | None, Option(
        "Send a dataset's other name, physical or asset, as a symlink.",
        validation.flag, False, "`false`",
    )]
    asset_job_name: Annotated[_TEXT, Option(
        "[Name of the job](model.md#names) of an asset, with `{key}` and `{group}`, such as "
        "`{group}.{key}` for backends that group jobs by what is before the first dot.",
        _job_name, DEFAULT_JOB_NAME, "`{key}`",
    )]
    run_ids: Annotated[_TEXT, Option(
        "`dagster` keeps the id of a Dagster run; `sortable` makes one from it that sorts by time, "
        "for Data.Rentgen. The facet `dagster_run` has the original.",
        _choice(RunIds), RunIds.DAGSTER, "`dagster`",
    )]
    asset_run_parent: Annotated[_TEXT, Option(
        "`step` makes the runs of assets children of their steps, for backends that show "
        "hierarchies. Marquez then renames the asset's job and gives it the colour of its Dagster "
        "run.",
        _choice(AssetRunParent), AssetRunParent.NONE, "`none`",
    )]
    dagster_url: Annotated[_TEXT, Option(
        "Address of the Dagster UI, such as `https://dagster.example.org`; events then link to "
        "their run.",
        _address, None, "none",
    )]
    execution_parameters: Annotated[_TEXTS, Option(
        "Show the values of the run configuration whose keys match one of these patterns, such as "
        "`ops.*` or `ops.load.config.limit`; secrets are masked.",
        validation.texts, (), "none",
    )]
    source_code_bytes: Annotated[int | None, Option(
        "Show the Python function that makes an asset, cut after so many bytes, 65,536 at most; "
        "secrets are masked. With Mechanism A, the definitions that the instance keeps contain it.",
        partial(validation.whole_number, least=0), 0, "0",
    )]
    sql_lineage: Annotated[bool | None, Option(
        "Parse the [queries of assets](sql.md): tables and column lineage that Dagster does not "
        "say. It needs the extra `sql`.",
        validation.flag, False, "`false`",
    )]
    facet_providers: Annotated[_TEXTS, Option(
        "Functions that add [facets of your own](custom-facets.md), as `package.module:function`.",
        _providers, (), "none",
    )]
    max_event_bytes: Annotated[int | None, Option(
        "Limit of one event in bytes. A larger event loses as few facets as possible, and one kind "
        "of facet in all its inputs or outputs alike; the log and the facet "
        "`dagster_droppedFacets` name them, such as `inputs[*].facets.schema`.",
        # What a Kafka broker takes by default, less its headers.
        partial(validation.whole_number, least=LEAST_MAX_EVENT_BYTES), 1_000_000, "1,000,000",
    )]
    strict_assertion_mapping: Annotated[bool | None, Option(
        "A check that passes with severity WARN counts as failed (from 0.2).",
        validation.flag, False, "`false`",
    )]


class SelectionOptions(TypedDict, total=False):
    """What is emitted, for both mechanisms; None counts as not given."""

    families: Annotated[_TEXTS, Option(
        f"Emit only these: any of {', '.join(f'`{each.name.lower()}`' for each in Family)}.",
        _families, frozenset(Family), "all",
    )]
    include_assets: Annotated[_TEXTS, Option(
        "Emit only assets whose key matches one of these patterns, such as `raw/*`, with their "
        "checks and observations. Other assets stay inputs.",
        validation.texts, ("*",), "all",
    )]
    exclude_assets: Annotated[_TEXTS, Option(
        "Do not emit assets whose key matches one of these patterns.",
        validation.texts, (), "none",
    )]
    include_jobs: Annotated[_TEXTS, Option(
        "Emit only runs of Dagster jobs that match one of these patterns, with all that they "
        "contain.",
        validation.texts, ("*",), "all",
    )]
    exclude_jobs: Annotated[_TEXTS, Option(
        "Do not emit runs of Dagster jobs that match one of these patterns.",
        validation.texts, (), "none",
    )]
    disabled_facets: Annotated[_TEXTS, Option(
        "Leave these facets out, such as `columnLineage`; `jobType` and `processing_engine` stay.",
        _facet_names, frozenset(), "none",
    )]


class SharedOptions(DeliveryOptions, SelectionOptions, total=False):
    """The options of both mechanisms; None counts as not given."""


class StorageOnlyOptions(TypedDict, total=False):
    """The options of Mechanism A alone; None counts as not given."""

    wrapped: Annotated[Mapping[str, Any], Option(
        "The event log storage that stores: `{module, class, config}`.",
        lambda _, value: value, None, "required",
    )]
    deliver: Annotated[_TEXT, Option(
        "`automatic`: processes that store events start a deliverer where none lives; `external`: "
        "[a service](mechanism-a.md#run-the-deliverer-as-a-service) runs `openlineage-dagster "
        "deliver`, and no process starts one.",
        _choice(Deliver), Deliver.AUTOMATIC, "`automatic`",
    )]
    flush_timeout: Annotated[float | None, Option(
        "How long the end of a run waits for its lineage to be delivered, in seconds; by default 5 "
        "[in a container](mechanism-a.md#pods-and-containers) that the deliverer would end with, "
        "and not at all elsewhere.",
        partial(validation.seconds, zero=True), None, "5 in containers",
    )]
    resolve_run_tags: Annotated[bool | None, Option(
        "Resolve `{tag:KEY}` in namespaces from the run's tags; without it the token is empty, as "
        "in 0.2.",
        validation.flag, True, "`false`",
    )]
    environment_variables: Annotated[_TEXTS, Option(
        "Show the environment variables of the process that executes a run whose names match one "
        "of these patterns; secrets are masked.",
        validation.texts, (), "none",
    )]


class StorageOptions(StorageOnlyOptions, SharedOptions, total=False):
    """The options of Mechanism A; None counts as not given."""
# fmt: on


@cache
def declared(options: type[Any] = StorageOptions) -> dict[str, Option]:
    """Return the options that a class declares, by name."""
    hints = get_type_hints(options, include_extras=True)
    return {name: get_args(hint)[1] for name, hint in hints.items()}


def setting(option: str, given: Mapping[str, Any]) -> Any:
    """Return the checked value of an option, or its default; else raise ConfigurationError."""
    declaration, value = declared()[option], given.get(option)
    return declaration.default if value is None else declaration.check(option, value)


def storage_config_schema() -> Permissive:
    """Return the schema of `config:` in `dagster.yaml`, each option described.

    It is permissive so that `reject_unknown` can name the options that exist.
    """
    hints = get_type_hints(StorageOptions, include_extras=True)
    fields = {
        name: Field(
            _kind(get_args(hint)[0]),
            is_required=False,
            description=f"{get_args(hint)[1].text} Default: {get_args(hint)[1].shown}.",
        )
        for name, hint in hints.items()
    }
    return Permissive(fields)  # type: ignore[no-untyped-call]


def _kind(hint: Any) -> Any:
    """Return the type of Dagster's configuration for the type of an option."""
    members = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kind = get_origin(members[0]) or members[0]
    if kind is str:
        return StringSource
    kind = {Iterable: [str], Mapping: Permissive()}.get(kind, kind)  # type: ignore[no-untyped-call]
    return Noneable(kind) if type(None) in members else kind
