"""Wheels that reach out of themselves, run at start-up or stand in the runner's place are refused."""

from __future__ import annotations

import io
import stat
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoguard_sandbox.installing.wheels import Caps, Unpacked, add_wheel
from evoguard_sandbox.types import LayerError
from unit.sandbox.wheels import member, wheel

INFO = "demo-1.0.dist-info/METADATA"
RECORD = "demo-1.0.dist-info/RECORD"


def unpack(data: bytes, caps: Caps | None = None) -> dict[str, tuple[int, bytes]]:
    into = Unpacked()
    add_wheel(into, "demo.whl", data, caps or Caps())
    return into.files


def code_of(data: bytes, caps: Caps | None = None) -> str:
    into = Unpacked()
    with pytest.raises(LayerError) as caught:
        add_wheel(into, "demo.whl", data, caps or Caps())
    assert into.files == {}
    assert caught.value.message.isprintable()
    return caught.value.code


def raw(*members: tuple[zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(INFO, b"")
        for info, data in members:
            archive.writestr(info, data, compress_type=method)
    return out.getvalue()


def test_both_libraries_are_laid_in_one_place_and_all_else_is_left_out():
    files = {
        "demo/__init__.py": "x = 1\n",
        "demo/data.bin": b"\0\1",
        "demo-1.0.data/purelib/pure.py": "",
        "demo-1.0.data/platlib/fast.so": b"elf",
        "demo-1.0.data/scripts/demo": "#!python",
        "demo-1.0.data/headers/demo.h": "",
        "demo-1.0.data/data/share/x": "",
        "demo-1.0.data/purelib/later.pth": "import evil",
        "demo.pth": "import evil",
        "demo/deep.pth": "import evil",
        "demo/__pycache__/__init__.cpython-311.pyc": b"stale",
        "demo/hidden.pyc": b"no source",
        "demo/old.pyo": b"",
        "demo-1.0.dist-info/entry_points.txt": "[pytest11]\ndemo = demo.plugin\n",
    }
    assert set(unpack(wheel(files))) == {
        INFO, RECORD, "demo/__init__.py", "demo/data.bin", "pure.py", "fast.so", "demo-1.0.dist-info/entry_points.txt",
    }  # fmt: skip


def test_only_the_right_to_run_is_kept_of_a_mode():
    seen = unpack(raw((member("run", 0o104755), b""), (member("read", 0o100666), b""), (member("none", 0), b"")))
    assert {path: oct(mode) for path, (mode, _) in seen.items() if path != INFO} == {
        "run": "0o755",
        "read": "0o644",
        "none": "0o644",
    }


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("../out.py", 0o100644),
        ("demo/../../out.py", 0o100644),
        ("/etc/out.py", 0o100644),
        ("demo//x.py", 0o100644),
        ("./x.py", 0o100644),
        ("demo\\x.py", 0o100644),
        ("demo/a\nb.py", 0o100644),
        ("demo/a\x1b[2J.py", 0o100644),
        ("x" * 300, 0o100644),
        ("demo-1.0.data/purelib/../../x.py", 0o100644),
        ("../folder/", 0o040755),
        ("demo/link", stat.S_IFLNK | 0o777),
        ("demo/pipe", stat.S_IFIFO | 0o644),
        ("demo/device", stat.S_IFCHR | 0o644),
        ("demo/folder", stat.S_IFDIR | 0o755),
    ],
)
def test_a_member_that_is_no_plain_file_inside_is_refused(path, mode):
    if path == "../folder/":
        assert set(unpack(raw((member(path, mode), b"")))) == {INFO}, "an empty folder is never made"
    else:
        assert code_of(raw((member(path, mode), b"x"))) == "layer.bad_wheel"


def test_a_name_that_zipfile_would_cut_short_is_refused():
    data = raw((member("demo/innocent_name.py"), b"x")).replace(b"innocent_name.py", b"a.py\0cent_name.py"[:16])
    assert code_of(data) == "layer.bad_wheel"


@pytest.mark.parametrize(
    "path",
    ["sitecustomize.py", "usercustomize.py", "sitecustomize/__init__.py", "sitecustomize.cpython-311-x.so",
     "demo-1.0.data/platlib/usercustomize.py"],
)  # fmt: skip
def test_code_that_python_runs_at_its_start_is_refused(path):
    assert code_of(wheel({path: "import evil"})) == "layer.start_code"


