"""The plugins of the workspace's tests, and the example project."""

import sys
from pathlib import Path

import pytest

pytest_plugins = [
    "every_event_is_valid",
    "receiver",
    "bare_storages",
    "dispose_waits",
    "kafka_server",
    "data_rentgen_server",
    "marquez",
]

# The soak is run as a module, and its parts are tested.
sys.path[:0] = [str(Path(__file__).parents[1] / "docs" / "examples"), str(Path(__file__).parent)]


SERVERS = frozenset(
    f"test_{name}.py"
    for name in ("data_rentgen", "doctor", "end_to_end", "kafka", "marquez", "marquez_command_line")
)
"""The files whose servers take long to start, or may be there once only."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave a file's tests together where several processes run them."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            name = item.path.name
            item.add_marker(pytest.mark.xdist_group("servers" if name in SERVERS else name))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full-matrix",
        action="store_true",
        help="test_end_to_end.py: every mechanism, storage and backend with every other",
    )
