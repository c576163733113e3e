"""Namespace templates: `{namespace}/{tag:tenant}` and what it gives for one run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from openlineage_dagster_core.errors import ConfigurationError

DEFAULT_NAMESPACE = "dagster"
PLAIN_TOKENS = ("namespace", "code_location", "repository", "group")
TAG_PREFIX = "tag:"
ALLOWED_TOKENS = "the tokens {namespace}, {code_location}, {repository}, {group}, {tag:KEY}"

_TOKEN = re.compile(r"\{([^{}]*)\}")
_ADJACENT_SLASHES = re.compile(r"(?<!:)/{2,}")  # Not those of an address: `postgres://host:5432`


@dataclass(frozen=True)
class NamespaceTemplate:
    """A namespace with tokens, checked when it is made.

    A wrong token or brace and an empty text raise ConfigurationError, which names `option`.
    """

    text: str
    option: str = field(default="namespace_template", compare=False)

    def __post_init__(self) -> None:
        for token in _TOKEN.findall(self.text):
            is_tag = token.startswith(TAG_PREFIX) and token != TAG_PREFIX
            if token not in PLAIN_TOKENS and not is_tag:
                raise ConfigurationError(self.option, self.text, ALLOWED_TOKENS)
        rest = _TOKEN.sub("", self.text)
        if "{" in rest or "}" in rest or not self.text.strip("/ "):
            raise ConfigurationError(self.option, self.text, f"text with {ALLOWED_TOKENS}")

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The run tags that the tokens name."""
        return tuple(
            token[len(TAG_PREFIX) :]
            for token in _TOKEN.findall(self.text)
            if token.startswith(TAG_PREFIX)
        )

    def resolve(self, values: Mapping[str, str | None], tags: Mapping[str, str]) -> str:
        """Return the namespace for the values of the tokens and a run's tags.

        Adjacent slashes that empty values leave become one, those at the ends are stripped; where
        nothing is left, the value of `{namespace}` remains.
        """

        def value_of(token: re.Match[str]) -> str:
            name = token.group(1)
            if name.startswith(TAG_PREFIX):
                return tags.get(name[len(TAG_PREFIX) :], "")
            return values.get(name) or ""

        resolved = _TOKEN.sub(value_of, self.text)
        stripped = _ADJACENT_SLASHES.sub("/", resolved).strip("/")
        return stripped or values.get("namespace") or DEFAULT_NAMESPACE


DEFAULT_TEMPLATE = NamespaceTemplate("{namespace}")
