"""Takes the version from core and pins core to exactly it (an sdist carries both in PKG-INFO)."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

CORE = Path(__file__).parents[1] / "openlineage-dagster-core/src/openlineage_dagster_core"


class PinnedToCore(MetadataHookInterface):
    """Fills in the dynamic fields `version` and `dependencies`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Read the version in the one place that holds it.

        Args:
            metadata: the `[project]` table, changed in place.
        """
        _, version, _ = re.split(r'__version__ = "(.+)"', (CORE / "version.py").read_text())
        metadata["version"] = version
        metadata["dependencies"] = [f"openlineage-dagster-core=={version}"]
