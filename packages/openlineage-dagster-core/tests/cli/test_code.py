"""Definitions that are named with -m or -f."""

from pathlib import Path

import pytest

from openlineage_dagster_core.cli.code import CodeTarget, load
from openlineage_dagster_core.cli.terminal import CommandError

ONE = "import dagster as dg\n@dg.asset\ndef thing(): ...\ndefs = dg.Definitions(assets=[thing])\n"
TWO = ONE + "others = dg.Definitions()\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "definitions_in_a_file.py"


def test_from_a_file(file: Path) -> None:
    file.write_text(ONE)
    repository = load(CodeTarget(python_file=file))
    assert [key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()] == [
        "thing"
    ]


def test_from_a_module_in_a_directory(file: Path) -> None:
    file.write_text(ONE)
    target = CodeTarget(module_name=file.stem, working_directory=file.parent)
    assert len(load(target).asset_graph.get_all_asset_keys()) == 1


def test_of_several_one_is_chosen(file: Path) -> None:
    file.write_text(TWO)
    with pytest.raises(CommandError, match="more than one"):
        load(CodeTarget(python_file=file))
    assert not load(
        CodeTarget(python_file=file, attribute="others")
    ).asset_graph.get_all_asset_keys()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (CodeTarget(module_name="no_such_module"), "No module named 'no_such_module'"),
        (CodeTarget(python_file=Path("no_such_file.py")), "There is no file no_such_file.py"),
        (CodeTarget(module_name="a", python_file=Path("b.py")), "exclude each other"),
    ],
)
def test_what_cannot_be_loaded_is_said(target: CodeTarget, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        load(target)


def test_code_that_raises_is_said(file: Path) -> None:
    file.write_text("raise ValueError('in the project')\n")
    with pytest.raises(CommandError, match="in the project"):
        load(CodeTarget(python_file=file))
