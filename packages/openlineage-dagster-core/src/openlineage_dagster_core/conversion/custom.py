"""What users add to events: by metadata `openlineage/…`, and by functions of their own.

A mistake in either never costs the event: what is wrong is left out, and logged once.
"""

import importlib
import json
import logging
import math
import re
from asyncio import CancelledError
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast

from dagster import AssetKey, EventLogEntry
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import BaseFacet
from openlineage.client.serde import Serde

from openlineage_dagster_core import fault
from openlineage_dagster_core.caches import PerObject
from openlineage_dagster_core.conversion.envelope import Event, Lineage, Source
from openlineage_dagster_core.conversion.official import make_official, official_facets
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.facets.storage import data_source_facet
from openlineage_dagster_core.facts.metadata import additions, named_asset
from openlineage_dagster_core.facts.model import AssetFacts, RunFacts
from openlineage_dagster_core.names import limited, safe_dataset_namespace, safe_name
from openlineage_dagster_core.redaction import public_text
from openlineage_dagster_core.serialisation import facet_holders
from openlineage_dagster_core.version import PRODUCER

# Where a facet can be, and the schema that it has at least
PLACES = {
    "run": "RunFacet", "job": "JobFacet", "dataset": "DatasetFacet",
    "input": "InputDatasetFacet", "output": "OutputDatasetFacet",
}  # fmt: skip
# For each part of an event, which of its fields holds the facets of which place
_PLACES_OF = {
    "run": {"facets": "run"}, "job": {"facets": "job"}, "dataset": {"facets": "dataset"},
    "inputs": {"inputFacets": "input"}, "outputs": {"facets": "dataset", "outputFacets": "output"},
}  # fmt: skip
FACET_KEYS = {f"{place}_facets": place for place in PLACES}
# What may follow `openlineage/` in metadata
KNOWN_KEYS = frozenset(
    {"inputs", "outputs", "sql", "column_metrics", "size_bytes", "file_count", *FACET_KEYS}
)

# Facets of runs and jobs that conversion makes, or that the client adds to
RESERVED = frozenset({"jobType", "processing_engine", "dagster_run", "parent", "tags"})
_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"
# A URI with a scheme, of the characters that one may have
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-;=?-\[\]_a-z~]+")

logger = logging.getLogger(__name__)

mistakes: Counter[str] = Counter()  # How often each mistake was made, by what it is about


@dataclass(frozen=True)
class Subject:
    """What a function of the user's receives. It must not change the event."""

    event: Event  # The OpenLineage event so far
    entry: EventLogEntry  # The Dagster event that it is made from
    run: RunFacts
    asset_key: AssetKey | None  # None for runs and steps
    asset: AssetFacts | None  # The asset's definition, where it is known


# Facets to add, by place (`run`, `job`, `dataset`, `input`, `output`) and name
Facets = Mapping[str, Mapping[str, Any]]

_Dataset = TypeVar("_Dataset", InputDataset, OutputDataset)

Provider = Callable[[Subject], Facets | None]


def load_provider(name: str) -> Provider:
    """Import a user's function, named `package.module:function`, or raise ConfigurationError."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:
        allowed = f"a function that can be imported ({error!r})"
        raise ConfigurationError("facet_providers", name, allowed) from error
    if not callable(found):
        raise ConfigurationError("facet_providers", name, "a function")
    return cast("Provider", found)


@lru_cache(maxsize=64)
def _provider(name: str) -> Provider | None:
    try:
        return load_provider(name)
    except ConfigurationError as error:
        mistake(name, str(error))
        return None


def with_additions(
    event: Event, source: Source, key: AssetKey | None, metadata: Mapping[str, Any] | None = None
) -> Event:
    """Add what a materialization's metadata, an asset's definition and users' functions say."""
    if metadata and (added := additions(metadata)):
        _put(event, _checked(added, str(key)), ("run", "job"))
    asset = source.facts.assets.get(key) if key is not None else None
    if asset is not None and asset.additions:
        _put(event, _of_definition(asset), ("run", "job"))
    for name in source.identity.settings.facet_providers:
        provider = _provider(name)
        if provider is None:
            continue
        try:
            provided = provider(Subject(event, source.entry, source.facts.run, key, asset))
            if provided is not None:
                facets = {f"{place}_facets": facets for place, facets in provided.items()}
                _put(event, _checked(facets, name), tuple(PLACES))
        except (Exception, SystemExit, CancelledError) as error:
            # A user's function may raise anything, with any message.
            mistake(name, fault.described(error))
    return event


