"""The dataset of an asset is that of DataHub's own plugin for Dagster, which runs in its own place.

What DataHub itself does is in `test_datahub_stand_in.py`.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest

import demo
from datahub_rules import dataset_urn
from openlineage_dagster_core.settings import Settings
from recorded_run import converted
from shop.definitions import defs

PYTHON = os.environ.get("DATAHUB_PYTHON")
NO_PLUGIN = (
    "there is no plugin of DataHub: nox -s 'backends(datahub)' brings it, or set DATAHUB_PYTHON to "
    "a Python with acryl-datahub-dagster-plugin"
)
PROGRAM = """
import json, sys
from types import SimpleNamespace
from datahub_dagster_plugin.client.dagster_generator import DagsterGenerator
generator = DagsterGenerator(None, SimpleNamespace(env="PROD"), None)
keys = json.load(sys.stdin)
json.dump([generator.dataset_urn_from_asset(key).urn() for key in keys], sys.stdout)
"""


@pytest.mark.skipif(not PYTHON, reason=NO_PLUGIN)
def test_the_datasets_of_assets_are_those_of_datahubs_plugin() -> None:
    assert PYTHON is not None
    options = {"backend": "datahub", "namespace": "dagster", "dataset_key_separator": "."}
    settings = Settings.from_options(options, {})
    events = converted(defs, "nightly", settings=settings, tags=demo.PARTITION)
    urns = {dataset_urn(each) for event in events for each in event["outputs"]}
    keys = [key.path for key in defs.resolve_asset_graph().materializable_asset_keys]
    process = subprocess.run(
        [PYTHON, "-c", PROGRAM], input=json.dumps(keys), capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert urns == set(json.loads(process.stdout))
