"""A real Kafka for tests: that of `KAFKA_BOOTSTRAP_SERVERS`, or a broker that is started here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

import maven
from server_process import ServerProcess, free_ports, listens

if TYPE_CHECKING:
    import confluent_kafka
    from confluent_kafka.admin import AdminClient

Json = dict[str, Any]

VERSION = "3.9.0"
CLUSTER = "bGluZWFnZS1vZi10ZXN0cw"
"""A cluster's id: 16 bytes in base64."""

ANSWER_SECONDS = 60.0

NO_KAFKA = (
    "there is no Kafka: install Java and Maven (apt-get install default-jre-headless maven), or "
    "set KAFKA_BOOTSTRAP_SERVERS to host:port"
)
NO_CLIENT = "there is no Kafka client: pip install confluent-kafka"

COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>openlineage-dagster</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


@dataclass(frozen=True)
class Message:
    """A message of a topic.

    Args:
        key: what decides its partition; None for any.
        value: its content.
        partition: where it is.
        offset: its place there.
    """

    key: str | None
    value: bytes
    partition: int
    offset: int


@dataclass(frozen=True)
class Topic:
    """A topic and where it is.

    Args:
        servers: the bootstrap servers, `host:port`.
        name: of the topic.
    """

    servers: str
    name: str

    def environment(self, **options: str) -> dict[str, str]:
        """Configure openlineage-python to send to it.

        Args:
            options: of the producer, with `_` for the dots of their names.

        Returns:
            Environment variables.
        """
        given = {name.replace("_", "."): value for name, value in options.items()}
        return {
            "OPENLINEAGE__TRANSPORT__TYPE": "kafka",
            "OPENLINEAGE__TRANSPORT__TOPIC": self.name,
            "OPENLINEAGE__TRANSPORT__CONFIG": json.dumps(
                {"bootstrap.servers": self.servers, **given}
            ),
        }

    def messages(self) -> list[Message]:
        """Read all messages.

        Returns:
            Partition by partition, in order.

        Raises:
            AssertionError: they cannot be read in time.
        """
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer(
            {"bootstrap.servers": self.servers, "group.id": "reads", "enable.auto.commit": False}
        )
        found: list[Message] = []
        with closing(consumer):
            metadata = consumer.list_topics(self.name, ANSWER_SECONDS).topics[self.name]
            places = [TopicPartition(self.name, each, 0) for each in metadata.partitions]
            ends = [
                consumer.get_watermark_offsets(place, ANSWER_SECONDS, cached=False)[1]
                for place in places
            ]
            consumer.assign(places)
            # Each is read to its end as it is now: more may come.
            left = {place.partition: end for place, end in zip(places, ends, strict=True) if end}
            while left:
                message = consumer.poll(ANSWER_SECONDS)
                assert message is not None, f"{len(found)} of {sum(ends)} messages of {self.name}"
                assert message.error() is None, message.error()
                read = _message(message)
                if read.partition in left:
                    found.append(read)
                    if read.offset + 1 >= left[read.partition]:
                        del left[read.partition]
        found.sort(key=lambda each: (each.partition, each.offset))
        return found

    def events(self) -> list[Json]:
        """Read all messages as events.

        Returns:
            Partition by partition, in order.
        """
        return [json.loads(message.value) for message in self.messages()]


def _message(read: confluent_kafka.Message) -> Message:
    key, value = read.key(), read.value()
    return Message(
        key.decode() if key else None, value or b"", read.partition() or 0, read.offset() or 0
    )


