"""Makes names and texts safe to send: one unsafe name makes a backend fail for all its users.

Marquez 0.51 answers 500 to everybody who lists jobs or datasets after an empty name, a control
character, a namespace with a character that it does not know, or two names over 255 characters that
begin alike.
"""

import hashlib
import logging
import re
from functools import lru_cache, partial

LONGEST_TEXT_BYTES = 65536
REPLACEMENT = "\ufffd"
_CUT = "…"
_UNFIT = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL refuses NUL, UTF-8 a half of a character

LONGEST_NAME = 255  # Characters
DIGEST_CHARACTERS = 8
# Control characters, line ends, and halves of characters, which UTF-8 cannot hold.
_UNSAFE_IN_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSAFE_IN_DATASET_NAMESPACE = re.compile(r"[^A-Za-z0-9:;=/_.@+-]")
_UNSAFE_IN_JOB_NAMESPACE = re.compile(r"[^A-Za-z0-9:/_.@+-]")

logger = logging.getLogger(__name__)


@lru_cache(maxsize=65536)
def _safe(text: str, unsafe: re.Pattern[str], what: str) -> str:
    replaced = unsafe.sub("_", text)
    if replaced == text and replaced.strip() and len(replaced) <= LONGEST_NAME:
        return text
    # Different texts must stay different when what told them apart is gone.
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_CHARACTERS]
    safe = f"{replaced.strip()[: LONGEST_NAME - DIGEST_CHARACTERS - 1]}-{digest}"
    # Once for each: the result is kept.
    logger.warning("OpenLineage: the %s %.100r is sent as %.100r", what, text, safe)
    return safe


safe_name = partial(_safe, unsafe=_UNSAFE_IN_NAME, what="name")
"""Makes the name of a job, a dataset or a field safe; a changed one has a digest."""

safe_dataset_namespace = partial(
    _safe, unsafe=_UNSAFE_IN_DATASET_NAMESPACE, what="dataset namespace"
)
safe_job_namespace = partial(_safe, unsafe=_UNSAFE_IN_JOB_NAMESPACE, what="job namespace")


def limited(text: str, longest: int = LONGEST_TEXT_BYTES) -> str:
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
