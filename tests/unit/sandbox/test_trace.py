"""What gVisor's trace points say, read by hand: it comes from a process that the tested code could reach."""

from __future__ import annotations

import struct

import pytest

from evoguard_sandbox.rooms import trace
from evoguard_sandbox.types import Connect

OUT = Connect("python3", "inet", "192.0.2.1", 443)


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


@pytest.mark.parametrize(
    ("address", "connect"),
    [
        (struct.pack("<H", 2) + struct.pack(">H", 443) + bytes([192, 0, 2, 1]) + bytes(8), OUT),
        (
            struct.pack("<H", 10) + bytes([0, 80, 0, 0, 0, 0]) + bytes(15) + b"\1",
            Connect("python3", "inet6", "::1", 80),
        ),
        (struct.pack("<H", 1) + b"/run/x\0junk", Connect("python3", "unix", "/run/x", 0)),
        (struct.pack("<H", 1) + b"\0name", Connect("python3", "unix", "\\x00name", 0)),
        (struct.pack("<H", 16) + b"\1\2", Connect("python3", "16", "0102", 0)),
        (b"\2", None),
    ],
)
def test_a_connect_message_is_decoded_by_hand(address, connect):
    assert trace.connect_of(field(1, field(9, b"python3")) + field(6, address)) == connect


@pytest.mark.parametrize("bad", [b"\x0a\xff", b"\x0a", b"\x0b", b"\xff" * 12, b"\x09\1"])
def test_what_is_no_message_is_refused(bad):
    with pytest.raises(ValueError, match=r"."):
        trace.fields(bad)
