"""Finds the transport that openlineage-python will use, and where each of its values comes from.

`OpenLineageClient` merges the same sources and does not say where a value comes from: the first
`openlineage.yml`, below it the variables `OPENLINEAGE__…`, and only then `OPENLINEAGE_URL`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from openlineage_dagster_core.settings import ENV_CONFIG, ENV_TRANSPORT, ENV_URL

ENV_API_KEY = "OPENLINEAGE_API_KEY"
ENV_ENDPOINT = "OPENLINEAGE_ENDPOINT"

DEFAULT = "default"
DEFAULT_ENDPOINT = "api/v1/lineage"

_PREFIX = "OPENLINEAGE__"
_DEFAULT_HTTP = f"{ENV_TRANSPORT}__TRANSPORTS__DEFAULT_HTTP"
"""The client adds the address of `OPENLINEAGE_URL` to a composite transport, under this name."""


class Value(NamedTuple):
    """One value of the transport's configuration, at a path of keys.

    The origin is an environment variable, the path of a file, or `default`.
    """

    path: tuple[str, ...]
    value: object
    origin: str


_Values = dict[tuple[str, ...], Value]


@dataclass(frozen=True)
class Configured:
    """A transport: its type, and all configured values, the type first."""

    kind: str
    values: tuple[Value, ...] = ()

    @property
    def config(self) -> dict[str, Any]:
        """The values as the client gets them."""
        config: dict[str, Any] = {}
        for value in self.values:
            inside = config
            for key in value.path[:-1]:
                inside = inside.setdefault(key, {})
            inside[value.path[-1]] = value.value
        return config


@dataclass(frozen=True)
class Destination:
    """A transport that sends by itself: the only one, or a named one inside another."""

    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The transport's type."""
        return str(self.config.get("type", ""))


class ConfigFileError(Exception):
    """The client finds an `openlineage.yml` and cannot use it; the text may be shown."""


def transport(environ: Mapping[str, str]) -> Configured | None:
    """Return the transport, None without any; raise ConfigFileError for a file that is wrong."""
    found = _from_variables(environ)
    for path, value in _from_file(config_file(environ)).items():
        if path not in found:
            found = _without(found, path)
        found[path] = value
    inside = {path[1:]: value for path, value in found.items() if path[0] == "transport"}
    kind = inside.pop(("type",), None)
    if kind is not None and kind.value:
        name = str(kind.value)
        # Other transports ignore what `_aliases` adds.
        unused = () if name == "composite" or "." in name else ("transports",)
        rest = [value for path, value in inside.items() if path[0] not in unused]
        return Configured(
            name, tuple(value._replace(path=value.path[1:]) for value in (kind, *rest))
        )
    if not environ.get(ENV_URL):
        return None
    values = [Value(("type",), "http", ENV_URL), Value(("url",), environ[ENV_URL], ENV_URL)]
    endpoint = environ.get(ENV_ENDPOINT)
    values.append(
        Value(("endpoint",), DEFAULT_ENDPOINT, DEFAULT)
        if endpoint is None
        else Value(("endpoint",), endpoint, ENV_ENDPOINT)
    )
    if key := environ.get(ENV_API_KEY):
        values += _values({"type": "api_key", "apiKey": key}, ENV_API_KEY, ("auth",))
    return Configured("http", tuple(values))


def config_file(environ: Mapping[str, str]) -> Path | None:
    """Return the `openlineage.yml` that counts: the first that exists and can be read."""
    named = environ.get(ENV_CONFIG)
    # Not Path.home(), which raises where a container's user has none.
    home = Path(os.path.expanduser("~/.openlineage"))  # noqa: PTH111
    for path in (
        *([Path(named)] if named else []),
        Path.cwd() / "openlineage.yml",
        home / "openlineage.yml",
    ):
        # Not Path.is_file(), which raises where a directory is forbidden.
        if os.path.isfile(path) and os.access(path, os.R_OK):  # noqa: PTH113
            return path
    return None


def destinations(config: Mapping[str, Any], name: str = "") -> Iterator[Destination]:
    """Yield the transports that send by themselves, inside `composite` and `transform`."""
    kind = config.get("type")
    if kind == "composite":
        inside = config.get("transports")
        listed = inside if isinstance(inside, list) else ()
        members = inside.items() if isinstance(inside, Mapping) else enumerate(listed, 1)
        for key, each in members:
            if isinstance(each, Mapping):
                yield from destinations(each, str(each.get("name") or key))
    elif kind == "transform" and isinstance(config.get("transport"), Mapping):
        yield from destinations(config["transport"], name)
    else:
        yield Destination(name, config)


def _from_variables(environ: Mapping[str, str]) -> _Values:
    variables = {name: (text, name) for name, text in environ.items() if name.startswith(_PREFIX)}
    variables.update(_aliases(environ))
    found: _Values = {}
    # Backwards, so that `A__B` is replaced by a later `A`.
    for name in sorted(variables, reverse=True):
        text, origin = variables[name]
        path = tuple(name[len(_PREFIX) :].lower().split("__"))
        try:
            content = json.loads(text)
        except ValueError:
            content = text
        found = _without(found, path)
        found.update((value.path, value) for value in _values(content, origin, path))
    return found


def _aliases(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the variables that `OpenLineageClient._alias_env_vars` sets, and their origins."""
    url, key, endpoint = (environ.get(name) for name in (ENV_URL, ENV_API_KEY, ENV_ENDPOINT))
    if not url or any(name.startswith(_DEFAULT_HTTP) for name in environ):
        return {}
    given = {"URL": (url, ENV_URL)}
    if key:
        given["AUTH"] = (json.dumps({"type": "api_key", "apiKey": key}), ENV_API_KEY)
    if endpoint:
        given["ENDPOINT"] = (endpoint, ENV_ENDPOINT)
    aliases = {f"{_DEFAULT_HTTP}__TYPE": ("http", ENV_URL)}
    aliases |= {f"{_DEFAULT_HTTP}__{part}": each for part, each in given.items()}
    if environ.get(f"{ENV_TRANSPORT}__TYPE") == "async_http":
        for part, each in given.items():
            if not environ.get(f"{ENV_TRANSPORT}__{part}"):
                aliases[f"{ENV_TRANSPORT}__{part}"] = each
    return aliases


def _from_file(path: Path | None) -> _Values:
    if path is None:
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        # Without the error's text, which quotes the line.
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigFileError(f"{path}: it is not YAML{where}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigFileError(f"{path}: it cannot be read ({type(error).__name__})") from None
    if content and not isinstance(content, dict):
        raise ConfigFileError(f"{path}: it is not a mapping with a key transport")
    return {value.path: value for value in _values(content or {}, str(path))}


def _values(content: object, origin: str, path: tuple[str, ...] = ()) -> Iterator[Value]:
    if isinstance(content, dict):
        for key, inner in content.items():
            yield from _values(inner, origin, (*path, str(key)))
    else:
        yield Value(path, content, origin)


def _without(values: _Values, path: tuple[str, ...]) -> _Values:
    """Leave out the values that one at this path replaces: those inside and around it."""
    return {
        each: value
        for each, value in values.items()
        if each[: len(path)] != path and path[: len(each)] != each
    }