@pytest.mark.parametrize(
    "path",
    ["pytest.py", "pytest/__init__.py", "_pytest/runner.py", "pluggy/__init__.py", "pluggy.so", "iniconfig/x.py",
     "packaging/version.py", "demo-1.0.data/purelib/pytest.py"],
)  # fmt: skip
def test_a_name_of_the_test_runner_is_refused(path):
    assert code_of(wheel({path: "x = 1"})) == "layer.shadows_runner"


@pytest.mark.parametrize("path", ["difflib.py", "unittest/__init__.py", "_json.cpython-311-x.so", "json/x.txt"])
def test_a_name_of_pythons_own_library_is_refused(path):
    assert code_of(wheel({path: "x = 1"})) == "layer.shadows_stdlib"


def test_a_name_below_the_packages_own_may_be_anything():
    files = {"demo/pytest.py": "", "demo/sitecustomize.py": "", "demo/json/__init__.py": "", "pytest_demo.py": ""}
    assert set(unpack(wheel(files))) == {INFO, RECORD, *files}


@pytest.mark.parametrize(
    ("files", "caps"),
    [
        ({"demo.py": b"x" * 101}, Caps(layer_bytes=100)),
        ({f"demo{n}.py": "" for n in range(4)}, Caps(layer_files=4)),
        ({f"demo{n}.pyc": "" for n in range(5)}, Caps(layer_files=4)),
    ],
)
def test_more_than_a_layer_may_hold_is_refused(files, caps):
    assert code_of(wheel(files), caps) == "layer.too_large"


@pytest.mark.parametrize("caps", [Caps(layer_bytes=450), Caps(layer_files=5)])
def test_bounds_hold_for_all_wheels_together(caps):
    into = Unpacked()
    add_wheel(into, "a.whl", wheel({"a.py": b"x" * 160}, "a"), caps)
    with pytest.raises(LayerError, match="more than a layer"):
        add_wheel(into, "b.whl", wheel({"b.py": b"x" * 160}, "b"), caps)


@pytest.mark.parametrize(
    ("first", "second"),
    [({"ns/x.py": "1"}, {"ns/x.py": "2"}), ({"ns": "1"}, {"ns/x.py": "2"}), ({"ns/x.py": "1"}, {"ns": "2"})],
)
def test_two_wheels_that_want_one_place_are_refused(first, second):
    into = Unpacked()
    add_wheel(into, "a.whl", wheel(first, "a"), Caps())
    with pytest.raises(LayerError) as caught:
        add_wheel(into, "b.whl", wheel(second, "b"), Caps())
    assert caught.value.code == "layer.clash"


def test_two_wheels_may_share_a_file_of_the_same_bytes():
    into = Unpacked()
    for name in ("a", "b"):
        add_wheel(into, name, wheel({"ns/__init__.py": "", f"ns/{name}.py": ""}, name), Caps())
    assert {"ns/__init__.py", "ns/a.py", "ns/b.py"} <= set(into.files)


def twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return raw((member("demo.py"), b"1"), (member("demo.py"), b"2"))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a zip" * 50, id="no zip"),
        pytest.param(wheel({"demo.py": "x" * 500})[:300], id="cut short"),
        pytest.param(wheel({"demo.py": b"payload"}).replace(b"METADATA", b"METADATB", 1), id="two names"),
        pytest.param(raw((member("demo.py"), b"x" * 99), method=zipfile.ZIP_LZMA), id="lzma"),
        pytest.param(raw((member("demo.py"), b"x" * 99), method=zipfile.ZIP_BZIP2), id="bzip2"),
        pytest.param(raw((member("other-2.0.dist-info/METADATA"), b"")), id="two metadata folders"),
        pytest.param(
            raw((member("demo.py"), b"data!"), method=zipfile.ZIP_STORED).replace(b"data!", b"evil!"), id="crc"
        ),
    ],
)
def test_an_archive_that_cannot_be_trusted_to_the_byte_is_refused(data):
    assert code_of(data) == "layer.bad_wheel"


def test_one_path_twice_in_a_wheel_is_refused():
    assert code_of(twice()) == "layer.bad_wheel"


@settings(deadline=None)
@given(st.data())
def test_damage_anywhere_is_an_error_of_ours_or_leaves_safe_paths(data):
    whole = bytearray(wheel({"demo/__init__.py": "x = 1\n" * 9, "demo/run.so": b"\0" * 40}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        seen = unpack(bytes(whole))
    except LayerError:
        return
    assert all(
        not p.startswith("/") and ".." not in p.split("/") and mode in (0o644, 0o755) for p, (mode, _) in seen.items()
    )
