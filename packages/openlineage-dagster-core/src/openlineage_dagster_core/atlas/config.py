"""The configuration of the transport to Atlas."""

from typing import Any

import attr
import requests
from openlineage.client.transport import Config
from openlineage.client.transport.http import TokenProvider, create_token_provider
from openlineage.client.utils import get_only_specified_fields

from openlineage_dagster_core.delivery.posting import SeparateToken
from openlineage_dagster_core.errors import ConfigurationError
from openlineage_dagster_core.validation import check_http_url, seconds, text

# Seconds: Atlas takes 20 s to create 200 columns on a machine that is busy
TIMEOUT_SECONDS = 60.0


@attr.define
class AtlasConfig(Config):
    """The configuration of `AtlasTransport`.

    Attributes:
        url: the address of Atlas, such as `http://localhost:21000`.
        auth: adds the credentials to each request; None for none.
        timeout: the limit of one request in seconds, reading the answer included.
        verify: False to accept any TLS certificate, or the path of the accepted ones.
    """

    url: str
    auth: requests.auth.AuthBase | None = attr.field(default=None, repr=False)
    timeout: float = TIMEOUT_SECONDS
    verify: bool | str = True

    @classmethod
    def from_dict(cls, params: dict[str, Any]) -> "AtlasConfig":
        """Read the options of the transport; raise ConfigurationError for one that is not valid.

        `auth` is `{type: basic, username: …, password: …}`, or whatever the HTTP transport of
        openlineage-python takes: `api_key`, `jwt`, `oauth2`, the path of a `TokenProvider`.
        """
        options = get_only_specified_fields(cls, params)
        check_http_url("transport url", text("transport url", options.get("url")))
        options["timeout"] = seconds("transport timeout", options.get("timeout", TIMEOUT_SECONDS))
        options["auth"] = _auth(options.get("auth") or {})
        return cls(**options)


def _auth(auth: dict[str, Any]) -> requests.auth.AuthBase | None:
    if auth.get("type") != "basic":
        return _Bearer(create_token_provider(auth)) if auth else None
    if not {"username", "password"} <= auth.keys():
        raise ConfigurationError("transport auth", sorted(auth), "username and password")
    # A password may come as a number: the client reads the environment's variables as JSON.
    user, password = (str(auth[key]).encode() for key in ("username", "password"))
    return requests.auth.HTTPBasicAuth(user, password)


class _Bearer(requests.auth.AuthBase):
    """Adds the token of a provider to each request."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = SeparateToken(provider)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if bearer := self._provider.get_bearer():
            request.headers["Authorization"] = bearer
        return request
