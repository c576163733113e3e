"""The options of the configurations in `docs/backends` are arguments of the sensor, too."""

import re
from pathlib import Path

import pytest
import yaml

from openlineage_dagster_core.settings import SENSOR_SETTINGS
from openlineage_dagster_sensor import openlineage_sensor

PAGES = sorted((Path(__file__).parents[3] / "docs" / "backends").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_options_of_a_page_make_a_sensor(page: Path) -> None:
    for block in re.findall(r"(?ms)^```yaml\n(.*?)^```", page.read_text(encoding="utf-8")):
        content = yaml.safe_load(block)
        if "storage" in content:
            options = content["storage"]["custom"]["config"]
            del options["wrapped"]
            sensor = openlineage_sensor(**options)
            assert getattr(sensor, SENSOR_SETTINGS).backend == options.get("backend")
