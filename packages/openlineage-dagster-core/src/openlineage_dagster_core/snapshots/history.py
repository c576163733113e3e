"""Keeps how an asset or a job was defined over time: each version once, and since when it holds."""

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from openlineage_dagster_core.key_values import LONGEST_VALUE, parsed

CHANGES_KEPT = 50  # Latest changes of one definition that a history keeps
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
    # `repository@code location` of the last run that was launched and kept a version; an asset's
    origin: str | None = None

    @classmethod
    def from_object(cls, stored: dict[str, Any]) -> "History":
        """Read what `vars` of a history contains; another object gives an empty history."""
        try:
            changes = [(float(since), str(digest)) for since, digest in stored.get("changes", [])]
            versions = {str(key): str(text) for key, text in stored.get("versions", {}).items()}
        except (TypeError, ValueError, AttributeError):
            return cls()
        known = [each for each in changes if each[1] in versions]
        return cls(known, versions, stored.get("origin"))

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
            packed = zlib.compress(text.encode("utf-8", "surrogatepass"), 6)
            self.versions[digest] = base64.b85encode(packed).decode()
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
        packed = base64.b85decode(self.versions[digest])
        return zlib.decompress(packed).decode("utf-8", "surrogatepass")


def asset_row(path: Sequence[str]) -> str:
    """Return the key of an asset's history in the instance's key-value table."""
    return f"asset/{digest_of(json.dumps(list(path)))}"


def job_row(name: str) -> str:
    """Return the key of a job's history in the instance's key-value table."""
    return f"job/{digest_of(name)}"
