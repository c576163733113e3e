"""What dbt says of models that failed; the messages have the lines that dbt 1.10 and 1.9 print."""

from dagster import AssetKey

from openlineage_dagster_core.facts.dbt_failures import skipped_or_failed
from openlineage_dagster_core.facts.model import ErrorFacts

COMMAND = """dagster_dbt.errors.DagsterDbtCliRuntimeError: The dbt CLI process with command

`dbt build --select fqn:*`

failed with exit code `1`.

Errors parsed from dbt logs:

3 of 8 ERROR creating sql view model main.stg_orders ....... [\x1b[31mERROR\x1b[0m in 0.29s]
"""

MODEL = """
\x1b[31mFailure in model stg_orders (models/stg_orders.sql)\x1b[0m

  Runtime Error in model stg_orders (models/stg_orders.sql)
  Binder Error: Referenced column "nope" not found
"""

TEST = """
\x1b[31mFailure in test unique_customers_id (models/schema.yml)\x1b[0m

  Got 1 result, configured to fail if != 0
"""

ORDERS, STG_ORDERS = AssetKey(["shop", "orders"]), AssetKey(["shop", "stg_orders"])


def test_a_broken_model_has_its_own_error_and_the_others_are_skipped() -> None:
    ends = skipped_or_failed(ErrorFacts(COMMAND + MODEL + TEST), [ORDERS, STG_ORDERS])

    failed, error = ends[STG_ORDERS]
    assert failed
    assert error.message.startswith("Failure in model stg_orders (models/stg_orders.sql)")
    assert error.message.endswith('Binder Error: Referenced column "nope" not found')
    assert "unique_customers_id" not in error.message
    assert ends[ORDERS] == (
        False,
        ErrorFacts("dbt skipped this asset after the failure of: stg_orders, unique_customers_id"),
    )


def test_an_earlier_dbt_names_the_kind_of_error_in_the_heading() -> None:
    model = "Database Error in model stg_orders (models/stg_orders.sql)\n  no such table\n"

    ends = skipped_or_failed(ErrorFacts(COMMAND + model), [ORDERS, STG_ORDERS])

    assert ends[STG_ORDERS] == (True, ErrorFacts(model.strip()))
    assert not ends[ORDERS][0]


def test_a_failing_test_skips_what_depends_on_what_it_tests() -> None:
    ends = skipped_or_failed(ErrorFacts(COMMAND + TEST), [ORDERS])

    assert [failed for failed, _ in ends.values()] == [False]


def test_a_model_of_another_name_may_be_any_asset() -> None:
    other = MODEL.replace("stg_orders", "renamed")

    assert skipped_or_failed(ErrorFacts(COMMAND + other), [ORDERS, STG_ORDERS]) == {}
    both = skipped_or_failed(ErrorFacts(COMMAND + other + MODEL), [ORDERS, STG_ORDERS])
    assert both.keys() == {STG_ORDERS}


def test_the_error_of_something_else_says_nothing_of_models() -> None:
    assert skipped_or_failed(ErrorFacts("ValueError: x\n" + MODEL), [STG_ORDERS]) == {}
    assert skipped_or_failed(ErrorFacts(COMMAND), [STG_ORDERS]) == {}
