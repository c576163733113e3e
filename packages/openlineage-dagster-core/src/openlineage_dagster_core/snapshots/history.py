"""Keeps how an asset or a job was defined over time: each version once, and since when it holds."""

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from openlineage_dagster_core.key_values import LONGEST_VALUE, parsed

CHANGES_KEPT = 200  # Latest changes of one definition that a history keeps
LONGEST_HISTORY = 4 * LONGEST_VALUE  # Characters of a history; the oldest versions go first
EPOCH_ROW = "definitions"  # The row that changes whenever the history of any asset or job does


def digest_of(text: str) -> str:
    """Return the digest of a version, in 16 characters."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass
class History:
    """The versions of one definition."""

    # Times in seconds since the epoch, and the digest that holds since; the latest last
    changes: list[tuple[float, str]] = field(default_factory=list)
    # The packed text of each version, by digest
    versions: dict[str, str] = field(default_factory=dict)
    # The packed text of the first version of all: the others are packed as what differs from it
    base: str = ""
    # `repository@code location` of the last run that was launched and kept a version; an asset's
    origin: str | None = None

    @classmethod
    def from_object(cls, stored: dict[str, Any]) -> "History":
        """Read what `vars` of a history contains; another object gives an empty history."""
        try:
            changes = [(float(since), str(digest)) for since, digest in stored.get("changes", [])]
            versions = {str(key): str(text) for key, text in stored.get("versions", {}).items()}
            base = str(stored.get("base", ""))
            _unpacked(base, b"")
        except (TypeError, ValueError, AttributeError, zlib.error):
            return cls()
        known = [each for each in changes if each[1] in versions]
        return cls(known, versions, base, stored.get("origin"))

    @classmethod
    def from_text(cls, text: str | None) -> "History":
        """Read what `to_text` returned; None or another text gives an empty history."""
        return cls.from_object(parsed(text))

    def to_text(self) -> str:
        """Return the history as JSON."""
        return json.dumps(vars(self), separators=(",", ":"))

    @property
    def first(self) -> str | None:
        """The digest of the oldest version that is kept."""
        return self.changes[0][1] if self.changes else None

    @property
    def latest(self) -> str | None:
        """The digest of the version that holds now."""
        return self.changes[-1][1] if self.changes else None

    def add(self, since: float, text: str) -> None:
        """Add a version that holds since a time, in seconds since the epoch."""
        digest = digest_of(text)
        if digest not in self.versions:
            self.base = self.base or _packed(text, b"")
            self.versions[digest] = _packed(text, _unpacked(self.base, b""))
        self.changes = sorted([*self.changes, (since, digest)])
        while len(self.changes) > CHANGES_KEPT or (
            len(self.changes) > 1 and sum(map(len, self.versions.values())) > LONGEST_HISTORY
        ):
            # The oldest version that stays takes the time of those that go.
            (since, _), (_, next_digest), *later = self.changes
            self.changes = [(since, next_digest), *later]
            used = {each for _, each in self.changes}
            self.versions = {key: each for key, each in self.versions.items() if key in used}

    def at(self, time: float) -> str | None:
        """Return the digest that held at a time, in seconds since the epoch; None before any."""
        return next((digest for since, digest in reversed(self.changes) if since <= time), None)

    def text(self, digest: str) -> str:
        """Return the text of a version."""
        base = _unpacked(self.base, b"")
        return _unpacked(self.versions[digest], base).decode("utf-8", "surrogatepass")


def _packed(text: str, base: bytes) -> str:
    packer = zlib.compressobj(6, zdict=base)
    packed = packer.compress(text.encode("utf-8", "surrogatepass")) + packer.flush()
    return base64.b85encode(packed).decode()


def _unpacked(packed: str, base: bytes) -> bytes:
    unpacker = zlib.decompressobj(zdict=base)
    text = unpacker.decompress(base64.b85decode(packed))
    if packed and not unpacker.eof:
        msg = "a version is cut off"
        raise ValueError(msg)
    return text


def asset_row(path: Sequence[str]) -> str:
    """Return the key of an asset's history in the instance's key-value table."""
    return f"asset/{digest_of(json.dumps(list(path)))}"


def job_row(name: str) -> str:
    """Return the key of a job's history in the instance's key-value table."""
    return f"job/{digest_of(name)}"
