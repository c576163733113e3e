"""Posts events that are serialised already, as fast as it can: a process of its own.

The arguments are a file of events, one a line, and a backend's address.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from pathlib import Path

from openlineage.client.transport.http import HttpConfig, HttpTransport

from openlineage_dagster_core.delivery.client import CONNECTIONS
from openlineage_dagster_core.delivery.posting import Poster


def main(path: str, address: str) -> None:
    """Post all events over as many connections as a replay has.

    Args:
        path: of the file.
        address: of the backend.
    """
    texts = deque(Path(path).read_text(encoding="utf-8").splitlines())

    def post() -> None:
        poster = Poster(HttpTransport(HttpConfig.from_dict({"url": address})))
        while True:
            try:
                text = texts.popleft()
            except IndexError:
                return
            poster.post(text)

    threads = [threading.Thread(target=post) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
