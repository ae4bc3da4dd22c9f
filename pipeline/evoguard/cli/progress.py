"""Signs of life on stderr for whatever takes longer than two seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from evoguard.cli.text import note

FIRST_S, THEN_S = 2.0, 5.0


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Say `what` and the seconds so far after two seconds, and every five from then on; yield what says more."""
    done, far = threading.Event(), [what]

    def talk() -> None:
        began, wait_s = time.monotonic(), FIRST_S
        while not done.wait(wait_s):
            note(f"... {far[0]} ({time.monotonic() - began:.0f} s)")
            wait_s = THEN_S

    threading.Thread(target=talk, daemon=True, name="evoguard-progress").start()
    try:
        yield lambda text: far.__setitem__(0, text)
    finally:
        done.set()
