"""Finds the transport that openlineage-python will use, and where each of its values comes from.

`OpenLineageClient` merges the same sources and does not say where a value comes from: the first
`openlineage.yml`, below it the variables `OPENLINEAGE__…`, and only then `OPENLINEAGE_URL`. This
module does not import the client: a process that executes a run must not pay for that. Everywhere,
`environ` is the process's environment.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from openlineage_dagster_core.settings import ENV_CONFIG, ENV_TRANSPORT, ENV_URL

ENV_API_KEY = "OPENLINEAGE_API_KEY"
ENV_ENDPOINT = "OPENLINEAGE_ENDPOINT"
DEFAULT_ENDPOINT = "api/v1/lineage"
DEFAULT = "default"  # The origin of a value that nothing configures
_PREFIX = "OPENLINEAGE__"
# The client adds the address of OPENLINEAGE_URL to a composite transport, under this name
_DEFAULT_HTTP = f"{ENV_TRANSPORT}__TRANSPORTS__DEFAULT_HTTP"


class Value(NamedTuple):
    """One value of the transport's configuration, at a path of keys."""

    path: tuple[str, ...]
    value: object
    origin: str  # An environment variable, the path of a file, or `DEFAULT`


_Values = dict[tuple[str, ...], Value]


@dataclass(frozen=True)
class ConfiguredTransport:
    """The transport: its type, and all its values, the type first."""

    kind: str
    values: tuple[Value, ...]

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
    """A transport that sends by itself: the only one (without a name), or one inside another."""

    name: str
    config: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The transport's type."""
        return str(self.config.get("type", ""))


class ConfigFileError(Exception):
    """The client finds an `openlineage.yml` and cannot use it; the text may be shown."""


def transport(
    environ: Mapping[str, str], *, ignores_wrong_file: bool = False
) -> ConfiguredTransport | None:
    """Return the transport, None without any; raise ConfigFileError for a file that is wrong.

    With `ignores_wrong_file` such a file counts as empty.
    """
    in_file: object = {}
    try:
        in_file = transport_in_file(environ)
    except ConfigFileError:
        if not ignores_wrong_file:
            raise
    found = _in_variables(environ)
    for value in _values(in_file, str(config_file(environ))):
        if value.path not in found:
            _clear(found, value.path)
        found[value.path] = value
    kind = found.pop(("type",), None)
    if kind is not None and kind.value:
        name = str(kind.value)
        # Other transports ignore what `_aliases` adds.
        unused = () if name == "composite" or "." in name else ("transports",)
        rest = [value for path, value in found.items() if path[0] not in unused]
        return ConfiguredTransport(name, (kind, *rest))
    if not environ.get(ENV_URL):
        return None
    values = [Value(("type",), "http", ENV_URL), Value(("url",), environ[ENV_URL], ENV_URL)]
    endpoint = environ.get(ENV_ENDPOINT)
    origin = DEFAULT if endpoint is None else ENV_ENDPOINT
    values.append(Value(("endpoint",), DEFAULT_ENDPOINT if endpoint is None else endpoint, origin))
    if key := environ.get(ENV_API_KEY):
        values += _values({"type": "api_key", "apiKey": key}, ENV_API_KEY, ("auth",))
    return ConfiguredTransport("http", tuple(values))


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


def config_file(environ: Mapping[str, str]) -> Path | None:
    """Return the file that the client reads: the first readable one, whatever is in it."""
    named = environ.get(ENV_CONFIG)
    paths = [Path(named)] if named else []
    with contextlib.suppress(OSError):
        # The working directory may have been deleted.
        paths.append(Path.cwd() / "openlineage.yml")
    # Not Path.home(), which raises where the account of a container has no name and no home.
    paths.append(Path(os.path.expanduser("~/.openlineage/openlineage.yml")))  # noqa: PTH111
    for path in paths:
        # `is_file` raises where a directory on the way may not be searched.
        with contextlib.suppress(OSError):
            if path.is_file() and os.access(path, os.R_OK):
                return path
    return None


def transport_in_file(environ: Mapping[str, str]) -> object:
    """Return the file's transport, empty without any; raise ConfigFileError for a wrong file.

    It is None where the file has an empty one: that replaces what the environment says.
    """
    path = config_file(environ)
    if path is None:
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.MarkedYAMLError as error:
        # Without the error's text, which quotes the line.
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigFileError(f"{path}: it is not YAML{where}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigFileError(f"{path}: it cannot be read ({type(error).__name__})") from None
    if not isinstance(content, dict):
        raise ConfigFileError(f"{path}: it is not a mapping with a key transport")
    return content.get("transport", {})


def _in_variables(environ: Mapping[str, str]) -> _Values:
    """Return the values that the environment names.

    `OPENLINEAGE__TRANSPORT` is the whole as JSON; each `__` in a longer name leads one level down.
    """
    variables = {name: (text, name) for name, text in environ.items() if name.startswith(_PREFIX)}
    variables |= _aliases(environ)
    found: _Values = {}
    # Backwards, so that shorter names win over longer ones, as in the client.
    for name in sorted(variables, reverse=True):
        outermost, *path = name.removeprefix(_PREFIX).lower().split("__")
        if outermost != "transport":
            continue
        text, origin = variables[name]
        content: object = text
        with contextlib.suppress(ValueError, RecursionError):
            content = json.loads(text)
        _clear(found, tuple(path))
        found.update((value.path, value) for value in _values(content, origin, tuple(path)))
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


def _values(content: object, origin: str, path: tuple[str, ...] = ()) -> Iterator[Value]:
    if isinstance(content, dict):
        for key, inner in content.items():
            yield from _values(inner, origin, (*path, str(key)))
    else:
        yield Value(path, content, origin)


def _clear(values: _Values, path: tuple[str, ...]) -> None:
    """Remove the values that one at this path replaces: those inside and around it."""
    for each in list(values):
        if each[: len(path)] == path or path[: len(each)] == each:
            del values[each]
