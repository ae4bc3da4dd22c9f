"""What comes out of a sandbox, or in as an archive: plain files of the tree within their bounds, or nothing at all."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from evoguard_sandbox import Limits
from evoguard_sandbox.job import _artefacts
from evoguard_sandbox.rooms import frames
from evoguard_sandbox.rooms.backend import Make
from evoguard_sandbox.rooms.box import Box, Seen
from evoguard_sandbox.trees import TreeError, read_tree

LIMITS = Limits(take_files=20, take_bytes=10_000, tree_files=20, tree_bytes=10_000)
R = tarfile.REGTYPE


def archive(*members: tuple[str, bytes, str, bytes], size: int | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, link, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(data)
            if size is None:
                tar.addfile(info, io.BytesIO(data))
            else:
                info.size = size
                out.write(info.tobuf())
    return out.getvalue()


def negative() -> bytes:
    data = bytearray(archive(("r.xml", R, "", b"x")))
    data[124:136] = b"-0000000001\0"
    return bytes(data)


def sparse() -> bytes:
    info = tarfile.TarInfo("r.xml")
    info.type = tarfile.GNUTYPE_SPARSE
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


ARCHIVES = {
    "dot-dot": archive(("../r.xml", R, "", b"x")),
    "absolute": archive(("/etc/cron.d/x", R, "", b"x")),
    "a link out": archive(("r.xml", tarfile.SYMTYPE, "/etc/shadow", b"")),
    "a hard link": archive(("r.xml", tarfile.LNKTYPE, "/etc/shadow", b"")),
    "a block device": archive(("r.xml", tarfile.BLKTYPE, "", b"")),
    "a character device": archive(("r.xml", tarfile.CHRTYPE, "", b"")),
    "a pipe": archive(("r.xml", tarfile.FIFOTYPE, "", b"")),
    "a sparse file": sparse(),
    "a size that is claimed": archive(("r.xml", R, "", b""), size=1 << 40),
    "twice": archive(("r.xml", R, "", b"a"), ("r.xml", R, "", b"b")),
    "many": archive(*((f"f{n}", R, "", b"") for n in range(500))),
    "dot segments": archive(("a/../r.xml", R, "", b"x")),
    "a backslash": archive(("..\\r.xml", R, "", b"x")),
    "garbage": b"\x01" * 5000,
    "cut off": archive(("r.xml", R, "", b"x" * 5000))[:2000],
    "more than the bound": archive(("r.xml", R, "", b"x" * 20_000)),
    "a negative size": negative(),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_is_no_plain_tree_is_refused(name):
    with pytest.raises(TreeError):
        read_tree(ARCHIVES[name], LIMITS)


def returned(*found: tuple[str, bytes]) -> Seen:
    """Return what a box has read of a guest that hands these over, whatever its own supervisor would do."""

    class Here:
        isolation = "gvisor"

        def next_id(self) -> str:
            return "eg-1"

    box = Box(Here(), Make("job", LIMITS))  # type: ignore[arg-type]  # as much of a room as is asked
    for path, data in found:
        box._take(frames.ARTEFACT, json.dumps({"path": path, "exec": False}).encode())
        box._take(frames.BYTES, data)
    end = {"nonce": box.nonce, "status": 0, "flood": "", "left": 0, "garbage": False, "omitted": "", "reached": []}
    box._take(frames.EXIT, json.dumps(end).encode())
    return box.seen


ODD = ["../x", "/etc/passwd", "a/../../x", "a/./x", "a//x", "", "a\0b", "a\nb", "a\x1b[2J", "a\\b", "x" * 300,
       "x/" * 600, "\udc80"]  # fmt: skip


@pytest.mark.parametrize("path", ODD, ids=ascii)
def test_one_artefact_with_a_bad_name_and_none_is_believed(path):
    assert _artefacts(returned(("good", b"x"), (path, b"x")), LIMITS)[0] == {}


@pytest.mark.parametrize(
    "found",
    [
        [("x", b"1"), ("x", b"2")],
        [("a", b"1"), ("a/b", b"2")],
        [(str(n), b"") for n in range(21)],
        [("x", b"1" * 10_001)],
        [("x", b"1" * 6_000), ("y", b"1" * 6_000)],
    ],
    ids=["twice", "below a file", "too many", "too large", "too large together"],
)
def test_artefacts_beyond_their_bounds_are_not_believed(found):
    files, why = _artefacts(returned(*found), LIMITS)
    assert files == {}
    assert why


def test_plain_artefacts_are_taken():
    assert _artefacts(returned(("a/b", b"1"), ("c", b"2")), LIMITS)[0] == {
        "a/b": (0o100644, b"1"), "c": (0o100644, b"2"),
    }  # fmt: skip


def test_bytes_before_any_name_and_a_name_that_is_none_are_a_broken_stream():
    seen = returned()
    assert seen.outcome == "finished"
    box = Box(type("Here", (), {"isolation": "gvisor", "next_id": lambda _: "eg-1"})(), Make("job", LIMITS))
    box._take(frames.BYTES, b"x")
    assert box.seen.garbage
    box._take(frames.ARTEFACT, b"[]")
    assert box.seen.artefacts == []
