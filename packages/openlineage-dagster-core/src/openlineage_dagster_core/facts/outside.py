"""The run that started a Dagster run from outside Dagster, from run tags or the environment.

The names and formats are those of OpenLineage's other integrations (dbt, Spark, Airflow):
`OPENLINEAGE_PARENT_ID` and `OPENLINEAGE_ROOT_PARENT_ID` are `namespace/job/run id`, and
`OPENLINEAGE_CONTEXT` is JSON with the `parent` and `root` of a ParentRunFacet. Tags have precedence
over the environment. A value that is not well formed gives None and a warning. So does text with
further slashes, such as `dagster/raw/orders/run id`, because they may be the namespace's or the
job's; only where the namespace is an address are they the namespace's.
"""

import json
import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeVar
from uuid import UUID

from openlineage_dagster_core.facts.model import KnownRun, OutsideParent
from openlineage_dagster_core.settings import ENV_CONTEXT, ENV_PARENT_ID, ENV_ROOT_PARENT_ID

# Run tags
TAG_PARENT_ID = "openlineage/parent_id"
TAG_ROOT_PARENT_ID = "openlineage/root_parent_id"
TAG_CONTEXT = "openlineage/context"
_Found = TypeVar("_Found")

logger = logging.getLogger(__name__)


def parent_in_tags(tags: Mapping[str, str]) -> OutsideParent | None:
    """Return what started a run, from its tags."""
    return _parent(tags.get(TAG_CONTEXT), tags.get(TAG_PARENT_ID), tags.get(TAG_ROOT_PARENT_ID))


def parent_in_environment(environ: Mapping[str, str]) -> OutsideParent | None:
    """Return what started a process, from its environment."""
    names = (ENV_CONTEXT, ENV_PARENT_ID, ENV_ROOT_PARENT_ID)
    return _parent(*(environ.get(name) for name in names))


@lru_cache(maxsize=256)
def _parent(
    context: str | None, parent_id: str | None, root_parent_id: str | None
) -> OutsideParent | None:
    parent, root = _read(_in_context, context) or (None, None)
    parent, root = parent or _read(_in_id, parent_id), root or _read(_in_id, root_parent_id)
    return OutsideParent(parent, root) if parent is not None else None


def _read(read: Callable[[str], _Found], text: str | None) -> _Found | None:
    """Return what a text says; None without a text, or for one that is not well formed."""
    try:
        return read(text) if text else None
    except (ValueError, TypeError, LookupError, AttributeError):
        # Once for each text, because the result is cached.
        logger.warning(
            "OpenLineage: %.100r names no parent run, so the runs have none; expected "
            "namespace/job/UUID without further slashes, or JSON in %s or the tag %s",
            text,
            ENV_CONTEXT,
            TAG_CONTEXT,
        )
        return None


def _in_context(text: str) -> tuple[KnownRun, KnownRun | None]:
    context = json.loads(text)
    parent = context["parent"]
    root = context.get("root") or parent.get("root")
    return _in_json(parent), _in_json(root) if root else None


def _in_json(run: Mapping[str, Mapping[str, str]]) -> KnownRun:
    job = run["job"]
    return _checked(job["namespace"], job["name"], run["run"]["runId"])


def _in_id(text: str) -> KnownRun:
    namespace, name, run_id = text.strip().rsplit("/", 2)
    if "/" in namespace and "://" not in namespace:
        raise ValueError("either the namespace or the job's name has slashes")
    return _checked(namespace, name, run_id)


def _checked(namespace: object, name: object, run_id: object) -> KnownRun:
    if not (isinstance(namespace, str) and namespace and isinstance(name, str) and name):
        raise ValueError("a parent needs a namespace and a name")
    return KnownRun(namespace, name, str(UUID(str(run_id))))
