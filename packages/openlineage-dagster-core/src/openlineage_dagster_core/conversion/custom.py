"""What users add to events: by metadata `openlineage/…`, and by functions of their own.

A mistake in either never costs the event: it is logged once, counted, and what is wrong left out.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from dagster import AssetKey, EventLogEntry
from openlineage.client.event_v2 import DatasetEvent, InputDataset, OutputDataset
from openlineage.client.facet_v2 import BaseFacet
from openlineage.client.serde import Serde

from openlineage_dagster_core import fault
from openlineage_dagster_core.caches import PerObject
from openlineage_dagster_core.conversion.envelope import Event, Lineage, Source
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.facets.text import limited
from openlineage_dagster_core.facts.metadata import additions, named_asset
from openlineage_dagster_core.facts.model import AssetFacts, RunFacts
from openlineage_dagster_core.names import safe_dataset_namespace, safe_name
from openlineage_dagster_core.redaction import without_secrets, without_user
from openlineage_dagster_core.version import PRODUCER

PLACES = {
    "run": "RunFacet",
    "job": "JobFacet",
    "dataset": "DatasetFacet",
    "input": "InputDatasetFacet",
    "output": "OutputDatasetFacet",
}
"""Where a facet can be, and the schema that it has at least."""

FACET_KEYS = {f"{place}_facets": place for place in PLACES}
KNOWN_KEYS = frozenset(
    {"inputs", "outputs", "sql", "column_metrics", "size_bytes", "file_count", *FACET_KEYS}
)
"""What may follow `openlineage/` in metadata."""

RESERVED = frozenset({"jobType", "processing_engine", "dagster_run", "parent", "tags"})
"""Facets of runs and jobs that are ours, or that the client adds to."""

_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-;=?-\[\]_a-z~]+")
"""A URI with a scheme, of the characters that one may have."""

logger = logging.getLogger(__name__)

mistakes: Counter[str] = Counter()
"""How often each mistake has been met, by what it is about."""


@dataclass(frozen=True)
class Subject:
    """What a function of the user's is given.

    Args:
        event: the OpenLineage event so far; to be read only.
        entry: the Dagster event that it is made from.
        run: the Dagster run.
        asset_key: the asset that it is about, None for runs and steps.
        asset: the asset's definition, where it is known.
    """

    event: Event
    entry: EventLogEntry
    run: RunFacts
    asset_key: AssetKey | None
    asset: AssetFacts | None


Facets = Mapping[str, Mapping[str, Any]]
"""By place (`run`, `job`, `dataset`, `input`, `output`) and name, facets to add."""

_Dataset = TypeVar("_Dataset", InputDataset, OutputDataset)

Provider = Callable[[Subject], Facets | None]


def load_provider(name: str) -> Provider:
    """Import a function of the user's.

    Args:
        name: `package.module:function`.

    Returns:
        The function.

    Raises:
        ConfigurationError: there is none of that name.
    """
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:
        raise ConfigurationError(
            "facet_providers", name, f"a function that can be imported ({error!r})"
        ) from error
    if not callable(found):
        raise ConfigurationError("facet_providers", name, "a function")
    loaded: Provider = found
    return loaded


@lru_cache(maxsize=64)
def _provider(name: str) -> Provider | None:
    try:
        return load_provider(name)
    except ConfigurationError as error:
        _mistake(name, str(error))
        return None


def with_additions(event: Event, source: Source, key: AssetKey | None) -> Event:
    """Add what the definition of an asset and the user's functions say.

    Args:
        event: made so far, changed in place.
        source: the Dagster event and its facts.
        key: the asset that the event is about, None for runs and steps.

    Returns:
        The event.
    """
    asset = source.facts.assets.get(key) if key is not None else None
    if asset is not None and asset.additions:
        _put(event, _of_definition(asset), ("run", "job"))
    for name in source.identity.settings.facet_providers:
        provider = _provider(name)
        if provider is not None:
            _provide(
                event, Subject(event, source.entry, source.facts.run, key, asset), provider, name
            )
    return event


def _provide(event: Event, subject: Subject, provider: Provider, name: str) -> None:
    try:
        provided = provider(subject)
        if provided is not None:
            facets = {f"{place}_facets": facets for place, facets in provided.items()}
            _put(event, _checked(facets, name), tuple(PLACES))
    except Exception as error:
        # Code of the user's may raise what it likes, and say in it what it likes.
        _mistake(name, fault.described(error))


def materialized(event: Event, metadata: Mapping[str, Any], key: AssetKey) -> Event:
    """Add what a materialization's metadata says of its run and its job.

    Args:
        event: made so far, changed in place.
        metadata: of the materialization.
        key: the asset that is made.

    Returns:
        The event.
    """
    added = additions(metadata)
    if added:
        _put(event, _checked(added, str(key)), ("run", "job"))
    return event


def dataset_facets(
    key: AssetKey, asset: AssetFacts | None, metadata: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Find the dataset facets that a user adds to an asset, on either side.

    Args:
        key: the asset's key.
        asset: its definition, where it is known.
        metadata: of the event, where it tells of this asset.

    Returns:
        The facets by name.
    """
    found: dict[str, Any] = {}
    if asset is not None and asset.additions:
        found.update(_of_definition(asset).get("dataset", {}))
    if metadata and (added := additions(metadata)):
        found.update(_checked(added, str(key)).get("dataset", {}))
    return found


