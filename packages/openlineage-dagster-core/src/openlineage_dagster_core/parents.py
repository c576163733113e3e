"""Hands a step's OpenLineage identity on to what the step starts: processes, Spark, Pipes.

What a step starts, and sends events of its own, names its parent in them. That is the asset if the
step makes one asset (and one partition of it), else the step, with the run ids of the events that
the mechanism sends of them.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import dagster as dg

from openlineage_dagster_core import fault
from openlineage_dagster_core.facts.model import KnownRun
from openlineage_dagster_core.facts.outside import TAG_CONTEXT
from openlineage_dagster_core.options import SharedOptions, declared
from openlineage_dagster_core.settings import (
    ENV_CONTEXT,
    ENV_PARENT_ID,
    ENV_PREFIX,
    ENV_ROOT_PARENT_ID,
    Settings,
)
from openlineage_dagster_core.validation import reject_unknown

if TYPE_CHECKING:
    from dagster_pipes import PipesContextData, PipesParams
    from openlineage.client.generated.parent_run import ParentRunFacet
    from typing_extensions import Unpack

StepContext = dg.OpExecutionContext | dg.AssetExecutionContext | dg.AssetCheckExecutionContext

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepParents:
    """The runs that what a step starts names as its parents.

    Attributes:
        parent: the run of the asset if the step makes one, else that of the step; None where
            nothing of the step is sent, and where its identity is not known.
        step: the run of the step; of the Dagster run where `families` leaves steps out.
        root: the run in which it all began: the Dagster run, or one outside Dagster.
    """

    parent: KnownRun | None = None
    step: KnownRun | None = None
    root: KnownRun | None = None

    def context(self) -> dict[str, Any]:
        """Return what `OPENLINEAGE_CONTEXT` holds as JSON; empty without a parent."""
        if self.parent is None or self.root is None:
            return {}
        # Within the parent, where dbt-ol looks for the root.
        return {"parent": {**_as_json(self.parent), "root": _as_json(self.root)}}

    def environment(self, *, transport: bool = False) -> dict[str, str]:
        """Return environment variables for a process that the step starts.

        `OPENLINEAGE_CONTEXT` names the parent. `OPENLINEAGE_PARENT_ID`, for tools that know nothing
        else, names the step, because the text `namespace/job/run id` cannot hold an asset's `a/b`.
        It is empty where a namespace has a slash, and so is `OPENLINEAGE_ROOT_PARENT_ID`: the
        process must not inherit another parent.

        Args:
            transport: add this process's other variables `OPENLINEAGE…`, which say where events go,
                for a process that does not inherit them. They may hold an API key.
        """
        configured = {
            name: value
            for name, value in os.environ.items()
            if transport and name.startswith(ENV_PREFIX)
        }
        if self.parent is None:
            return configured
        return {
            **configured,
            ENV_CONTEXT: json.dumps(self.context()),
            ENV_PARENT_ID: _as_text(self.step),
            ENV_ROOT_PARENT_ID: _as_text(self.root),
        }

    @contextmanager
    def in_environment(self) -> Iterator[None]:
        """Set the variables of `environment` in this process, until the context ends.

        It is for what starts a process and takes no environment, such as dagster-dbt's `cli`. All
        threads of the process see the variables.
        """
        given = self.environment()
        before = {name: os.environ.get(name) for name in given}
        os.environ.update(given)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def spark_conf(self) -> dict[str, str]:
        """Return the Spark properties by which OpenLineage's Spark agent knows parent and root."""
        runs = (("parent", self.parent), ("rootParent", self.root))
        return {
            f"spark.openlineage.{prefix}{name}": value
            for prefix, run in runs
            if run is not None
            for name, value in (
                ("JobNamespace", run.namespace),
                ("JobName", run.name),
                ("RunId", run.run_id),
            )
        }

    def run_tags(self) -> dict[str, str]:
        """Return tags for a Dagster run that the step launches, also in another deployment."""
        return {TAG_CONTEXT: json.dumps(self.context())} if self.parent is not None else {}

    def parent_run_facet(self) -> ParentRunFacet | None:
        """Return the `parent` facet for events of the step's own; None without a parent."""
        # It loads openlineage-python's client.
        from openlineage_dagster_core.child import facet_of

        return facet_of(self.context()) if self.parent is not None else None