def dataset_facets(
    key: AssetKey, asset: AssetFacts | None, metadata: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the dataset facets, by name, that a user adds to an asset on either side."""
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

    They come from the asset's definition and the materialization's metadata, which is empty before
    there is one. `named` returns an asset as an input.
    """
    asset = source.facts.assets.get(key)
    inputs, outputs = list(lineage.inputs), list(lineage.outputs)
    made = additions(metadata)
    for added, found in (
        (asset.additions, _of_definition(asset)) if asset is not None else ({}, {}),
        (made, _checked(made, str(key))),
    ):
        inputs += _datasets(added, "inputs", key, named)
        outputs += (
            OutputDataset(namespace=dataset.namespace, name=dataset.name, facets=dataset.facets)
            for dataset in _datasets(added, "outputs", key, named)
        )
        if facets := found.get("output"):
            own = outputs[0]
            own.outputFacets = {**(own.outputFacets or {}), **facets}
    return Lineage(_once(inputs), _once(outputs))


def _once(datasets: list[_Dataset]) -> tuple[_Dataset, ...]:
    """Keep the first of each name: a dataset that is named twice is one."""
    by_name: dict[tuple[str, str], _Dataset] = {}
    for dataset in datasets:
        by_name.setdefault((dataset.namespace, dataset.name), dataset)
    return tuple(by_name.values())


def _datasets(
    added: Mapping[str, object], side: str, key: AssetKey, named: Callable[[AssetKey], InputDataset]
) -> Iterator[InputDataset]:
    given = added.get(side, [])
    if not isinstance(given, list):
        mistake(f"openlineage/{side} of {key}", "expected a list")
        return
    for item in given:
        asset = named_asset(item)
        if asset is not None:
            yield named(asset)
        elif isinstance(item, dict) and all(
            isinstance(item.get(part), str) and item[part] for part in ("namespace", "name")
        ):
            checked = _checked({"dataset_facets": item.get("facets", {})}, f"{side} of {key}")
            namespace = safe_dataset_namespace(public_text(item["namespace"]))
            facets = {"dataSource": data_source_facet(namespace), **checked.get("dataset", {})}
            yield InputDataset(namespace, safe_name(public_text(item["name"])), facets=facets)
        else:
            expected = 'expected an asset key, or {"namespace", "name"}'
            mistake(f"openlineage/{side} of {key}", expected)


@PerObject
def _of_definition(asset: AssetFacts) -> Mapping[str, Mapping[str, Any]]:
    return _checked(asset.additions, str(asset.key))


def _checked(added: Mapping[str, object], about: str) -> dict[str, dict[str, Any]]:
    """Return the facets of additions that can be sent, by place and name."""
    found: dict[str, dict[str, Any]] = {}
    for key, facets in added.items():
        place = FACET_KEYS.get(key)
        if place is None:
            if key not in KNOWN_KEYS:
                mistake(about, f"{key!r} is not one of {', '.join(sorted(KNOWN_KEYS))}")
        elif not isinstance(facets, Mapping):
            mistake(about, f"{key}: expected facets by name")
        else:
            found[place] = dict(_facets(facets, place, about))
    return found


def _facets(
    facets: Mapping[Any, Any], place: str, about: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, facet in sorted(facets.items(), key=lambda item: str(item[0])):
        if not isinstance(name, str) or not name or (place in ("run", "job") and name in RESERVED):
            mistake(about, f"a {place} facet cannot be named {name!r}")
            continue
        try:
            given = Serde.to_dict(facet) if isinstance(facet, BaseFacet) else facet
            plain = _plain(json.loads(json.dumps(given)), f"{place} facet {name}", about)
            plain.setdefault("_producer", PRODUCER)
            plain.setdefault("_schemaURL", _SCHEMA + PLACES[place])
            _check_standing_fields(plain)
            if (official := official_facets(PLACES[place]).get(name)) is not None:
                make_official(plain, official)
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            mistake(about, f"{place} facet {name}: {error}")
            continue
        yield limited(name), plain


def _plain(value: Any, path: str, about: str) -> Any:
    """Leave out numbers that JSON does not have, and make texts fit for every backend."""
    if isinstance(value, float) and not math.isfinite(value):
        mistake(about, f"{path} is {value!r}, which JSON does not have")
        return None
    if isinstance(value, dict):
        plain = [
            (key, inner, _plain(inner, f"{path}.{key}", about)) for key, inner in value.items()
        ]
        return {limited(key): new for key, old, new in plain if new is not None or old is None}
    if isinstance(value, list):
        # A list keeps a None there, so that the others keep their places.
        return [_plain(inner, f"{path}[{place}]", about) for place, inner in enumerate(value)]
    return limited(value) if isinstance(value, str) else value


def _check_standing_fields(facet: Mapping[str, Any]) -> None:
    """Check the fields that every facet has by the schema of BaseFacet."""
    for field in ("_producer", "_schemaURL"):
        value = facet[field]
        if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
            # Not with its value, which may hold a secret.
            raise ValueError(f"{field} is no address")
    if not isinstance(facet.get("_deleted", False), bool):
        raise TypeError("_deleted is neither true nor false")


def _put(event: Event, found: Facets, places: tuple[str, ...]) -> None:
    """Add facets to those of an event."""
    for name, _, part in facet_holders(event):
        for attribute, place in _PLACES_OF[name].items():
            if place in places:
                # Not in place: other events may share the facets.
                facets = {**(getattr(part, attribute) or {}), **found.get(place, {})}
                setattr(part, attribute, facets)


def mistake(about: str, what: str) -> None:
    """Count a mistake of the user's, and log the first one about something."""
    mistakes[about] += 1
    if mistakes[about] == 1:
        after = "It is left out; no impact on your run. Further mistakes there are only counted."
        logger.error("OpenLineage: %s: %s. %s", about, what, after)
