"""Reads assets and jobs from their definitions."""

import inspect
import logging
import re
import textwrap
import tokenize
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph, AssetNode

from openlineage_dagster_core.facts.metadata import (
    OWN_QUERY,
    STORAGE_KIND,
    additions,
    named_assets,
    place,
    source_code,
    table_schema,
    text_of,
    value_of,
)
from openlineage_dagster_core.facts.model import AssetFacts, CheckFacts, JobFacts, StepFacts
from openlineage_dagster_core.facts.partitions import Partitions, UpstreamPartitions
from openlineage_dagster_core.names import limited
from openlineage_dagster_core.redaction import without_secrets

JINJA = re.compile(r"\{[{%#]")
STUB = "dagster/auto_created_stub_asset"  # Metadata of what Dagster adds for a mere dependency
TYPE_SCHEMA = "schema"  # Metadata of a type, as dagster-pandera writes it
DBT_MANIFEST = "dagster_dbt/manifest"
DBT_UNIQUE_ID = "dagster_dbt/unique_id"

logger = logging.getLogger(__name__)


class DefinedAssets(Mapping[dg.AssetKey, AssetFacts]):
    """The assets of an asset graph, each read when it is asked for.

    The graph is `repository_def.asset_graph` in a sensor, or that of an executing job.
    `source_code_bytes` limits what is read of the function that makes an asset; 0 reads none.
    """

    def __init__(self, graph: AssetGraph, source_code_bytes: int = 0) -> None:
        self._graph = graph
        self._source_code_bytes = source_code_bytes
        self._read: dict[dg.AssetKey, AssetFacts] = {}

    def __getitem__(self, key: dg.AssetKey) -> AssetFacts:
        if key not in self._read:
            if not self._graph.has(key):
                raise KeyError(key)
            self._read[key] = self._facts(self._graph.get(key))
        return self._read[key]

    def _facts(self, node: AssetNode) -> AssetFacts:
        known = AssetFacts(
            key=node.key,
            upstream=tuple(sorted(node.parent_keys)),
            partitions=Partitions(None) if node.is_partitioned else None,
            is_materializable=node.is_materializable,
            is_external=node.is_external,
            is_stub=bool(node.metadata.get(STUB)),
        )
        try:
            facts = _asset_facts(self._graph, node, known)
            text = _source_text(node, self._source_code_bytes) if self._source_code_bytes else None
            return replace(facts, source_text=text) if text else facts
        except Exception:
            # A fault in one definition must not affect the run, nor what reads the asset.
            logger.exception(
                "OpenLineage: the definition of %s cannot be read; only its dependencies are sent",
                node.key,
            )
            return known

    def __iter__(self) -> Iterator[dg.AssetKey]:
        return iter(sorted(self._graph.get_all_asset_keys()))

    def __len__(self) -> int:
        return len(self._graph.get_all_asset_keys())


def _asset_facts(graph: AssetGraph, node: AssetNode, known: AssetFacts) -> AssetFacts:
    metadata = node.metadata
    physical = place(metadata)
    return replace(
        known,
        group=None if known.is_stub else node.group_name,  # A stub has the default one
        description=node.description or None,
        owners=tuple(node.owners),
        tags=dict(node.tags),
        columns=table_schema(metadata) or _type_columns(node),
        partitions=Partitions(node.partitions_def) if node.is_partitioned else None,
        upstream_partitions=_upstream_partitions(graph, node),
        checks={
            check.name: _check_facts(graph, graph.get_check_spec(check))
            for check in sorted(node.check_keys, key=lambda check: check.name)
        },
        physical=replace(
            physical,
            storage_kind=physical.storage_kind or node.tags.get(STORAGE_KIND) or None,
            # Only an I/O manager's path is where the data is; a definition's may be any path.
            path=None,
        ),
        code_version=node.code_version,
        source_code=source_code(metadata),
        sql=text_of(metadata, OWN_QUERY) or _dbt_query(metadata),
        additions=additions(metadata),
    )


def _source_text(node: AssetNode, longest: int) -> str | None:
    """Return the function that makes an asset; other processes may not have its file."""
    definition = getattr(node, "assets_def", None)
    if definition is None or not definition.is_executable or not node.is_materializable:
        return None
    made_by = definition.node_def
    function = getattr(made_by, "composition_fn", None) or getattr(made_by, "compute_fn", None)
    function = getattr(function, "decorated_fn", function)
    return _text_of_function(function, longest) if inspect.isfunction(function) else None


@lru_cache(maxsize=1024)
def _text_of_function(function: Callable[..., object], longest: int) -> str | None:
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, SyntaxError, TypeError, tokenize.TokenError):
        # The function was made at runtime, or its file has changed since.
        return None
    # Secrets first: a secret that was cut in two is not recognised.
    return limited(without_secrets(limited(text)), longest)