def _as_json(run: KnownRun) -> dict[str, dict[str, str]]:
    return {"run": {"runId": run.run_id}, "job": {"namespace": run.namespace, "name": run.name}}


def _as_text(run: KnownRun | None) -> str:
    if run is None or "/" in run.namespace + run.name:
        return ""
    return f"{run.namespace}/{run.name}/{run.run_id}"


def step_parents(
    context: StepContext | None = None, **options: Unpack[SharedOptions]
) -> StepParents:
    """Return what an executing step hands on; it never raises.

    Names and namespaces are those of Mechanism A's configuration in `dagster.yaml`, else those of
    the sensor in the step's code location. `options` are for a sensor in another code location.

    Args:
        context: of the op, asset or check that executes; by default that of the calling code.
        options: those of `openlineage_sensor`; Mechanism A's configuration wins over them.
    """
    # It loads openlineage-python's client.
    from openlineage_dagster_core.step_identity import runs_of_step

    try:
        found = runs_of_step(context or dg.OpExecutionContext.get(), options)
    except Exception as error:
        # Whatever a database raises, or a context that no run has.
        message = "OpenLineage: a step hands on no parent; no impact on your run: %s"
        logger.warning(message, fault.described(error))
        found = None
    return StepParents(*found) if found is not None else StepParents()


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options whose names and values are right; else raise ConfigurationError."""
    # Dagster resolves an EnvVar in declared fields only, and would fail the run with it.
    given = {
        name: value.get_value() if isinstance(value, dg.EnvVar) else value
        for name, value in options.items()
    }
    reject_unknown(given.keys(), declared(SharedOptions))
    Settings.from_options(given)
    return given


class OpenLineageResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Gives steps what they hand on to the processes that they start.

    Its arguments are those of `step_parents`; wrong ones raise ConfigurationError. An EnvVar is
    read when the definitions are loaded.
    """

    model_config: ClassVar = {"extra": "allow"}

    def __init__(self, **options: Unpack[SharedOptions]) -> None:
        super().__init__(**_checked(options))

    def step_parents(self, context: StepContext) -> StepParents:
        """Return what an executing step hands on; see the function `step_parents`."""
        return step_parents(context, **(self.model_extra or {}))


class OpenLineagePipesContextInjector(dg.PipesContextInjector):
    """Adds the step's identity to the Dagster Pipes context, as the extra `openlineage`.

    The process at the other end reads it with `openlineage_dagster_core.child.parent_run_facet`.

    Args:
        inner: hands the context over, such as PipesTempFileContextInjector.
        options: those of `step_parents`.
    """

    def __init__(self, inner: dg.PipesContextInjector, **options: Unpack[SharedOptions]) -> None:
        self._inner = inner
        self._options = _checked(options)

    @contextmanager
    def inject_context(self, context_data: PipesContextData) -> Iterator[PipesParams]:
        """Hand the context over with the identity of the step that executes."""
        extras = {**(context_data["extras"] or {}), **self._extras()}
        with self._inner.inject_context({**context_data, "extras": extras}) as params:
            yield params

    def no_messages_debug_text(self) -> str:
        """Return the text of the inner injector."""
        return self._inner.no_messages_debug_text()

    def _extras(self) -> Mapping[str, Any]:
        context = step_parents(**self._options).context()
        # It loads openlineage-python's client, which finding the identity needs anyway.
        from openlineage_dagster_core.child import PIPES_EXTRA

        return {PIPES_EXTRA: context} if context else {}
