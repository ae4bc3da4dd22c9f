"""The engine is believed by its content only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evoguard.adapters.scanners import engine
from evoguard.errors import IntegrityError


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(engine, "_KNOWN", {})
    (tmp_path / "libs").mkdir(mode=0o755)
    for name, data in (("osemgrep", b"program"), ("libs/libm.so", b"library")):
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o755)
    tmp_path.chmod(0o755)
    return tmp_path


def pinned(layer: Path) -> str:
    return engine._hashed(layer)


def test_the_pinned_engine_is_believed_and_hashed_once(layer, monkeypatch):
    digest = pinned(layer)
    assert engine.verify(layer, digest) == digest
    monkeypatch.setattr(engine, "_hashed", lambda _: pytest.fail("hashed again"))
    assert engine.verify(layer, digest) == digest


def changed_in_place(layer: Path) -> None:
    (layer / "osemgrep").write_bytes(b"PROGRAM")


def changed_with_its_time_set_back(layer: Path) -> None:
    seen = (layer / "osemgrep").stat()
    (layer / "osemgrep").write_bytes(b"PROGRAM")
    os.utime(layer / "osemgrep", ns=(seen.st_atime_ns, seen.st_mtime_ns))


def one_more(layer: Path) -> None:
    (layer / "libs/libz.so").write_bytes(b"library")


def one_less(layer: Path) -> None:
    (layer / "libs/libm.so").unlink()


def a_link(layer: Path) -> None:
    (layer / "libs/libm.so").unlink()
    (layer / "libs/libm.so").symlink_to("../osemgrep")


def writable(layer: Path) -> None:
    (layer / "libs/libm.so").chmod(0o777)


def gone(layer: Path) -> None:
    for path in (layer / "osemgrep", layer / "libs/libm.so"):
        path.unlink()


@pytest.mark.parametrize(
    "how", [changed_in_place, changed_with_its_time_set_back, one_more, one_less, a_link, writable, gone]
)
@pytest.mark.parametrize("known", [True, False])
def test_another_engine_is_refused(layer, how, known):
    digest = pinned(layer)
    if known:
        engine.verify(layer, digest)
    how(layer)
    with pytest.raises(IntegrityError) as caught:
        engine.verify(layer, digest)
    assert (caught.value.code, bool(caught.value.fix)) == ("scan.tool_changed", True)


def test_without_a_pin_for_this_machine_nothing_is_believed(layer, monkeypatch):
    monkeypatch.setattr(engine.platform, "machine", lambda: "riscv64")
    with pytest.raises(IntegrityError):
        engine.verify(layer)


@pytest.mark.parametrize(
    "said", [b"", b"no json", b"[]", b'{"results": []}', b'{"results": {}, "errors": [], "paths": {}}', b"[" * 100_000]
)
def test_what_is_no_answer_is_none(said):
    assert engine.told(said) is None
