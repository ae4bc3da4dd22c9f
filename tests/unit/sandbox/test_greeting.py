"""What a sandbox is called is the room's word and the kernel's proof, never the guest's claim alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evoguard_sandbox.rooms import box, frames
from evoguard_sandbox.rooms.backend import Make
from evoguard_sandbox.types import Limits

HERE = Path("/proc/version").read_text(encoding="utf-8").strip()
GVISOR = {"version": "Linux version 4.19.0-gvisor", "log": "[    0.000000] Starting gVisor..."}


class Room:
    """As much of a room as a greeting needs."""

    def __init__(self, isolation: str) -> None:
        self.isolation = isolation

    def next_id(self) -> str:
        return "eg-1"


def greeted(isolation: str, told: dict[str, str]) -> box.Seen:
    made = box.Box(Room(isolation), Make("job", Limits()))  # type: ignore[arg-type]  # a room's three words
    made._greet(frames.HELLO, json.dumps(told).encode())
    return made.seen


def test_gvisor_is_gvisor():
    assert greeted("gvisor", GVISOR).isolation == "gvisor"


@pytest.mark.parametrize(
    "told",
    [{"version": HERE, "log": GVISOR["log"]}, {"version": GVISOR["version"], "log": ""}, {"version": HERE, "log": ""}],
    ids=["the host's kernel", "no log of gVisor's", "neither"],
)
def test_another_kernel_is_void_and_has_no_name_where_gvisor_was_expected(told):
    made = box.Box(Room("gvisor"), Make("job", Limits()))  # type: ignore[arg-type]  # a room's three words
    with pytest.raises(box._Void, match="not gVisor"):
        made._greet(frames.HELLO, json.dumps(told).encode())
    assert made.seen.isolation == ""


@pytest.mark.parametrize("told", [GVISOR, {"version": HERE, "log": ""}], ids=["claims to be gVisor", "does not"])
def test_what_was_named_unsafe_is_called_so_whatever_it_says(told):
    assert greeted("unsafe-runc", told).isolation == "unsafe-runc"


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"\xff"])
def test_a_guest_that_says_nothing_of_its_kernel_is_void_even_when_unsafe(payload):
    made = box.Box(Room("unsafe-runc"), Make("job", Limits()))  # type: ignore[arg-type]  # a room's three words
    with pytest.raises(box._Void):
        made._greet(frames.HELLO, payload)
    assert made.seen.isolation == ""
