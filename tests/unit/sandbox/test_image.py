from __future__ import annotations

import importlib.util
import io
import os
import py_compile
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from evoguard_sandbox.rooms import image
from evoguard_sandbox.rooms.engine_image import archive, config, name_of
from evoguard_sandbox.rooms.image import Part
from evoguard_sandbox.rooms.room import Interpreter
from evoguard_sandbox.rooms.spec import Bind
from evoguard_sandbox.types import SandboxError


def a_folder(place: Path, order: int = 1) -> Path:
    """Make the same files, in one order or the other, with the times and rights that happen to be."""
    place.mkdir()
    for name in ["a.py", "b/c.sh", "b/d", "e"][::order]:
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(name)
    (place / "b/c.sh").chmod(0o700 | (0o077 if order > 0 else 0o055))
    (place / "l").symlink_to("b/d")
    return place


def tar_of(parts: list[Part]) -> tuple[str, bytes]:
    out = io.BytesIO()
    return image.write(parts, out), out.getvalue()


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        return {member.name: member for member in opened}


def test_two_builds_of_the_same_files_are_the_same_bytes(tmp_path: Path):
    one, two = a_folder(tmp_path / "one"), a_folder(tmp_path / "two", order=-1)
    for path in two.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    first, second = (tar_of(image.layer(Bind(folder, "/opt/deps/0"))) for folder in (one, two))
    assert first == second
    (two / "e").write_text("E")
    assert tar_of(image.layer(Bind(two, "/opt/deps/0"))) != first


def test_a_tar_says_nothing_of_whom_and_when(tmp_path: Path):
    folder = a_folder(tmp_path / "one")
    (folder / "e").chmod(0o4755)
    found = members(tar_of(image.layer(Bind(folder, "/opt/deps/0")))[1])
    assert list(found) == sorted(found)
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in found.values()} == {(0, 0, "", "", 0)}
    modes = {name.removeprefix("opt/deps/0/"): oct(m.mode) for name, m in found.items() if m.isreg()}
    assert modes == {"a.py": "0o644", "b/c.sh": "0o755", "b/d": "0o644", "e": "0o755"}
    assert found["opt/deps/0/l"].linkname == "b/d"
    assert found["opt"].isdir()


def test_what_is_not_for_everybody_stays_here(tmp_path: Path):
    folder = a_folder(tmp_path / "one")
    (folder / "secret").write_text("s")
    (folder / "secret").chmod(0o640)
    os.mkfifo(folder / "pipe", 0o666)
    found = members(tar_of(image.layer(Bind(folder, "/x")))[1])
    assert "x/a.py" in found
    assert {"x/secret", "x/pipe"} & found.keys() == set()


def test_a_name_that_takes_a_lower_file_away_is_refused(tmp_path: Path):
    folder = a_folder(tmp_path / "one")
    (folder / "b" / ".wh.pytest").touch()
    with pytest.raises(SandboxError):
        image.layer(Bind(folder, "/opt/deps/0"))


@pytest.mark.parametrize("changed", [False, True], ids=["as it was compiled", "changed since"])
def test_compiled_python_is_believed_in_the_image_where_it_is_believed_here(tmp_path: Path, changed: bool):
    source = tmp_path / "m.py"
    source.write_text("x = 1\n")
    made = Path(str(py_compile.compile(str(source), doraise=True)))
    os.utime(source, (9, 9)) if changed else None
    _, data = tar_of(image.layer(Bind(tmp_path, "/m")))
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        held = opened.extractfile(f"m/__pycache__/{made.name}")
        assert held is not None
        head = held.read(16)
    assert head[:4] == importlib.util.MAGIC_NUMBER
    assert (head[8:12] == bytes(4)) is not changed