def with_datasets(
    lineage: Lineage,
    source: Source,
    key: AssetKey,
    metadata: Mapping[str, Any],
    named: Callable[[AssetKey], InputDataset],
) -> Lineage:
    """Add the datasets, and the facets of both sides, that a user names for an asset.

    Args:
        lineage: found so far.
        source: the Dagster event and its facts.
        key: the asset that is made.
        metadata: of the materialization; empty before there is one.
        named: makes an asset an input.

    Returns:
        The lineage with what the definition and the materialization name.
    """
    asset = source.facts.assets.get(key)
    inputs, outputs = list(lineage.inputs), list(lineage.outputs)
    made = additions(metadata)
    for added, found in (
        (asset.additions, _of_definition(asset)) if asset is not None else ({}, {}),
        (made, _checked(made, str(key))),
    ):
        inputs += (_as_input(dataset, named) for dataset in _datasets(added, "inputs", key))
        for dataset in _datasets(added, "outputs", key):
            as_input = _as_input(dataset, named)
            outputs.append(
                OutputDataset(
                    namespace=as_input.namespace, name=as_input.name, facets=as_input.facets
                )
            )
        facets = found.get("output")
        if facets:
            own = outputs[0]
            own.outputFacets = {**(own.outputFacets or {}), **facets}
    return Lineage(_once(inputs), _once(outputs))


def _as_input(
    dataset: AssetKey | InputDataset, named: Callable[[AssetKey], InputDataset]
) -> InputDataset:
    return named(dataset) if isinstance(dataset, AssetKey) else dataset


def _once(datasets: list[_Dataset]) -> tuple[_Dataset, ...]:
    """Keep the first of each name: a dataset that is named twice is one."""
    by_name: dict[tuple[str, str], _Dataset] = {}
    for dataset in datasets:
        by_name.setdefault((dataset.namespace, dataset.name), dataset)
    return tuple(by_name.values())


def _datasets(
    added: Mapping[str, object], side: str, key: AssetKey
) -> Iterator[AssetKey | InputDataset]:
    given = added.get(side, [])
    if not isinstance(given, list):
        _mistake(f"openlineage/{side} of {key}", "expected a list")
        return
    for item in given:
        asset = named_asset(item)
        if asset is not None:
            yield asset
        elif isinstance(item, dict) and all(
            isinstance(item.get(part), str) and item[part] for part in ("namespace", "name")
        ):
            checked = _checked({"dataset_facets": item.get("facets", {})}, f"{side} of {key}")
            yield InputDataset(
                namespace=safe_dataset_namespace(_public(item["namespace"])),
                name=safe_name(_public(item["name"])),
                facets=checked.get("dataset", {}),
            )
        else:
            _mistake(
                f"openlineage/{side} of {key}", 'expected an asset key, or {"namespace", "name"}'
            )


def _public(text: str) -> str:
    return without_secrets(without_user(text))


