import pytest

from openlineage_dagster_core.backends import PRESETS, Backend
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.families import Family
from openlineage_dagster_core.options import setting
from openlineage_dagster_core.settings import (
    Settings,
    check_url,
    is_disabled,
)


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = Settings.from_options({}, {})
    assert settings.namespace == "dagster"
    assert settings.namespace_template.text == "{namespace}"
    assert settings.timeout == 5.0


def test_the_option_wins_over_the_environment() -> None:
    environ = {"OPENLINEAGE_NAMESPACE": "from-env"}
    assert Settings.from_options({}, environ).namespace == "from-env"
    assert Settings.from_options({"namespace": "given"}, environ).namespace == "given"


def test_an_option_that_is_none_is_not_given() -> None:
    assert Settings.from_options({"namespace": None, "timeout": None}, {}) == Settings()


@pytest.mark.parametrize("backend", Backend)
def test_each_preset_has_right_values(backend: Backend) -> None:
    settings = Settings.from_options({"backend": backend.value}, {})
    assert settings.backend is backend
    for option, value in PRESETS[backend].items():
        assert getattr(settings, option) == setting(option, {option: value}) != setting(option, {})


def test_an_option_that_is_given_wins_over_the_preset() -> None:
    given = {"backend": "datahub", "families": ["step"], "asset_job_name": None}
    settings = Settings.from_options(given, {"OPENLINEAGE_NAMESPACE": "of-env"})
    assert settings.families == {Family.STEP}
    assert settings.asset_job_name == "{group}.{key}"
    assert settings.namespace == "of-env"


def test_jobs_follow_the_template_of_datasets_unless_told_otherwise() -> None:
    template = "{namespace}/{tag:tenant}"
    both = Settings.from_options({"namespace_template": template}, {})
    assert both.job_namespace.text == template
    apart = Settings.from_options({"namespace_template": template, "job_namespace": "jobs"}, {})
    assert apart.job_namespace.text == "jobs"


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("namespace", "", "not empty"),
        ("namespace", 7, "not empty"),
        ("namespace_template", "{tenant}", "{tag:KEY}"),
        ("job_namespace", "{tenant}", "{tag:KEY}"),
        ("observation_events", "event", "'dataset', 'run'"),
        ("dataset_identity", "table", "'asset', 'physical'"),
        ("dataset_namespaces", "snowflake", "mapping"),
        ("backend", "egeria", "'datahub'"),
        ("dataset_key_separator", "-", "'/', '.'"),
        ("run_ids", "random", "'dagster', 'sortable'"),
        ("asset_job_name", "{key", "{key} once"),
        ("asset_job_name", "{group}", "{key} once"),
        ("asset_job_name", "{key}.{key}", "{key} once"),
        ("asset_job_name", "{group}_{key}", "a character between them"),
        ("asset_job_name", "asset_{key}", "a character between them"),
        ("asset_job_name", "{job}.{key}", "{key} once"),
        ("asset_run_parent", "run", "'none', 'step'"),
        ("dagster_url", "localhost:3000", "http"),
        ("execution_parameters", "ops", "list"),
        ("facet_providers", ["module.function"], "package.module:function"),
        ("source_code_bytes", -1, ">= 0"),
        ("max_event_bytes", 1, ">= 10000"),
        ("strict_assertion_mapping", "no", "true or false"),
        ("dataset_symlinks", [True], "true or false"),
        ("families", ["assets"], "'asset'"),
        ("disabled_facets", ["jobType"], "any facet but jobType"),
        ("timeout", 0, "> 0"),
        ("timeout", -1, "> 0"),
        ("timeout", "5", "> 0"),
        ("timeout", True, "> 0"),
        ("timeout", float("nan"), "> 0"),
        ("timeout", float("inf"), "> 0"),
    ],
)
def test_a_wrong_value_names_option_value_and_what_is_allowed(
    option: str, value: object, allowed: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Settings.from_options({option: value}, {})
    assert repr(option) in str(raised.value)
    assert repr(value).strip("[]") in str(raised.value)
    assert allowed in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:5000",
        "marquez",
        "http://",
        "ftp://host",
        "http://host:port",
        "http://[::1",
        "https://:80",
    ],
)
def test_a_malformed_url_fails_when_it_is_read(url: str) -> None:
    with pytest.raises(ConfigurationError, match="OPENLINEAGE_URL"):
        Settings.from_options({}, {"OPENLINEAGE_URL": url})


@pytest.mark.parametrize(
    "url", ["http://localhost:5000", "https://lineage.example.org/base", " http://[::1]:5000 "]
)
def test_a_good_url_passes(url: str) -> None:
    check_url({"OPENLINEAGE_URL": url})


@pytest.mark.parametrize("url", ["ftp://me:s3cret@host", "https://me:s3cret", "me:s3cret@host"])
def test_an_error_never_shows_the_password_in_a_url(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_url({"OPENLINEAGE_URL": url})
    assert "s3cret" not in str(raised.value)


def test_tags_resolve_only_where_asked_for() -> None:
    assert Settings.from_options({"resolve_run_tags": False}, {}).resolve_run_tags is False
    assert Settings.from_options({}, {}).resolve_run_tags is True


@pytest.mark.parametrize(("value", "expected"), [("true", True), (" TRUE ", True), ("no", False)])
def test_openlineage_disabled_is_read_as_the_client_reads_it(value: str, expected: bool) -> None:
    assert is_disabled({"OPENLINEAGE_DISABLED": value}) is expected
