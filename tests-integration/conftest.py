"""The plugins of the workspace's tests, and the example project."""

import sys
from pathlib import Path

import pytest

pytest_plugins = [
    "usual_signals",
    "migration_scripts",
    "every_event_is_valid",
    "receiver",
    "bare_storages",
    "delivery",
    "accounts",
    "command_line",
    "kafka_server",
    "data_rentgen_server",
    "marquez",
    "atlas_server",
]

# The soak is run as a module, and its parts are tested.
sys.path[:0] = [str(Path(__file__).parents[1] / "docs" / "examples"), str(Path(__file__).parent)]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full-matrix",
        action="store_true",
        help="every mechanism, driver, storage and backend with every other",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "one_driver_each(parameter): each value of it with one driver in turn; `--full-matrix` for "
        "every value with every driver",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("full_matrix"):
        return
    # A later import: pytest rewrites the assertions of the plugins above, which it imports.
    from drivers import DRIVERS

    left_out = []
    values: dict[tuple[object, str], list[object]] = {}
    for item in items:
        mark = item.get_closest_marker("one_driver_each")
        if mark is not None:
            [name], params = mark.args, item.callspec.params  # type: ignore[attr-defined]
            seen = values.setdefault((item.function, name), [])  # type: ignore[attr-defined]
            if params[name] not in seen:
                seen.append(params[name])
            if DRIVERS.index(params["driver"]) != seen.index(params[name]) % len(DRIVERS):
                left_out.append(item)
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
