"""The guest's end of the way out: what comes to the listening socket (descriptor 3) goes to the host's proxy.

By the host's one socket, each connection by itself; where no socket of the host is in the guest, all of them by one
pair of pipes (descriptors 4 and 5), in frames: the connection's number, a size, as many bytes. The first frame of a
number begins it and is empty; a later empty one is that side's end.
It reads nothing of what it carries and decides nothing; every check is the proxy's, on the host.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable

CHUNK = 1 << 16
FRAME = struct.Struct(">II")
MOST = 24
"""Connections at a time, two threads each at most; more wait in the listening socket's queue."""


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Carry bytes one way to their end, and tell the other side of the end."""
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def carry(near: socket.socket, path: str, free: threading.Semaphore) -> None:
    """Carry one connection both ways."""
    try:
        with near, socket.socket(socket.AF_UNIX) as far:
            far.connect(path)
            back = threading.Thread(target=pump, args=(far, near), daemon=True)
            back.start()
            pump(near, far)
            back.join()
    except OSError:
        pass
    finally:
        free.release()


class Pipes:
    """Carries all connections by one pair of pipes. A guest that reads no answer holds up its own others alone."""

    def __init__(self, source: int, sink: int) -> None:
        self.source, self.sink, self.last = source, sink, 0
        self.saying = threading.Lock()
        self.open: dict[int, tuple[socket.socket, threading.Event]] = {}
        threading.Thread(target=self.hear, daemon=True).start()

    def say(self, number: int, data: bytes) -> None:
        """Write one frame."""
        with self.saying:
            view = memoryview(FRAME.pack(number, len(data)) + data)
            while view:
                view = view[os.write(self.sink, view) :]

    def hear(self) -> None:
        """Give each connection what comes for it, to the end of the pipe."""
        with open(self.source, "rb") as source:
            while head := source.read(FRAME.size):
                number, size = FRAME.unpack(head)
                data = source.read(size)
                if (found := self.open.get(number)) is None:
                    continue
                with contextlib.suppress(OSError):
                    found[0].sendall(data) if data else found[0].shutdown(socket.SHUT_WR)
                if not data:
                    found[1].set()

    def carry(self, number: int, near: socket.socket, free: threading.Semaphore) -> None:
        """Carry one connection both ways: to its own end, then until the host has said its last."""
        try:
            with near, contextlib.suppress(OSError):
                while data := near.recv(CHUNK):
                    self.say(number, data)
                self.say(number, b"")
                self.open[number][1].wait()
        finally:
            del self.open[number]
            free.release()

    def take(self, near: socket.socket, free: threading.Semaphore) -> None:
        """Begin to carry one connection."""
        self.last += 1
        self.open[self.last] = near, threading.Event()
        self.say(self.last, b"")  # here, in order: what its thread says may come after the next one's
        threading.Thread(target=self.carry, args=(self.last, near, free), daemon=True).start()


def by_socket(path: str) -> Callable[[socket.socket, threading.Semaphore], None]:
    """Return what begins to carry one connection by the host's socket."""

    def take(near: socket.socket, free: threading.Semaphore) -> None:
        threading.Thread(target=carry, args=(near, path, free), daemon=True).start()

    return take


def main() -> None:
    """Serve until the sandbox ends."""
    os.umask(0o077)
    free = threading.Semaphore(MOST)
    take = by_socket(sys.argv[1]) if len(sys.argv) > 1 else Pipes(4, 5).take
    with socket.socket(fileno=3) as door:
        while True:
            free.acquire()
            try:
                take(door.accept()[0], free)
            except (OSError, RuntimeError):
                free.release()


main()
