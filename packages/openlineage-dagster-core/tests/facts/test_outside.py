import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlineage_dagster_core.facts.model import KnownRun, OutsideParent
from openlineage_dagster_core.facts.outside import parent_in_environment, parent_in_tags

ID = "0199a1b2-0000-7000-8000-00000000000a"
ROOT_ID = "0199a1b2-0000-7000-8000-00000000000b"
PARENT = KnownRun("airflow", "dag.task", ID)
ROOT = KnownRun("airflow", "dag", ROOT_ID)


def as_json(run: KnownRun) -> dict[str, object]:
    return {
        "run": {"runId": run.run_id},
        "job": {"namespace": run.namespace, "name": run.name},
    }


def test_the_environment_names_a_parent_and_a_root() -> None:
    environ = {
        "OPENLINEAGE_PARENT_ID": f"airflow/dag.task/{ID}",
        "OPENLINEAGE_ROOT_PARENT_ID": f"airflow/dag/{ROOT_ID}",
    }
    assert parent_in_environment(environ) == OutsideParent(PARENT, ROOT)


def test_without_a_root_there_is_none() -> None:
    environ = {"OPENLINEAGE_PARENT_ID": f"airflow/dag.task/{ID}"}
    assert parent_in_environment(environ) == OutsideParent(PARENT)
    assert parent_in_environment({}) is None
    assert parent_in_environment({"OPENLINEAGE_ROOT_PARENT_ID": f"airflow/dag/{ID}"}) is None


@pytest.mark.parametrize("text", ["dagster/raw/orders", "dagster/acme/job", "/a/b", "a//b"])
def test_slashes_that_may_be_the_namespaces_or_the_jobs_name_no_parent(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert parent_in_environment({"OPENLINEAGE_PARENT_ID": f"{text}/{ID}"}) is None
    assert "OPENLINEAGE_CONTEXT" in caplog.text


def test_an_address_as_the_namespace_may_have_slashes() -> None:
    environ = {"OPENLINEAGE_PARENT_ID": f"https://host/a/dag.task/{ID}"}
    parent = parent_in_environment(environ)
    assert parent is not None
    assert parent.parent == KnownRun("https://host/a", "dag.task", ID)


@pytest.mark.parametrize("is_within", [True, False])
def test_the_context_names_both_in_json(is_within: bool) -> None:
    parent, root = as_json(PARENT), as_json(ROOT)
    context = (
        {"parent": {**parent, "root": root}} if is_within else {"parent": parent, "root": root}
    )
    environ = {"OPENLINEAGE_CONTEXT": json.dumps(context), "OPENLINEAGE_PARENT_ID": "other"}
    assert parent_in_environment(environ) == OutsideParent(PARENT, ROOT)


def test_run_tags_name_them_too() -> None:
    tags = {"openlineage/parent_id": f"airflow/dag.task/{ID}"}
    assert parent_in_tags(tags) == OutsideParent(PARENT)
    assert parent_in_tags({"openlineage/context": json.dumps({"parent": as_json(PARENT)})}) == (
        OutsideParent(PARENT)
    )


@pytest.mark.parametrize("text", ["", "a/b", f"a/{ID}", f"//{ID}", "a/b/not-a-uuid", "{", "[]"])
def test_what_names_no_parent_is_none_and_said_once(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert parent_in_environment({"OPENLINEAGE_PARENT_ID": f"{text}x"}) is None
    assert len(caplog.records) <= 1


@given(st.text(), st.text(), st.text())
def test_no_text_breaks_it(context: str, parent: str, root: str) -> None:
    parent_in_tags(
        {
            "openlineage/context": context,
            "openlineage/parent_id": parent,
            "openlineage/root_parent_id": root,
        }
    )


@given(
    st.recursive(
        st.none() | st.text(max_size=3) | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["parent", "root", "run", "job", "runId", "namespace", "name"]),
                inner,
            )
        ),
    )
)
def test_no_json_breaks_it(context: object) -> None:
    parent_in_tags({"openlineage/context": json.dumps(context)})
