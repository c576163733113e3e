"""Finds the transport that openlineage-python will use, and where each value of it comes from.

It does what `OpenLineageClient` does, which does not tell where it has a value from: the first
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


class _Origin(NamedTuple):
    value: object
    origin: str


_Tree = dict[str, Any]
"""Mappings of mappings; what is no mapping is an `_Origin`."""


@dataclass(frozen=True)
class Value:
    """One value of the transport's configuration.

    Args:
        path: its keys, from outside in.
        value: as it was given.
        origin: an environment variable, the path of a file, or `default`.
    """

    path: tuple[str, ...]
    value: object
    origin: str


@dataclass(frozen=True)
class Configured:
    """The transport.

    Args:
        kind: its type.
        values: all that is configured of it, the type first.
    """

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
    """A transport that sends by itself: one of several inside another, or the only one.

    Args:
        name: tells it from others; empty where there is one.
        config: its configuration.
    """

    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Its type."""
        return str(self.config.get("type", ""))


class ConfigFileError(Exception):
    """An `openlineage.yml` that the client finds and cannot use.

    Args:
        path: where it is.
        reason: what is wrong, fit to be shown.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def transport(environ: Mapping[str, str]) -> Configured | None:
    """Find the transport.

    Args:
        environ: the process's environment.

    Returns:
        The transport; None where nothing is configured.

    Raises:
        ConfigFileError: the file that counts cannot be used.
    """
    tree = _merged(_from_variables(environ), _from_file(config_file(environ)))
    found = tree.get("transport")
    if isinstance(found, dict) and isinstance(kind := found.get("type"), _Origin) and kind.value:
        # Those of `_aliases` mean nothing to other transports.
        unused = {"type"} if _may_have_others(str(kind.value)) else {"type", "transports"}
        rest = {key: value for key, value in found.items() if key not in unused}
        return Configured(str(kind.value), tuple(_values({"type": kind, **rest})))
    if environ.get(ENV_URL):
        return Configured("http", tuple(_values(_from_url(environ))))
    return None


def config_file(environ: Mapping[str, str]) -> Path | None:
    """Find the `openlineage.yml` that counts.

    Args:
        environ: the process's environment.

    Returns:
        The first that is there and can be read; the others are not looked at.
    """
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
    """List where events go in the end.

    Args:
        config: a transport's configuration.
        name: its name inside another.

    Yields:
        The transports that are neither `composite` nor `transform`, or what is inside those.
    """
    kind = config.get("type")
    if kind == "composite":
        inside = config.get("transports")
        listed = inside if isinstance(inside, list) else ()
        named = inside.items() if isinstance(inside, Mapping) else enumerate(listed, 1)
        for key, each in named:
            if isinstance(each, Mapping):
                yield from destinations(each, str(each.get("name") or key))
    elif kind == "transform" and isinstance(config.get("transport"), Mapping):
        yield from destinations(config["transport"], name)
    else:
        yield Destination(name, config)


def _may_have_others(kind: str) -> bool:
    return kind == "composite" or "." in kind


def _from_url(environ: Mapping[str, str]) -> _Tree:
    endpoint = environ.get(ENV_ENDPOINT)
    key = environ.get(ENV_API_KEY)
    tree: _Tree = {
        "type": _Origin("http", ENV_URL),
        "url": _Origin(environ[ENV_URL], ENV_URL),
        "endpoint": _Origin(endpoint, ENV_ENDPOINT)
        if endpoint is not None
        else _Origin(DEFAULT_ENDPOINT, DEFAULT),
    }
    if key:
        tree["auth"] = {
            "type": _Origin("api_key", ENV_API_KEY),
            "apiKey": _Origin(key, ENV_API_KEY),
        }
    return tree


def _from_variables(environ: Mapping[str, str]) -> _Tree:
    variables = {name: (text, name) for name, text in environ.items() if name.startswith(_PREFIX)}
    variables.update(_aliases(environ))
    tree: _Tree = {}
    # Backwards, so that what is less deep replaces what is inside it.
    for name in sorted(variables, reverse=True):
        text, origin = variables[name]
        *outer, last = name[len(_PREFIX) :].lower().split("__")
        inside = tree
        for key in outer:
            if not isinstance(inside.get(key), dict):
                inside[key] = {}
            inside = inside[key]
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        inside[last] = _tree(value, origin)
    return tree


def _aliases(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Do what `OpenLineageClient._alias_env_vars` does to the environment."""
    url, key, endpoint = (environ.get(name) for name in (ENV_URL, ENV_API_KEY, ENV_ENDPOINT))
    if not url or any(name.startswith(_DEFAULT_HTTP) for name in environ):
        return {}
    auth = json.dumps({"type": "api_key", "apiKey": key})
    aliases = {f"{_DEFAULT_HTTP}__TYPE": ("http", ENV_URL), f"{_DEFAULT_HTTP}__URL": (url, ENV_URL)}
    if key:
        aliases[f"{_DEFAULT_HTTP}__AUTH"] = (auth, ENV_API_KEY)
    if endpoint:
        aliases[f"{_DEFAULT_HTTP}__ENDPOINT"] = (endpoint, ENV_ENDPOINT)
    if environ.get(f"{ENV_TRANSPORT}__TYPE") == "async_http":
        given = {
            "URL": (url, ENV_URL),
            "AUTH": (auth if key else None, ENV_API_KEY),
            "ENDPOINT": (endpoint, ENV_ENDPOINT),
        }
        for part, (value, origin) in given.items():
            if value and not environ.get(f"{ENV_TRANSPORT}__{part}"):
                aliases[f"{ENV_TRANSPORT}__{part}"] = (value, origin)
    return aliases


def _from_file(path: Path | None) -> _Tree:
    if path is None:
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        # Not its text, which quotes the line.
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigFileError(path, f"it is no YAML{where}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigFileError(path, f"it cannot be read ({type(error).__name__})") from None
    if not content:
        return {}
    if not isinstance(content, dict):
        raise ConfigFileError(path, "it is no mapping with a key transport")
    tree: _Tree = _tree(content, str(path))
    return tree


def _tree(value: object, origin: str) -> Any:
    if isinstance(value, dict):
        return {str(key): _tree(inner, origin) for key, inner in value.items()}
    return _Origin(value, origin)


def _merged(lower: _Tree, upper: _Tree) -> _Tree:
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        merged[key] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _values(tree: _Tree, path: tuple[str, ...] = ()) -> Iterator[Value]:
    for key, value in tree.items():
        if isinstance(value, _Origin):
            yield Value((*path, key), value.value, value.origin)
        else:
            yield from _values(value, (*path, key))