def _check_facts(graph: AssetGraph, spec: dg.AssetCheckSpec) -> CheckFacts:
    metadata = spec.metadata or {}
    of_asset = graph.get(spec.asset_key).metadata if graph.has(spec.asset_key) else {}
    test = _dbt_node(of_asset, text_of(metadata, DBT_UNIQUE_ID))
    generic = test.get("test_metadata")
    generic = generic if isinstance(generic, Mapping) else {}
    arguments = generic.get("kwargs")
    kind, package = text_of(generic, "name") or "", text_of(generic, "namespace") or "source"
    # dbt makes a test's name from these; a name that the user chose says more.
    is_made_by_dbt = spec.name.startswith((f"{kind}_", f"{package}_{kind}_", f"source_{kind}_"))
    return CheckFacts(
        reads=tuple(sorted(dep.asset_key for dep in spec.additional_deps or ())),
        description=spec.description or text_of(test, "description"),
        kind=kind if kind and is_made_by_dbt else None,
        column=text_of(arguments if isinstance(arguments, Mapping) else {}, "column_name"),
        source_code=source_code(metadata),
    )


def _upstream_partitions(
    graph: AssetGraph, node: AssetNode
) -> dict[dg.AssetKey, UpstreamPartitions]:
    found = {}
    for parent in sorted(node.parent_keys):
        if not graph.has(parent) or not graph.get(parent).is_partitioned:
            continue
        mapping = graph.get_partition_mapping(node.key, parent)
        # Not every process has the code of a user's own mapping, and all must agree.
        if type(mapping).__module__.startswith("dagster."):
            upstream = Partitions(graph.get(parent).partitions_def)
            found[parent] = UpstreamPartitions(mapping, upstream)
    return found


def _dbt_node(metadata: Mapping[str, Any], unique_id: str | None) -> Mapping[str, Any]:
    """Return a model or a test from the manifest that dagster-dbt keeps with each asset."""
    manifest = getattr(value_of(metadata, DBT_MANIFEST), "manifest", None)
    nodes = manifest.get("nodes") if isinstance(manifest, Mapping) else None
    node = nodes.get(unique_id) if isinstance(nodes, Mapping) else None
    return node if isinstance(node, Mapping) else {}


def _dbt_query(metadata: Mapping[str, Any]) -> str | None:
    node = _dbt_node(metadata, text_of(metadata, DBT_UNIQUE_ID))
    if node.get("language", "sql") != "sql":
        return None
    query = text_of(node, "compiled_code") or text_of(node, "raw_code")
    # A query that dbt has not compiled is Jinja, not SQL.
    return None if query is None or JINJA.search(query) else query


def _type_columns(node: AssetNode) -> dg.TableSchema | None:
    """Return the schema of the type of an asset's output, such as a dagster-pandera type."""
    definition = getattr(node, "assets_def", None)
    if definition is None or not definition.is_executable:
        return None
    output = definition.get_output_name_for_asset_key(node.key)
    metadata = definition.node_def.output_def_named(output).dagster_type.metadata
    schema = getattr(metadata.get(TYPE_SCHEMA), "schema", None)
    return schema if isinstance(schema, dg.TableSchema) else None


class DefinedJobs(Mapping[str, JobFacts]):
    """The jobs of a repository, each read when it is asked for."""

    def __init__(self, repository: dg.RepositoryDefinition) -> None:
        self._repository = repository
        self._read: dict[str, JobFacts | None] = {}

    def __getitem__(self, name: str) -> JobFacts:
        if name not in self._read:
            self._read[name] = self._find(name)
        facts = self._read[name]
        if facts is None:
            raise KeyError(name)
        return facts

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._repository.job_names))

    def __len__(self) -> int:
        return len(self._repository.job_names)

    def _find(self, name: str) -> JobFacts | None:
        if not self._repository.has_job(name):
            return None
        try:
            return job_facts(self._repository.get_job(name))
        except Exception as error:
            # Dagster resolves an asset job only now, and the user's mistakes show.
            logger.debug("OpenLineage: job %s cannot be read: %s", name, type(error).__name__)
            return None


def job_facts(job: dg.JobDefinition) -> JobFacts:
    """Return what the definition of a job says."""
    return JobFacts(
        description=job.description or None,
        owners=tuple(getattr(job, "owners", None) or ()),
        tags=dict(job.tags),
        partitions=Partitions(job.partitions_def) if job.partitions_def is not None else None,
        source_code=source_code(job.metadata),
        steps=dict(_steps(job.graph)),
    )


def _steps(graph: dg.GraphDefinition, prefix: str = "") -> Iterator[tuple[str, StepFacts]]:
    for node in sorted(graph.nodes, key=lambda node: node.name):
        if isinstance(node.definition, dg.GraphDefinition):
            yield from _steps(node.definition, f"{prefix}{node.name}.")
        elif node.definition.description or node.tags:
            # Integrations keep objects in tags, too.
            tags = {key: value for key, value in node.tags.items() if isinstance(value, str)}
            yield f"{prefix}{node.name}", StepFacts(node.definition.description or None, tags)


def with_upstream(
    assets: Mapping[dg.AssetKey, AssetFacts], keys: Collection[dg.AssetKey]
) -> dict[dg.AssetKey, AssetFacts]:
    """Return the known ones of these assets and of those they, their checks or users name."""
    chosen = {key: assets[key] for key in sorted(keys) if key in assets}
    upstream = {key for asset in chosen.values() for key in upstream_of(asset)} - chosen.keys()
    return chosen | {key: assets[key] for key in sorted(upstream) if key in assets}


def upstream_of(asset: AssetFacts) -> set[dg.AssetKey]:
    """Return what an asset or its checks read, and what its user names in its metadata."""
    found = {*asset.upstream, *named_assets(asset.additions)}
    found.update(key for check in asset.checks.values() for key in check.reads)
    return found
