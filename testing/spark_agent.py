"""OpenLineage's agent for Spark: the jar, from Maven Central, and its properties."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import maven

VERSION = "1.53.0"
ARTIFACT = f"io.openlineage:openlineage-spark_2.12:{VERSION}"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
NO_SPARK = (
    "there is no Spark: install Java 17 and Maven (apt-get install default-jre-headless maven)"
)


def jar() -> Path:
    """Find the agent's jar, which Maven fetches once; skip the test where that cannot be done.

    Returns:
        Its path.
    """
    import platformdirs

    if shutil.which("java") is None:
        pytest.skip(NO_SPARK)
    cache = os.environ.get("KAFKA_CACHE") or platformdirs.user_cache_dir(
        "openlineage-dagster-tests"
    )
    found = Path(cache).absolute() / f"openlineage-spark_2.12-{VERSION}.jar"
    found.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{found}.lock"):
        if not found.exists():
            _fetch(found)
    return found


def _fetch(found: Path) -> None:
    with tempfile.TemporaryDirectory(dir=found.parent) as folder:
        arguments = [COPY, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={folder}"]
        maven.run(arguments, Path(folder), NO_SPARK)
        Path(folder, found.name).rename(found)


def properties(
    transport: Mapping[str, Any], namespace: str, more_jars: Iterable[Path] = ()
) -> dict[str, str]:
    """Make the Spark properties that let the agent send where openlineage-python does.

    Args:
        transport: of openlineage-python: of type file, http or kafka.
        namespace: of Spark's jobs.
        more_jars: in addition to the agent's, which holds no client of Kafka.

    Returns:
        The properties.
    """
    given = {
        "file": lambda: {"location": transport["log_file_path"]},
        "http": lambda: {"url": transport["url"]},
        "kafka": lambda: {
            "topicName": transport["topic"],
            **{f"properties.{name}": value for name, value in transport["config"].items()},
            **{
                f"properties.{side}.serializer": (
                    "org.apache.kafka.common.serialization.StringSerializer"
                )
                for side in ("key", "value")
            },
        },
    }[transport["type"]]()
    return {
        "spark.jars": ",".join(map(str, [jar(), *more_jars])),
        "spark.extraListeners": "io.openlineage.spark.agent.OpenLineageSparkListener",
        "spark.openlineage.namespace": namespace,
        "spark.openlineage.transport.type": transport["type"],
        **{f"spark.openlineage.transport.{name}": value for name, value in given.items()},
    }
