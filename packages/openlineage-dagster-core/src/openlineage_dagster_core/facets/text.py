"""Makes texts fit for every backend: valid UTF-8, without NUL, and not too long."""

import re

LONGEST_BYTES = 65536  # Of one text

REPLACEMENT = "\ufffd"
_CUT = "…"
_UNFIT = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL refuses NUL, UTF-8 a half of a character


def limited(text: str, longest: int = LONGEST_BYTES) -> str:
    """Return a text that is fit to send and takes at most `longest` bytes of UTF-8.

    A fit text is returned as it is. Otherwise U+FFFD replaces each unfit character, and a text that
    is too long is cut and ends in '…', if there is room for it.
    """
    if len(text) <= longest and text.isascii() and "\x00" not in text:
        return text
    # Every character takes at least one byte, so the rest of a longer text does not matter.
    fit = _UNFIT.sub(REPLACEMENT, text[: longest + 1])
    encoded = fit.encode()
    if len(encoded) <= longest:
        return text if fit == text else fit
    cut = _CUT if longest >= len(_CUT.encode()) else ""
    # `ignore` drops the rest of a character that was cut in two.
    return encoded[: longest - len(cut.encode())].decode(errors="ignore") + cut
