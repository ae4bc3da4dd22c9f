"""What streams show: versions of all flags, each one step from the last, made the moment a latch or a row changed.

A stream is never told more than what a poll at that moment would have been. Source: docs/adr/0010-streams.md
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from evoguard.domain.canonical import canonical
from evoguard.domain.latch import LatchBoard
from evoguard.errors import EvoguardError
from evoguard.flags.boards import Boards, Shared
from evoguard.flags.document import Served

log = logging.getLogger(__name__)
STEP_S = 0.005
"""How often the kill folder is looked at while somebody streams: a look is one or two calls to the kernel."""
IDLE_S = 0.1
KEPT = 64
"""Steps that a stream may be behind; one that is further behind gets everything anew."""

Serves = Callable[[LatchBoard], Served]
NOTHING = Served({}, {})


@dataclass(frozen=True, slots=True)
class Step:
    """One version and how it came from the one before, as the bytes of a server-sent event."""

    number: int
    event: bytes


class Feed:
    """Holds the newest version and the steps to it; `look` makes a new one when anything is served differently.

    `serves` gives what is served under a board, the same object while it is, and raises EvoguardError while no rows
    are known. `mark` is whatever
    differs once something was filed in the kill folder; it is asked by a thread of its own, as a folder may hang.
    """

    def __init__(self, boards: Boards, serves: Serves, *, mark: Callable[[], object], every_s: float) -> None:
        self._boards, self._serves, self._mark, self._every_s = boards, serves, mark, every_s
        # Unlike any other process's: a client that comes from another one must not be taken for up to date.
        self._name = secrets.token_hex(6)
        self._now = NOTHING
        self._steps: deque[Step] = deque(maxlen=KEPT)
        self._whole: tuple[int, bytes] = (-1, b"")
        self._news: asyncio.Event = asyncio.Event()
        self._stirred = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop, self._wanted = threading.Event(), threading.Event()
        self._shared = Shared(self._look)
        # Higher than an earlier process's, and 32 bits: SDKs drop a message with more without a word.
        self.number = int(time.time())
        self.epoch = 0
        self.streams = 0
        self.ended = False

    async def run(self) -> None:
        """Look whenever the kill folder or a row stirs, and every now and then all the same. Ends by cancellation."""
        self._loop = loop = asyncio.get_running_loop()
        watcher = threading.Thread(target=self._watch, args=(loop,), name="kill-folder", daemon=True)
        watcher.start()
        try:
            while True:
                try:
                    async with asyncio.timeout(self._every_s):
                        await self._stirred.wait()
                except TimeoutError:
                    pass
                self._stirred.clear()
                if self.streams:
                    await self.look()
        finally:
            self._stop.set()

    def stir(self) -> None:
        """Tell that rows may have changed; called in the loop's thread."""
        self._stirred.set()

    def end(self) -> None:
        """End every stream; may be called by a signal's handler."""
        self.ended = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def look(self) -> None:
        """Bring the newest version up to what is served now. While no rows are known, it stays as it is."""
        await self._shared.now()

    async def _look(self) -> None:
        board = await self._boards.now()
        try:
            now = self._serves(board)
        except EvoguardError as err:
            log.warning("flags.stream_waits %s", err.code)
            return
        self.epoch = board.epoch  # together with the version, as nothing is awaited from here on
        if now is self._now:
            return
        events, self._now = list(_events(self._now, now, self.number + 1)), now
        if events:
            self.number += 1
            self._steps.append(Step(self.number, self._event("unleash-updated", self.number, events)))
            self._tell()

    def since(self, number: int) -> bytes:
        """Return the events from a version to the newest; everything anew for one that is not among the last."""
        if number == self.number:
            return b""
        if not self._steps or not self._steps[0].number - 1 <= number < self.number:
            return self.whole()
        return b"".join(step.event for step in self._steps if step.number > number)

    def whole(self) -> bytes:
        """Return the event that holds everything."""
        if self._whole[0] != self.number:
            listed = self._now.listed()
            event = b'{"eventId":%d,"features":%s,"segments":%s,"type":"hydration"}' % (self.number, *listed)
            self._whole = (self.number, self._event("unleash-connected", self.number, [event]))
        return self._whole[1]

    def known(self, last_id: str) -> int:
        """Return the version that a client says it has, or -1 for one that is not of this process."""
        name, _, number = last_id.rpartition(".")
        return int(number) if name == self._name and number.isascii() and number.isdigit() and len(number) < 20 else -1

    async def after(self, number: int, *, wait_s: float) -> bool:
        """Wait for a version that is newer; return whether one came in time."""
        if self.number != number:
            return True
        try:
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def join(self) -> None:
        """Count a stream; from the first on the kill folder is looked at closely."""
        self.streams += 1
        self._wanted.set()

    def leave(self) -> None:
        """Count a stream less."""
        self.streams -= 1
        if not self.streams:
            self._wanted.clear()

    def _event(self, kind: str, number: int, events: list[bytes]) -> bytes:
        """Return one message; the bytes are the same for all streams, which only write them."""
        return b'id: %s.%d\nevent: %s\ndata: {"events":[%s]}\n\n' % (
            self._name.encode(), number, kind.encode(), b",".join(events),
        )  # fmt: skip

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stir the loop whenever the folder's mark differs; a mark that cannot be had stirs nothing by itself."""
        last: object = None
        while not self._stop.wait(STEP_S if self._wanted.is_set() else IDLE_S):
            try:
                mark = self._mark()
            except OSError:
                mark = None
            if mark != last:
                last = mark
                try:
                    loop.call_soon_threadsafe(self._stirred.set)
                except RuntimeError:  # the loop has ended
                    return


def _events(old: Served, new: Served, number: int) -> Iterable[bytes]:
    """Yield the steps from one to the other: segments come before the features that name them, and go after them."""
    for segment in sorted(new.segments):
        if new.segments[segment] != old.segments.get(segment):
            yield b'{"eventId":%d,"segment":%s,"type":"segment-updated"}' % (number, new.segments[segment])
    for name in sorted(old.features.keys() - new.features.keys()):
        yield canonical({"type": "feature-removed", "eventId": number, "featureName": name, "project": "default"})
    for name in sorted(new.features):
        if new.features[name] != old.features.get(name):
            yield b'{"eventId":%d,"feature":%s,"type":"feature-updated"}' % (number, new.features[name])
    for segment in sorted(old.segments.keys() - new.segments.keys()):
        yield canonical({"type": "segment-removed", "eventId": number, "segmentId": segment})