def test_the_listing_changes_when_a_file_does(tmp_path: Path):
    folder = a_folder(tmp_path / "one")
    before = image.listing(image.layer(Bind(folder, "/x")))
    assert image.listing(image.layer(Bind(folder, "/x"))) == before
    seen = (folder / "e").stat()
    (folder / "e").write_text("E")
    os.utime(folder / "e", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert image.listing(image.layer(Bind(folder, "/x"))) != before


def a_layer(place: Path) -> Path:
    (place / "pytest").mkdir(parents=True)
    (place / "pytest" / "__init__.py").write_text("")
    return place


def test_the_base_holds_an_interpreter_its_libraries_our_programs_and_every_mount_point(tmp_path: Path):
    python = Interpreter.current()
    parts = {part.target: part for part in image.base(a_layer(tmp_path / "own"), python)}
    assert parts[python.guest_path[1:]].source is not None
    mounted = {"proc", "dev", "dev/shm", "tmp", "room", "opt/layer", "opt/guest", *(f"opt/deps/{n}" for n in range(8))}
    assert mounted <= {name for name, part in parts.items() if part.source is None and not part.link}
    assert {"opt/layer/pytest/__init__.py", "opt/guest/supervisor.py", "usr/bin/sh", "etc/passwd"} <= parts.keys()
    assert any("/libc.so" in name for name in parts)
    assert not any("site-packages" in name.split("/") for name in parts)
    assert all(p.source is None or stat.S_ISREG(p.source.stat().st_mode) for p in parts.values())
    assert list(parts) == sorted(parts)


def test_the_base_is_small_and_imports_no_source_that_is_not_compiled(tmp_path: Path):
    python = Interpreter.current()
    parts = image.base(a_layer(tmp_path / "own"), python)
    assert sum(part.source.stat().st_size for part in parts if part.source is not None) < 300 << 20
    names = {part.target for part in parts}
    for module in ("os", "re", "json", "asyncio"):
        stem = next(
            n for n in names if n.endswith((f"{python.name}/{module}.py", f"{python.name}/{module}/__init__.py"))
        )
        folder, _, name = stem.rpartition("/")
        assert any(n.startswith(f"{folder}/__pycache__/{name.removesuffix('py')}") for n in names), module
    assert not any(".opt-" in name for name in names)


def test_what_an_image_says_of_accounts_and_names_is_ours_and_not_the_hosts(tmp_path: Path):
    held = members(
        tar_of([p for p in image.base(a_layer(tmp_path / "own"), Interpreter.current()) if p.text is not None])[1]
    )
    assert set(held) == {f"etc/{name}" for name in ("passwd", "group", "hosts", "nsswitch.conf", "resolv.conf")}


def test_a_program_that_is_asked_for_comes_with_the_libraries_it_loads(tmp_path: Path):
    own = a_layer(tmp_path / "own")
    program = Path(sys.executable).resolve()
    parts = {p.target for p in image.base(own, Interpreter.current(), (program,))}
    assert str(program)[1:] in parts
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    assert all(
        str(Path(word).parent.resolve() / Path(word).name)[1:] in parts for word in told.split() if word[0] == "/"
    )
    with pytest.raises(SandboxError) as caught:
        image.base(own, Interpreter.current(), (tmp_path / "absent",))
    assert (caught.value.code, bool(caught.value.fix)) == ("sandbox.program_missing", True)


def test_nothing_lies_below_a_link_where_writing_it_would_lead_out(tmp_path: Path):
    with pytest.raises(SandboxError):
        image.whole([Part("lib", link="/etc"), Part("lib/passwd", text="x")])


def test_an_archive_holds_its_layers_under_their_digests(tmp_path: Path):
    spools, digests = [], []
    for n in range(2):
        spools.append(tmp_path / f"spool{n}")
        with spools[n].open("wb") as out:
            digests.append(image.write(image.layer(Bind(a_folder(tmp_path / f"f{n}"), f"/opt/deps/{n}")), out))
    found = members(b"".join(archive(digests, spools)))
    assert [name for name in found if name.endswith(".tar")] == [f"{digest[7:]}.tar" for digest in digests]
    assert all(
        found[f"{digest[7:]}.tar"].size == spool.stat().st_size for digest, spool in zip(digests, spools, strict=True)
    )
    assert found[f"{name_of(digests).partition(':')[2]}.json"].size == len(config(digests))
    assert name_of(digests) != name_of(digests[::-1])
