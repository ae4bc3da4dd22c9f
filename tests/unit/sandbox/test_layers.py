"""A layer is what its digest says, built once from its lock, verified at each use, and never removed under anybody."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evoguard_sandbox import Interpreter, SandboxError, layers
from evoguard_sandbox.installing.pip import _told
from evoguard_sandbox.layers import APART, Caps, Layer, build, build_apart, collect_garbage, hold, verify
from evoguard_sandbox.store import MANIFEST, load
from evoguard_sandbox.types import LayerError
from unit.sandbox.wheels import fetching, lock, sha256, wheel

DEMO = wheel({"demo/__init__.py": "VALUE = 41\n", "demo/run.sh": "#!/bin/sh\n", "demo/broken.py": "def (:\n"})
OTHER = wheel({"other.py": "VALUE = 1\n"}, "other")
PYTHON = Interpreter.current()
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def never(*_: object) -> None:
    raise AssertionError("nothing may be fetched")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "layers"


def made(folder: Path, **wheels: bytes) -> Layer:
    wheels = wheels or {"demo": DEMO}
    return build(lock(**wheels), folder=folder, python=PYTHON, fetch=fetching(**wheels))


def digests(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.is_dir() and p.name != "keys"]


def test_a_layer_is_found_under_its_digest_with_its_packages(folder):
    layer = made(folder)
    assert layer.path == folder / layer.digest.removeprefix("sha256:")
    assert layer.packages == (("demo", "1.0", sha256(DEMO)),)
    assert (layer.path / "demo/__init__.py").read_text() == "VALUE = 41\n"
    assert digests(folder) == [layer.path.name]
    verify(layer)


def test_nothing_in_a_layer_can_be_written_and_nobody_else_can_reach_it(folder):
    layer = made(folder)
    modes = {p.stat().st_mode & 0o7777 for p in [layer.path, *layer.path.rglob("*")]}
    assert modes == {0o555, 0o444}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in (folder / "keys").iterdir())


def test_the_same_lock_is_built_once_and_equal_content_has_one_digest(folder, tmp_path):
    layer = made(folder)
    assert build(lock(demo=DEMO), folder=folder, python=PYTHON, fetch=never) == layer
    again = build(lock(demo=DEMO) + b"# a word\n", folder=folder, python=PYTHON, fetch=fetching(demo=DEMO))
    assert again == layer
    assert made(tmp_path / "elsewhere").digest == layer.digest
    assert made(folder, demo=DEMO, other=OTHER).digest != layer.digest


def test_modules_are_compiled_by_us_and_run_without_a_look_at_their_source(folder):
    stale = wheel(
        {"demo.py": "VALUE = 41\n", f"__pycache__/demo.{sys.implementation.cache_tag}.pyc": b"the wheel's own"}
    )
    layer = made(folder, demo=stale)
    (compiled,) = (layer.path / "__pycache__").iterdir()
    assert compiled.read_bytes()[4:8] == b"\1\0\0\0", "hash-based and unchecked"
    code = "import sys; sys.path.append(sys.argv[1]); import demo; print(demo.VALUE, demo.__cached__)"
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", code, layer.path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["41", str(compiled)]


def test_no_code_of_a_wheel_runs_while_the_layer_is_built(folder, tmp_path):
    mark = tmp_path / "ran"
    text = f"open({str(mark)!r}, 'w')\n"
    files = {"demo/__init__.py": text, "setup.py": text, "demo.pth": "import demo", "compileall_demo.py": text}
    made(folder, demo=wheel(files))
    assert not mark.exists()


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


TOUCHES: dict[str, Callable[[Path], object]] = {
    "content": lambda p: p.write_text("VALUE = 42\n"),
    "compiled": lambda p: next((p.parent / "__pycache__").glob("__init__*")).write_bytes(b""),
    "added": lambda p: (p.parent.parent / "extra.py").write_text(""),
    "added folder": lambda p: (p.parent.parent / "extra").mkdir(),
    "removed": lambda p: p.unlink(),
    "link": _link,
    "hard link": lambda p: os.link(p, p.parents[2] / "outside"),
    "mode": lambda p: p.with_name("run.sh").chmod(0o644),
}


def tampered(layer: Layer, how: str) -> None:
    path = layer.path / "demo/__init__.py"
    kept = {p: p.stat().st_mode for p in (layer.path, *layer.path.rglob("*"))}
    for p in kept:
        p.chmod(0o755)
    TOUCHES[how](path)
    for p, mode in kept.items():
        if p.exists() and not p.is_symlink() and (how, p.name) != ("mode", "run.sh"):
            p.chmod(mode)


@pytest.mark.parametrize("how", TOUCHES)
def test_a_layer_that_was_touched_is_never_used_again(folder, how):
    layer = made(folder)
    tampered(layer, how)
    for use in (
        lambda: verify(layer),
        lambda: hold(layer).__enter__(),
        lambda: load(folder, layer.digest),
        lambda: build(lock(demo=DEMO), folder=folder, python=PYTHON, fetch=never),
        lambda: build(lock(demo=DEMO) + b"\n", folder=folder, python=PYTHON, fetch=fetching(demo=DEMO)),
    ):
        with pytest.raises(LayerError) as caught:
            use()
        assert caught.value.code == "layer.changed"


def test_touched_content_with_its_times_set_back_is_found_all_the_same(folder):
    layer = made(folder)
    path = layer.path / "demo/__init__.py"
    was = path.stat()
    path.chmod(0o644)
    path.write_text("VALUE = 42\n")
    path.chmod(0o444)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (path.stat().st_ino, path.stat().st_size) == (was.st_ino, was.st_size)
    with pytest.raises(LayerError):
        verify(layer)


def test_a_note_that_was_changed_leads_to_no_other_locks_layer(folder):
    layer, other = made(folder), made(folder, other=OTHER)
    for note in (folder / "keys").iterdir():
        note.write_text(other.digest)
    assert build(lock(demo=DEMO), folder=folder, python=PYTHON, fetch=fetching(demo=DEMO)) == layer


def test_a_layer_for_another_python_is_another_layer_whatever_a_note_says(folder, tmp_path):
    (tmp_path / "bin").mkdir()
    other = tmp_path / "bin" / PYTHON.name
    other.write_text(f'#!/bin/sh\ncase "$*" in *get_platform*) echo other ;; *) exec {sys.executable} "$@" ;; esac\n')
    other.chmod(0o755)
    layer = made(folder)
    foreign = build(
        lock(demo=DEMO), folder=folder, python=Interpreter(tmp_path, PYTHON.name), fetch=fetching(demo=DEMO)
    )
    assert foreign.digest != layer.digest
    for note in (folder / "keys").iterdir():
        note.write_text(foreign.digest)
    assert made(folder) == layer


@pytest.mark.parametrize("note", ["", "sha256:../..", "sha256:" + "0" * 64, "\udcff"])
def test_a_note_that_leads_nowhere_is_built_anew(folder, note):
    layer = made(folder)
    (path,) = (folder / "keys").iterdir()
    path.write_bytes(note.encode("utf-8", "surrogateescape"))
    assert made(folder) == layer


@pytest.mark.parametrize(
    ("wheels", "code"),
    [
        ({"demo": OTHER}, "layer.hash_mismatch"),
        ({"other": DEMO}, "layer.hash_mismatch"),
        ({"demo": DEMO, "other": OTHER}, "layer.hash_mismatch"),
        ({"demo": DEMO + b"\0"}, "layer.hash_mismatch"),
        ({}, "layer.no_wheel"),
    ],
)
def test_what_the_source_brings_is_not_believed(folder, wheels, code):
    with pytest.raises(LayerError) as caught:
        build(lock(demo=DEMO), folder=folder, python=PYTHON, fetch=fetching(**wheels))
    assert caught.value.code == code
    assert digests(folder) == []


@pytest.mark.parametrize("name", ["demo-1.0.tar.gz", "demo-1.0.zip", "demo.whl", "setup.py"])
def test_a_source_archive_is_no_wheel(folder, name):
    def fetch(pins, into, python):
        (into / name).write_bytes(DEMO)

    with pytest.raises(LayerError) as caught:
        build(lock(demo=DEMO), folder=folder, python=PYTHON, fetch=fetch)
    assert caught.value.code == "layer.no_wheel"


def test_a_wheel_that_is_a_link_or_too_large_is_not_read(folder, tmp_path):
    (tmp_path / "real.whl").write_bytes(DEMO)

    def linked(pins, into, python):
        (into / "demo-1.0-py3-none-any.whl").symlink_to(tmp_path / "real.whl")

    with pytest.raises(LayerError, match="plain file"):
        build(lock(demo=DEMO), folder=folder, python=PYTHON, fetch=linked)
    caps = Caps(wheel_bytes=len(DEMO) - 1)
    with pytest.raises(LayerError, match="larger"):
        build(lock(demo=DEMO), folder=folder, python=PYTHON, fetch=fetching(demo=DEMO), caps=caps)
    assert digests(folder) == []


def test_a_package_may_be_absent_only_by_its_marker(folder):
    text = lock(demo=DEMO) + lock(other=OTHER).replace(b"1.0", b"1.0 ; os_name == 'nt'")
    layer = build(text, folder=folder, python=PYTHON, fetch=fetching(demo=DEMO))
    assert [name for name, _, _ in layer.packages] == ["demo"]


def test_a_refused_wheel_leaves_nothing_behind(folder):
    evil = wheel({"pytest.py": ""})
    with pytest.raises(SandboxError) as caught:
        made(folder, demo=evil)
    assert caught.value.code == "layer.shadows_runner"
    assert sorted(p.name for p in folder.iterdir()) == [".building", "keys"]


def test_a_folder_that_others_reach_into_is_refused(folder):
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(LayerError) as caught:
        made(folder)
    assert caught.value.code == "layer.folder_open"


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_file_in_the_folders_place_is_refused(folder, mode):
    folder.touch()
    folder.chmod(mode)
    with pytest.raises(LayerError) as caught:
        made(folder)
    assert caught.value.code == "layer.folder_open"


def test_a_folder_behind_a_link_is_refused(folder, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "real")
    with pytest.raises(LayerError):
        made(folder)


def used(layer: Layer, days_ago: float) -> Layer:
    with hold(layer):
        pass
    at = (NOW - timedelta(days=days_ago)).timestamp()
    os.utime(layer.path.with_name(layer.path.name + ".use"), (at, at))
    return layer


def test_garbage_is_what_nobody_used_for_long_and_then_the_oldest_beyond_the_bound(folder):
    old, middle, new = (
        used(made(folder, **{name: wheel({f"{name}.py": "x = 1\n" * 50}, name)}), days)
        for name, days in (("one", 40), ("two", 20), ("six", 1))
    )
    size = sum(p.stat().st_size for p in new.path.rglob("*") if p.is_file())
    listed = collect_garbage(folder, size, 30, NOW, dry_run=True)
    assert [(g.name, g.why) for g in listed] == [(old.path.name, "old"), (middle.path.name, "too much")]
    assert len(digests(folder)) == 3
    assert collect_garbage(folder, size, 30, NOW) == listed
    assert digests(folder) == [new.path.name]
    assert len(list((folder / "keys").iterdir())) == 1
    assert collect_garbage(folder, size, 30, NOW) == ()


def test_a_layer_in_use_is_never_garbage(folder):
    layer = made(folder)
    with hold(layer):
        assert collect_garbage(folder, 0, 0, NOW + timedelta(days=9999)) == ()
        verify(layer)
    assert [g.name for g in collect_garbage(folder, 0, 0, NOW + timedelta(days=9999))] == [layer.path.name]
    with pytest.raises(LayerError) as caught:
        verify(layer)
    assert caught.value.code == "layer.gone"


def test_a_clock_set_back_makes_no_layer_old(folder):
    used(made(folder), -400)
    assert collect_garbage(folder, 1 << 40, 30, NOW) == ()


def test_what_a_dead_builder_left_is_garbage(folder):
    layer = used(made(folder), 0)
    (folder / ".tmp-dead").mkdir()
    (folder / ".tmp-dead/x").write_text("12345")
    (folder / ".tmp-dead.txt").write_text("1")
    found = collect_garbage(folder, 1 << 40, 30, NOW)
    assert [(g.name, g.size_bytes, g.why) for g in found] == [
        (".tmp-dead", 5, "unfinished"), (".tmp-dead.txt", 1, "unfinished"),
    ]  # fmt: skip
    assert digests(folder) == [layer.path.name]


def test_what_a_layer_is_made_of_is_part_of_its_digest(folder):
    layer = made(folder)
    (layer.path / MANIFEST).chmod(0o644)
    (layer.path / MANIFEST).write_text("{}")
    (layer.path / MANIFEST).chmod(0o444)
    with pytest.raises(LayerError):
        load(folder, layer.digest)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "layer.hash_mismatch"),
        ("ERROR: No matching distribution found for demo==1.0", "layer.no_wheel"),
        ("/usr/bin/python: No module named pip", "layer.no_pip"),
        ("ERROR: cannot reach https://user:secret@host.example/simple", "layer.fetch_failed"),
    ],
)
def test_what_pip_says_becomes_an_error_that_names_no_address(said, code):
    err = _told(said)
    assert err.code == code
    assert "host.example" not in err.message
    assert "secret" not in err.message


def apart(folder: Path, **wheels: bytes) -> Layer:
    return build_apart(lock(**wheels), folder=folder, python=PYTHON, fetch=fetching(**wheels))


def test_a_changed_locks_layer_has_a_folder_of_its_own_where_no_bases_is_looked_for(folder, tmp_path):
    layer = apart(folder, demo=DEMO)
    assert apart(folder, demo=DEMO) == layer
    for build_base in (lambda: made(folder), lambda: made(folder, other=OTHER)):
        with pytest.raises(LayerError) as caught:
            build_base()
        assert (caught.value.code, bool(caught.value.fix)) == ("layer.folder_mixed", True)
    base = made(tmp_path / "base")
    assert (base.digest, base.path.parent) == (layer.digest, tmp_path / "base"), "one content has one name"
    with pytest.raises(LayerError) as caught:
        apart(tmp_path / "base", other=OTHER)
    assert caught.value.code == "layer.folder_mixed"


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        (Caps(packages=1), "layer.too_large"),
        (Caps(wheel_bytes=10), "layer.too_large"),
        (Caps(layer_bytes=10), "layer.too_large"),
        (Caps(layer_files=1), "layer.too_large"),
    ],
)
def test_a_changed_locks_layer_is_bounded(folder, monkeypatch, bounds, code):
    monkeypatch.setattr(layers, "APART", bounds)
    with pytest.raises(LayerError) as caught:
        apart(folder, demo=DEMO, other=OTHER)
    assert (caught.value.code, bool(caught.value.fix)) == (code, True)
    assert digests(folder) == []
    assert (APART.packages, APART.sources, APART.layer_bytes) < (Caps().packages, Caps().sources, Caps().layer_bytes)


def test_a_changed_locks_layers_are_cleared_but_for_the_one_just_made(folder, monkeypatch):
    first = apart(folder, demo=DEMO)
    monkeypatch.setattr(layers, "APART_KEEP_BYTES", 0)
    second = apart(folder, other=OTHER)
    assert digests(folder) == [second.path.name]
    assert first.path != second.path
    verify(second)


def test_more_sources_than_the_bound_are_refused_before_one_is_built(folder):
    def fetch(pins, into, python):
        for n in range(21):
            (into / f"demo-{n}.tar.gz").write_bytes(DEMO)

    class Never:
        def tools(self) -> str:
            raise AssertionError

        def wheel(self, *_: object) -> tuple[str, bytes]:
            raise AssertionError

    with pytest.raises(LayerError) as caught:
        build(lock(demo=DEMO), folder=folder, python=PYTHON, fetch=fetch, workshop=Never())
    assert caught.value.code == "layer.too_large"
