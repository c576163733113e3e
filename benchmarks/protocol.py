"""What passes between a worker and its parent: requests and answers, one a line of JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any


def take_output() -> Callable[[dict[str, Any]], None]:
    """Keep the standard output for answers; whatever else is printed goes to the errors.

    Returns:
        What sends an answer.
    """
    answers = os.fdopen(os.dup(1), "w")
    # Whatever prints must not come in between.
    os.dup2(2, 1)

    def answer(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    return answer


def requests() -> Iterator[dict[str, Any]]:
    """Wait for requests until the parent has no more.

    Yields:
        Each.
    """
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        yield request
