"""The guest's end of the way out: what comes to the listening socket (descriptor 3) goes to the host's one socket.

It reads nothing of what it carries and decides nothing; every check is the proxy's, on the host.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading

CHUNK = 1 << 16
MOST = 24
"""Connections at a time, two threads each; more wait in the listening socket's queue."""


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


def main() -> None:
    """Serve until the sandbox ends."""
    os.umask(0o077)
    free = threading.Semaphore(MOST)
    with socket.socket(fileno=3) as door:
        while True:
            free.acquire()
            try:
                near = door.accept()[0]
                threading.Thread(target=carry, args=(near, sys.argv[1], free), daemon=True).start()
            except (OSError, RuntimeError):
                free.release()


main()
