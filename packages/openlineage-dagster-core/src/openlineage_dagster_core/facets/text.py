"""Makes texts fit for every backend: valid UTF-8, without NUL, and not too long."""

from __future__ import annotations

import re

LONGEST_BYTES = 65536
"""The most bytes that one text takes."""

REPLACEMENT = "\ufffd"
_CUT = "…"
_UNFIT = re.compile("[\x00\ud800-\udfff]")
"""PostgreSQL refuses NUL, and UTF-8 cannot hold halves of characters."""


def limited(text: str, longest: int = LONGEST_BYTES) -> str:
    """Make a text fit to be sent.

    Args:
        text: any text.
        longest: the most bytes of UTF-8 that it may take.

    Returns:
        The same text where it is fit; else with U+FFFD for what is not, and cut with a closing '…'
        where it is too long (without it where even that does not fit).
    """
    if len(text) <= longest and text.isascii() and "\x00" not in text:
        return text
    # Every character takes a byte at least, so the rest of a longer text does not matter.
    fit = _UNFIT.sub(REPLACEMENT, text[: longest + 1])
    encoded = fit.encode()
    if len(encoded) <= longest:
        return text if fit == text else fit
    cut = _CUT if longest >= len(_CUT.encode()) else ""
    # What is left of a character that was cut in two is dropped.
    return encoded[: longest - len(cut.encode())].decode(errors="ignore") + cut
