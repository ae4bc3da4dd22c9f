"""Frames between the guest's supervisor and the host: one kind byte, a length, a payload. All of it is untrusted."""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEAD = struct.Struct(">cI")
MAX_FRAME_BYTES = 1 << 20
HELLO, READY, REPORT, OUT, ERR, GARBAGE, EXIT = b"H", b"W", b"R", b"O", b"E", b"G", b"X"
ARTEFACT, BYTES = b"A", b"B"
WIRE = b"S"
"""What one half of a split run says to the other, where the host carries it; an empty one is its end."""
KINDS = frozenset({HELLO, READY, REPORT, OUT, ERR, GARBAGE, EXIT, ARTEFACT, BYTES, WIRE})


class FrameError(Exception):
    """The stream is not what the supervisor writes; nothing after this point can be read."""


def pack(kind: bytes, payload: bytes) -> bytes:
    """Return one frame. Raises: FrameError when it is unknown or too long."""
    if kind not in KINDS or len(payload) > MAX_FRAME_BYTES:
        raise FrameError("frame of unknown kind or too long")
    return HEAD.pack(kind, len(payload)) + payload


class FrameReader:
    """Cut a byte stream into frames, however it arrives."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield each frame that `data` completes. Raises: FrameError on an unknown kind or a length over the bound."""
        self._held += data
        while len(self._held) >= HEAD.size:
            kind, size = HEAD.unpack_from(self._held)
            if kind not in KINDS or size > MAX_FRAME_BYTES:
                raise FrameError("frame of unknown kind or too long")
            if len(self._held) < HEAD.size + size:
                return
            payload = bytes(self._held[HEAD.size : HEAD.size + size])
            del self._held[: HEAD.size + size]
            yield kind, payload

    @property
    def left_bytes(self) -> int:
        """Bytes of a frame that never came to its end."""
        return len(self._held)
