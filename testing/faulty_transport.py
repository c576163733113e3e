"""A transport by class path that fails for one job, as some raise what their library raises."""

from __future__ import annotations

from pydoc import locate
from typing import Any

import attr
import requests
from openlineage.client.event_v2 import DatasetEvent
from openlineage.client.serde import Serde
from openlineage.client.transport.transport import Config, Transport

SECONDS = 10.0


@attr.define
class FaultyConfig(Config):
    """Where to send, and what fails.

    Args:
        url: of the backend.
        fails_for: the name of a job.
        raises: the exception's class for that job, by its path.
    """

    url: str
    fails_for: str
    raises: str

    @classmethod
    def from_dict(cls, params: dict[str, Any]) -> FaultyConfig:
        """Read the configuration.

        Args:
            params: of the transport.

        Returns:
            The configuration.
        """
        return cls(params["url"], params["fails_for"], params["raises"])


class ClientError(Exception):
    """Carries what botocore's exception of this name carries."""

    def __init__(self) -> None:
        super().__init__("An error occurred (ValidationException) when calling PostLineageEvent")
        self.response = {
            "Error": {"Code": "ValidationException", "Message": "the domain does not want it"},
            "ResponseMetadata": {"HTTPStatusCode": 422},
        }


class HiddenStatusError(RuntimeError):
    """Has the status of the answer in its cause, as the errors of `amazon_datazone` do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.__cause__ = ClientError()


class FaultyTransport(Transport):
    """Posts events, and raises for those of one job.

    Args:
        config: says which.
    """

    kind = "faulty"
    config_class = FaultyConfig

    def __init__(self, config: FaultyConfig) -> None:
        self._config = config

    def emit(self, event: Any) -> None:
        """Post an event.

        Args:
            event: an OpenLineage event.

        Raises:
            BaseException: it is of the job that fails.
        """
        if not isinstance(event, DatasetEvent) and event.job.name == self._config.fails_for:
            msg = "An error occurred (ThrottlingException) when calling PostLineageEvent"
            made: Any = locate(self._config.raises)
            raise made(msg)
        body = Serde.to_json(event).encode()
        headers = {"Content-Type": "application/json"}
        answer = requests.post(self._config.url, body, timeout=SECONDS, headers=headers)
        answer.raise_for_status()


PATH = f"{__name__}.{FaultyTransport.__name__}"
"""The type that names it in a configuration."""
