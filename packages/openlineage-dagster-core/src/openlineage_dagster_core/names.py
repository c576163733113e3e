"""Makes names safe: some poison a backend for everybody, and each would be stored as it is.

Marquez 0.51 answers 500 to everybody who lists jobs or datasets after an empty name, a control
character, a namespace with a character that it does not know, or two names over 255 characters that
begin alike.
"""

from __future__ import annotations

import hashlib
import logging
import re
from functools import lru_cache, partial

LONGEST = 255
DIGEST_CHARACTERS = 8
# Control characters, line ends, and halves of characters, which UTF-8 cannot hold.
_UNSAFE_IN_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSAFE_IN_DATASET_NAMESPACE = re.compile(r"[^A-Za-z0-9:;=/_.@+-]")
_UNSAFE_IN_JOB_NAMESPACE = re.compile(r"[^A-Za-z0-9:/_.@+-]")

logger = logging.getLogger(__name__)


@lru_cache(maxsize=65536)
def _safe(text: str, unsafe: re.Pattern[str], what: str) -> str:
    replaced = unsafe.sub("_", text)
    if replaced == text and replaced.strip() and len(replaced) <= LONGEST:
        return text
    # Different texts must stay different when what told them apart is gone.
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_CHARACTERS]
    safe = f"{replaced.strip()[: LONGEST - DIGEST_CHARACTERS - 1]}-{digest}"
    # Once for each: the result is kept.
    logger.warning("OpenLineage: the %s %.100r is sent as %.100r", what, text, safe)
    return safe


safe_name = partial(_safe, unsafe=_UNSAFE_IN_NAME, what="name")
"""Makes the name of a job, a dataset or a field safe; a changed one has a digest."""

safe_dataset_namespace = partial(
    _safe, unsafe=_UNSAFE_IN_DATASET_NAMESPACE, what="dataset namespace"
)
safe_job_namespace = partial(_safe, unsafe=_UNSAFE_IN_JOB_NAMESPACE, what="job namespace")
