"""A layer from real wheels: built with pip, the same twice, verified, and imported by a suite in gVisor."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evoguard_sandbox import Interpreter, Limits, Room, Suite, run
from evoguard_sandbox.layers import Layer, build, hold, verify
from evoguard_sandbox.types import LayerError
from evoguard_sandbox.workshop import Workshop

pytestmark = pytest.mark.needs_gvisor
WANTED = {"attrs": "26.1.0", "markupsafe": "3.0.4"}
CODE = "import attr, markupsafe\ndef safe(text): return str(markupsafe.escape(text)) + attr.__name__\n"
TEST = """import sys
import attr, markupsafe, markupsafe._speedups
from code_under_test import safe

def test_both_are_used():
    assert safe("<") == "&lt;attr"

def test_they_come_from_the_layer():
    assert {m.__file__.split("/")[1:4][1] for m in (attr, markupsafe, markupsafe._speedups)} == {"deps"}

def test_the_runner_comes_first():
    import pytest
    assert pytest.__file__.startswith("/opt/layer/")
    assert sys.path.index("/opt/layer") < sys.path.index("/opt/deps/0")

def test_a_layer_cannot_be_written():
    try:
        open("/opt/deps/0/attr/__init__.py", "a")
    except OSError:
        return
    raise AssertionError
"""


def hashed(folder: Path) -> bytes:
    """Return a lock of the wanted packages, with the hashes of what the configured index has for this Python."""
    lines = []
    for name, version in WANTED.items():
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d"]
        subprocess.run([*command, folder / name, f"{name}=={version}"], check=True, capture_output=True)
        (wheel,) = (folder / name).iterdir()
        lines.append(f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    return "".join(lines).encode()


@pytest.fixture(scope="module")
def lock(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return hashed(tmp_path_factory.mktemp("lock"))


@pytest.fixture(scope="module")
def layer(lock: bytes, tmp_path_factory: pytest.TempPathFactory) -> Layer:
    return build(lock, folder=tmp_path_factory.mktemp("layers") / "own", python=Interpreter.current())


def test_two_builds_of_one_lock_are_the_same_to_the_byte(lock: bytes, layer: Layer, tmp_path: Path) -> None:
    assert build(lock, folder=tmp_path / "again", python=Interpreter.current()).digest == layer.digest
    assert [name for name, _, _ in layer.packages] == list(WANTED)


async def test_a_suite_imports_what_its_bases_lock_names(room: Room, layer: Layer) -> None:
    tree = {"code_under_test.py": (0o100644, CODE.encode()), "test_code.py": (0o100644, TEST.encode())}
    with hold(layer) as path:
        seen = await run(Suite(tree, tree, layer_dirs=(path,)), limits=Limits(), room=room)
    assert seen.passed, seen.findings
    assert len(seen.expected) == 4
    verify(layer)


def test_what_verifying_costs_is_shown(layer: Layer, capsys: pytest.CaptureFixture[str]) -> None:
    size = sum(p.stat().st_size for p in layer.path.rglob("*") if p.is_file())
    began = time.monotonic()
    verify(layer)
    with capsys.disabled():
        print(f"\nverify: {size >> 10} KiB in {(time.monotonic() - began) * 1000:.1f} ms")
    assert size > 0


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("attrs==26.1.0 --hash=sha256:" + "0" * 64, "layer.hash_mismatch"),
        ("attrs==0.0.1 --hash=sha256:" + "0" * 64, "layer.no_wheel"),
    ],
)
def test_pip_refuses_what_the_lock_does_not_name(tmp_path: Path, line: str, code: str) -> None:
    with pytest.raises(LayerError) as caught:
        build(line.encode(), folder=tmp_path / "own", python=Interpreter.current())
    assert caught.value.code == code
    assert "://" not in caught.value.message


SOURCES = {
    "docopt": "docopt==0.6.2 --hash=sha256:49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491",
    "sniffio": "sniffio==1.3.1 --hash=sha256:f4324edc670a0f49750a81b895f35c3adb843cca46f0530f79fc1babb23789dc",
}
"""The first has no wheel at all; of the second the lock names the source archive only."""


@pytest.mark.parametrize("name", SOURCES)
async def test_a_source_archive_is_built_in_the_sandbox_and_imported_by_a_suite(
    room: Room, tmp_path: Path, name: str
) -> None:
    workshop = Workshop(room, tmp_path / "tools")
    lock = SOURCES[name].encode()
    layer = build(lock, folder=tmp_path / "own", python=Interpreter.current(), workshop=workshop)
    assert layer.packages == ((name, SOURCES[name].split()[0].partition("==")[2], SOURCES[name][-64:]),)
    test = f"import {name}\ndef test_it(): assert {name}.__file__.startswith('/opt/deps/0/') and {name}.__version__\n"
    tree = {"test_it.py": (0o100644, test.encode())}
    with hold(layer) as path:
        seen = await run(Suite(tree, tree, layer_dirs=(path,)), limits=Limits(), room=room)
    assert seen.passed, seen.findings
    with pytest.raises(LayerError) as caught:
        build(lock, folder=tmp_path / "none", python=Interpreter.current())
    assert caught.value.code == "layer.no_wheel"
