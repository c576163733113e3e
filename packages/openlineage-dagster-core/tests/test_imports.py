"""No module imports another one that imports it, not even within a function."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGES = Path(__file__).parents[2]


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[parts.index("src") + 1 :]).removesuffix(".__init__")


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield all that is imported for more than type checking: modules, and names in them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from (f"{node.module}.{each.name}" for each in node.names)
        else:
            yield from imports(node)


def test_the_modules_of_all_packages_import_each_other_in_one_direction() -> None:
    files = {module_of(path): path for path in PACKAGES.glob("*/src/**/*.py")}
    assert len(files) > 100
    graph = {
        module: {
            name if name in files else name.rpartition(".")[0]
            for name in imports(ast.parse(path.read_text()))
        }
        for module, path in files.items()
    }
    assert graph["openlineage_dagster_core.engine"] & files.keys()
    # It raises CycleError, which names the modules of a circle.
    TopologicalSorter(graph).prepare()