class KafkaBroker:
    """One broker, which is its own controller, on this machine.

    Args:
        folder: for its configuration, its data and its log; made if it does not exist.
        jars: the folder with Kafka.

    Attributes:
        servers: `host:port`; the same each time that it is started.
    """

    def __init__(self, folder: Path, jars: Path) -> None:
        self._java = [
            str(shutil.which("java")),
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            # The warnings of one thread, which looks for a newer log format, are no use to us.
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            str(jars / "*"),
        ]
        port, controller_port = free_ports(2)
        self.servers = f"127.0.0.1:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.servers},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.servers}",
            "log.dirs": str(folder / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
        }
        file = folder / "server.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        self._storage_tool("format", "-t", CLUSTER, "-c", str(file))
        self._process = ServerProcess("kafka", [*self._java, "kafka.Kafka", str(file)], folder)

    def _storage_tool(self, *arguments: str) -> None:
        outcome = subprocess.run(
            [*self._java, "kafka.tools.StorageTool", *arguments],
            check=False,
            capture_output=True,
            text=True,
        )
        assert outcome.returncode == 0, outcome.stderr

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            AssertionError: it does not.
        """
        port = int(self.servers.partition(":")[2])
        # Not asked by the client from the beginning: it complains of what does not listen yet.
        self._process.start(lambda: listens(port) and answers(self.servers))

    def stop(self) -> None:
        """Stop it; what it took is still there when it is started again."""
        self._process.stop()


def answers(servers: str) -> bool:
    """Ask a broker for its cluster.

    Args:
        servers: the bootstrap servers, `host:port`.

    Returns:
        Whether it answers.
    """
    from confluent_kafka import KafkaException

    try:
        return bool(_admin(servers).list_topics(timeout=5).brokers)
    except KafkaException:
        return False


def _admin(servers: str) -> AdminClient:
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": servers})


def make_topic(
    servers: str, name: str = "", partitions: int = 1, config: dict[str, str] | None = None
) -> Topic:
    """Make a topic.

    Args:
        servers: the bootstrap servers, `host:port`.
        name: of the topic; by default one that no other has.
        partitions: how many.
        config: of the topic, such as `max.message.bytes`.

    Returns:
        The topic, empty.

    Raises:
        confluent_kafka.KafkaException: the broker does not make it.
    """
    from confluent_kafka.cimpl import NewTopic

    name = name or f"test-{uuid.uuid4().hex}"
    # Held on to: without it the broker's answer is lost.
    admin = _admin(servers)
    [made] = admin.create_topics([NewTopic(name, partitions, 1, config=config or {})]).values()
    made.result(ANSWER_SECONDS)
    return Topic(servers, name)


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """The folder with Kafka; fetched by Maven where no earlier session has done it."""
    if shutil.which("java") is None:
        pytest.skip(NO_KAFKA)
    cache = os.environ.get("KAFKA_CACHE") or _user_cache()
    jars = Path(cache).absolute() / f"kafka-{VERSION}"
    jars.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{jars}.lock"):
        if not jars.is_dir():
            _fetch(jars)
    return jars


def _user_cache() -> str:
    import platformdirs

    return platformdirs.user_cache_dir("openlineage-dagster-tests")


def _fetch(jars: Path) -> None:
    with tempfile.TemporaryDirectory(dir=jars.parent) as folder:
        Path(folder, "pom.xml").write_text(POM)
        fetched = Path(folder, "jars")
        maven.run([COPY_DEPENDENCIES, f"-DoutputDirectory={fetched}"], Path(folder), NO_KAFKA)
        fetched.rename(jars)


@pytest.fixture(scope="session")
def kafka_server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The bootstrap servers, `host:port`, of a broker where topics may be made."""
    pytest.importorskip("confluent_kafka", reason=NO_CLIENT)
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
        return
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka"), request.getfixturevalue("kafka_jars"))
    try:
        broker.start()
        yield broker.servers
    finally:
        broker.stop()


@pytest.fixture
def stopped_broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[KafkaBroker]:
    """A broker for one test, which starts and stops it."""
    pytest.importorskip("confluent_kafka", reason=NO_CLIENT)
    broker = KafkaBroker(tmp_path / "kafka", request.getfixturevalue("kafka_jars"))
    yield broker
    broker.stop()


@pytest.fixture
def kafka_topic(kafka_server: str) -> Topic:
    """A new topic with one partition."""
    return make_topic(kafka_server)