def _made_checked(asset: AssetFacts) -> Mapping[str, Mapping[str, Any]]:
    return _checked(asset.additions, str(asset.key))


_of_definition = PerObject(_made_checked)


def _checked(added: Mapping[str, object], about: str) -> dict[str, dict[str, Any]]:
    """Sort out the facets of additions: by place and name, those that can be sent."""
    found: dict[str, dict[str, Any]] = {}
    for key, facets in added.items():
        place = FACET_KEYS.get(key)
        if place is None:
            if key not in KNOWN_KEYS:
                _mistake(about, f"{key!r} is none of {', '.join(sorted(KNOWN_KEYS))}")
        elif not isinstance(facets, Mapping):
            _mistake(about, f"{key}: expected facets by name")
        else:
            found[place] = dict(_facets(facets, place, about))
    return found


def _facets(
    facets: Mapping[Any, Any], place: str, about: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, facet in sorted(facets.items(), key=lambda item: str(item[0])):
        if not isinstance(name, str) or not name or (place in ("run", "job") and name in RESERVED):
            _mistake(about, f"a {place} facet cannot be named {name!r}")
            continue
        try:
            given = Serde.to_dict(facet) if isinstance(facet, BaseFacet) else facet
            plain = _plain(json.loads(json.dumps(given)), f"{place} facet {name}", about)
            plain.setdefault("_producer", PRODUCER)
            plain.setdefault("_schemaURL", _SCHEMA + PLACES[place])
            _check_standing_fields(plain)
        except (TypeError, ValueError, AttributeError) as error:
            _mistake(about, f"{place} facet {name}: {error}")
            continue
        yield name, plain


def _plain(value: Any, path: str, about: str) -> Any:
    """Leave out the numbers that JSON does not have, and make texts fit for every backend."""
    if isinstance(value, dict):
        return {
            limited(key): _plain(inner, f"{path}.{key}", about)
            for key, inner in value.items()
            if not _is_no_number(inner, f"{path}.{key}", about)
        }
    if isinstance(value, list):
        # Not left out of a list, where each has its place.
        return [
            None
            if _is_no_number(inner, f"{path}[{place}]", about)
            else _plain(inner, f"{path}[{place}]", about)
            for place, inner in enumerate(value)
        ]
    return limited(value) if isinstance(value, str) else value


def _is_no_number(value: object, path: str, about: str) -> bool:
    is_none = isinstance(value, float) and not math.isfinite(value)
    if is_none:
        _mistake(about, f"{path} is {value!r}, which JSON does not have")
    return is_none


def _check_standing_fields(facet: Mapping[str, Any]) -> None:
    """Check what every facet has, by the schema of BaseFacet."""
    for field in ("_producer", "_schemaURL"):
        value = facet[field]
        if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
            # Not its value: a secret may be in it.
            msg = f"{field} is no address"
            raise ValueError(msg)
    if not isinstance(facet.get("_deleted", False), bool):
        msg = "_deleted is neither true nor false"
        raise TypeError(msg)


def _put(event: Event, found: Facets, places: tuple[str, ...]) -> None:
    """Put facets into an event, beside its own."""
    holders: dict[str, list[tuple[Any, str]]] = {place: [] for place in PLACES}
    if isinstance(event, DatasetEvent):
        holders["dataset"] = [(event.dataset, "facets")]
    else:
        holders["run"] = [(event.run, "facets")]
        holders["job"] = [(event.job, "facets")]
        holders["dataset"] = [(dataset, "facets") for dataset in event.outputs or ()]
        holders["input"] = [(dataset, "inputFacets") for dataset in event.inputs or ()]
        holders["output"] = [(dataset, "outputFacets") for dataset in event.outputs or ()]
    for place in places:
        for holder, attribute in holders[place]:
            # Not in place: the facets may be those of other events too.
            setattr(
                holder, attribute, {**(getattr(holder, attribute) or {}), **found.get(place, {})}
            )


def _mistake(about: str, what: str) -> None:
    mistakes[about] += 1
    if mistakes[about] == 1:
        logger.error(
            "OpenLineage: %s: %s. It is left out; no impact on your run. Further mistakes there "
            "are only counted.",
            about,
            what,
        )
