"""Keeps an Unleash server at what the guard's record and its kills say, whatever else is down or was edited there."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from evoguard.adapters.unleash.admin import Unleash, agrees
from evoguard.domain.canonical import Json, canonical
from evoguard.errors import EvoguardError

log = logging.getLogger(__name__)
LOOK_S, WHOLE_S = 0.1, 10.0
"""How often the kills and the record are looked at, and how often all of the server."""


class Follower:
    """One thread that puts what differs; what turns off goes first. Nothing it meets ends it.

    `documents` returns every flag as it is served just now, and raises EvoguardError while nobody can know.
    """

    def __init__(self, server: Unleash, documents: Callable[[], Iterable[Mapping[str, Json]]]) -> None:
        self._server, self._documents = server, documents
        self._put: dict[str, bytes] = {}
        self._whole_at = float("-inf")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="unleash", daemon=True)
        self.behind = ""
        """Why the server may not serve what it should; empty when it confirmed all of it."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Stop after what is being put now."""
        self._ended.set()
        self._thread.join()

    def look(self) -> None:
        """Put what changed since the last look, and every so often what somebody else changed on the server."""
        try:
            wanted = sorted(self._documents(), key=lambda document: document["enabled"] is True)
        except EvoguardError as err:
            self._behind(err.message)
            return
        whole = time.monotonic() - self._whole_at >= WHOLE_S
        failed = [why for document in wanted if (why := self._one(document, whole=whole))]
        if whole and not failed:
            self._whole_at = time.monotonic()
        self._behind(failed[0] if failed else "")

    def _one(self, document: Mapping[str, Json], *, whole: bool) -> str:
        """Put one flag if it may differ; return why it could not be, or an empty text."""
        name, raw = str(document["name"]), canonical(dict(document))
        known = self._put.get(name) == raw
        try:
            if known and whole and not agrees(self._server.served(name), document):
                log.warning("unleash: the flag %s was changed on the server; it is put back", name)
                known = False
            if not known:
                self._put.pop(name, None)  # until it is confirmed
                self._server.put(document)
                self._put[name] = raw
        except EvoguardError as err:
            return err.message
        return ""

    def _behind(self, why: str) -> None:
        if why != self.behind:
            log.warning("unleash: %s", why or "the server serves what it should again")
        self.behind = why

    def _run(self) -> None:
        while not self._ended.wait(LOOK_S):
            try:
                self.look()
            except Exception:  # a thread that ends here would leave a killed flag on
                log.exception("unleash: this look failed; the next one follows")
