"""The plugins of the workspace's tests, and the example project."""

import sys
from pathlib import Path

import pytest

pytest_plugins = [
    "usual_signals",
    "every_event_is_valid",
    "receiver",
    "bare_storages",
    "delivery",
    "accounts",
    "kafka_server",
    "data_rentgen_server",
    "marquez",
]

# The soak is run as a module, and its parts are tested.
sys.path[:0] = [str(Path(__file__).parents[1] / "docs" / "examples"), str(Path(__file__).parent)]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full-matrix",
        action="store_true",
        help="test_end_to_end.py: every mechanism, storage and backend with every other",
    )
