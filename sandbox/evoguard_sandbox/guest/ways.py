"""What the supervisor does for some sandboxes only: the relay of a way out, a split run's wires on its own streams."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

RELAY_UID, RELAY_PORT = 65533, 3128
CHUNK = 1 << 16


def start_relay(
    argv: list[str], become: Callable[[dict[str, int], int], None], wires: dict[str, tuple[int, int]]
) -> None:
    """Fork the relay: a socket that listens already, its ends of the wires, the rights of a uid that is its alone."""
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind(("127.0.0.1", RELAY_PORT))
    door.listen(64)
    ends = [pair[n] for n, pair in enumerate(wires.values())]
    if os.fork():
        for fd in (door.detach(), *ends):
            os.close(fd)
        return
    try:
        null = os.open("/dev/null", os.O_RDWR)
        # Out of the way first: one of them may sit on a number that is about to be reused.
        high = [os.dup2(fd, 60 + n) for n, fd in enumerate((null, null, null, door.fileno(), *ends))]
        for target, fd in enumerate(high):
            os.dup2(fd, target)
        os.closerange(len(high), 1024)
        become({"NPROC": 64, "NOFILE": 256}, RELAY_UID)
        os.chdir("/")
        os.execve(argv[0], argv, {"PATH": "/usr/bin:/bin"})  # noqa: S606
    finally:
        os._exit(126)


class Carrier:
    """Carries a split run's wires on the supervisor's own streams, where no pipe leads from one sandbox to the other.

    Outward each read is one frame; inward come a length and as many bytes, after the order. An empty one is the end.
    What the child does not take waits, and nothing more is read until it is taken: it fills no memory here.
    """

    def __init__(self, put: Callable[[bytes, bytes], None], sink: int, source: int, host: int = 0) -> None:
        self.put, self.sink, self.source, self.host = put, sink, source, host
        self.held, self.waiting = bytearray(), bytearray()
        self.told = self.over = False
        """Whether the child has written its last, and whether the host has."""
        os.set_blocking(sink, False)

    def wants(self) -> tuple[list[int], list[int]]:
        """Return the descriptors to read from and to write to, as soon as one is ready."""
        reads = [] if self.told else [self.source]
        reads += [] if self.over or self.waiting else [self.host]
        return reads, [self.sink] if self.waiting else []

    def take(self, fd: int) -> None:
        """Carry one read of the child's wire, or of the host's bytes."""
        data = os.read(fd, CHUNK)
        if fd == self.source:
            self.told = not data
            self.put(b"S", data)
            return
        self.held += data
        while len(self.held) >= 4 and not self.over:
            size = int.from_bytes(self.held[:4], "big")
            if len(self.held) < 4 + size:
                break
            self.waiting += self.held[4 : 4 + size]
            del self.held[: 4 + size]
            self.over = not size
        self.over = self.over or not data
        self.flush()

    def flush(self) -> None:
        """Give the child what it takes now; a child that reads no more gets nothing more."""
        try:
            while self.waiting:
                del self.waiting[: os.write(self.sink, self.waiting)]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.waiting.clear()
        if self.over and self.sink >= 0:
            os.close(self.sink)
            self.sink = -1

    def drain(self) -> None:
        """Carry what the child, of which no process is left, has written to its wire."""
        while not self.told:
            self.take(self.source)
