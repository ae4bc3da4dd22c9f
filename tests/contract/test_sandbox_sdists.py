"""Source archives in real gVisor: built apart from this machine, and a hostile one harms nothing."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import socket
import tarfile
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evoguard_sandbox import Interpreter, Limits, Room, Suite, run
from evoguard_sandbox.installing.locks import Pin
from evoguard_sandbox.layers import Layer, build, build_apart, hold
from evoguard_sandbox.store import MANIFEST
from evoguard_sandbox.types import LayerError
from evoguard_sandbox.workshop import LIMITS, Workshop
from unit.sandbox.wheels import fetching, lock, wheel

pytestmark = pytest.mark.needs_gvisor
PYTHON = Interpreter.current()
TOOLS = wheel({"spade.py": "NAME = 'spade'\n"}, "spade")
SYSTEM = '[build-system]\nrequires = ["spade"]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
MAKE = """
import base64, hashlib, zipfile
def make(folder, files, name="demo-1.0-py3-none-any.whl"):
    info = "demo-1.0.dist-info"
    files = {f"{info}/METADATA": "Name: demo\\nVersion: 1.0\\n", **files}
    rows = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows += f"{path},sha256={digest},\\n"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as archive:
        for path, text in {**files, f"{info}/RECORD": rows + f"{info}/RECORD,,\\n"}.items():
            archive.writestr(path, text)
    return name
"""
GOOD = """
import spade
def build_wheel(folder, settings=None, metadata=None):
    return make(folder, {"demo.py": f"TOOL = {spade.NAME!r}\\n"})
"""


@pytest.fixture(scope="module")
def workshop(room: Room, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("tools") / "own"
    return Workshop(room, folder, fetching(spade=TOOLS), replace(LIMITS, wall_s=30), lock(spade=TOOLS))


def sdist(backend: str, *, system: str = SYSTEM, more: dict[str, bytes] | None = None) -> bytes:
    out = io.BytesIO()
    files = {
        "pyproject.toml": system.encode(),
        "backend.py": (MAKE + textwrap.dedent(backend)).encode(),
        **(more or {}),
    }
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, data in files.items():
            info = tarfile.TarInfo(f"demo-1.0/{path}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def made(folder: Path, data: bytes, workshop: Workshop | None, **wheels: bytes) -> Layer:
    def fetch(pins: Sequence[Pin], into: Path, python: Interpreter) -> None:
        fetching(**wheels)(pins, into, python)
        (into / "demo-1.0.tar.gz").write_bytes(data)

    return build(lock(demo=data, **wheels), folder=folder, python=PYTHON, fetch=fetch, workshop=workshop)


def refusal(folder: Path, data: bytes, workshop: Workshop, **wheels: bytes) -> LayerError:
    with pytest.raises(LayerError) as caught:
        made(folder, data, workshop, **wheels)
    assert sorted(p.name for p in folder.iterdir()) == [".building", "keys"], "nothing is left under a digest"
    assert caught.value.fix
    assert caught.value.message.isprintable()
    return caught.value


async def test_a_source_archive_becomes_a_layer_that_a_suite_imports(room, workshop, tmp_path):
    data = sdist(GOOD)
    layer = made(tmp_path / "l", data, workshop)
    assert layer.packages == (("demo", "1.0", hashlib.sha256(data).hexdigest()),)
    assert workshop.tools() in (layer.path / MANIFEST).read_text()
    test = b"import demo\ndef test_it(): assert demo.TOOL == 'spade' and demo.__file__.startswith('/opt/deps/0/')\n"
    tree = {"test_it.py": (0o100644, test)}
    with hold(layer) as path:
        seen = await run(Suite(tree, tree, layer_dirs=(path,)), limits=Limits(), room=room)
    assert seen.passed, seen.findings


def test_it_is_built_once_and_the_same_everywhere(workshop, tmp_path):
    data = sdist(GOOD)
    layer = made(tmp_path / "l", data, workshop)
    never = replace(workshop, limits=Limits(start_s=0))
    assert made(tmp_path / "l", data, never) == layer, "the note is believed only for the same tools"
    assert made(tmp_path / "other", data, workshop).digest == layer.digest


def test_other_tools_or_another_archive_make_another_layer(workshop, tmp_path):
    data = sdist(GOOD)
    layer = made(tmp_path / "l", data, workshop)
    tools = wheel({"spade.py": "NAME = 'spade'\n", "more.py": ""}, "spade")
    other = replace(workshop, folder=tmp_path / "tools", fetch=fetching(spade=tools), lock=lock(spade=tools))
    again = made(tmp_path / "l", data, other)
    assert again.digest != layer.digest
    assert (again.path / "demo.py").read_bytes() == (layer.path / "demo.py").read_bytes()
    assert made(tmp_path / "l", sdist(GOOD, more={"x": b""}), workshop).digest != layer.digest


def test_without_a_workshop_a_source_archive_is_refused(tmp_path):
    with pytest.raises(LayerError) as caught:
        made(tmp_path / "l", sdist(GOOD), None)
    assert caught.value.code == "layer.no_wheel"


async def test_it_can_be_built_from_where_an_event_loop_runs(workshop, tmp_path):
    assert made(tmp_path / "l", sdist(GOOD), workshop).packages
    await asyncio.sleep(0)


def test_an_old_setup_py_needs_setuptools_and_says_so(workshop, tmp_path):
    err = refusal(tmp_path / "l", sdist("", system="", more={"setup.py": b"print('ran')\n"}), workshop)
    assert (err.code, "setuptools" in err.message) == ("layer.build_tool", True)


RETURNS = "def build_wheel(folder, settings=None, metadata=None):\n    return make(folder, {files})\n"
WHEEL = "demo-1.0-py3-none-any.whl"


def does(body: str) -> str:
    """Return a back-end whose one step is `body`."""
    return "import os, zipfile\ndef build_wheel(folder, settings=None, metadata=None):\n" + textwrap.indent(
        textwrap.dedent(body).replace("WHEEL", f"folder + '/{WHEEL}'"), "    "
    )


ZEROS = """
    make(folder, {})
    with zipfile.ZipFile(WHEEL, "w", 8) as archive, archive.open("big.py", "w", force_zip64=True) as file:
        for _ in range(1100): file.write(bytes(1 << 20))
"""
GIGABYTES = """
    with open(WHEEL, "wb") as file:
        for _ in range(10240): file.write(bytes(1 << 20))
"""
FORKS = """
    while True:
        try: os.fork()
        except OSError: pass
"""
SAYS = "import sys\nprint('not here: \\x1b[31m', file=sys.stderr)\nsys.exit(3)\n"
HOSTILE = {
    "never ends": (does("while True: pass"), "layer.build_refused"),
    "breaks": (does("raise SystemExit('\\x1b[2Jbroken')"), "layer.build_failed"),
    "says a tool is missing": (SAYS, "layer.build_tool"),
    "makes nothing": (does("return 'x.whl'"), "layer.build_failed"),
    "makes two": (does("make(folder, {})\nmake(folder, {}, 'other-1.0-py3-none-any.whl')"), "layer.build_failed"),
    "makes a link": (does("os.symlink('/etc/passwd', WHEEL)"), "layer.build_failed"),
    "makes a folder": (does("os.mkdir(f'{folder}/d')\nmake(folder + '/d', {})"), "layer.other_package"),
    "another release": (does("make(folder, {}, 'demo-6.6-py3-none-any.whl')"), "layer.other_package"),
    "another package": (does("make(folder, {}, 'other-1.0-py3-none-any.whl')"), "layer.other_package"),
    "no zip": (does("open(WHEEL, 'w').write('x')"), "layer.bad_wheel"),
    "dot-dot": (RETURNS.format(files="{'../../evil.py': ''}"), "layer.bad_wheel"),
    "absolute": (RETURNS.format(files="{'/etc/evil.py': ''}"), "layer.bad_wheel"),
    "start code": (RETURNS.format(files="{'sitecustomize.py': ''}"), "layer.start_code"),
    "the runner's files": (RETURNS.format(files="{'_pytest/runner.py': ''}"), "layer.shadows_runner"),
    "another package's files": (RETURNS.format(files="{'other.py': 'evil'}"), "layer.clash"),
    "ten gigabytes": (does(GIGABYTES), "layer.build_"),
    "a gigabyte of zeros": (does(ZEROS), "layer."),
    "a flood of words": (does("while True: print('x' * 1000)"), "layer.build_refused"),
    "a fork bomb": (does(FORKS), "layer.build_"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_archive_becomes_no_layer(workshop, tmp_path, how):
    backend, code = HOSTILE[how]
    quick = replace(workshop, limits=replace(workshop.limits, wall_s=12))
    other = wheel({"other.py": "honest"}, "other")
    assert refusal(tmp_path / "l", sdist(backend), quick, other=other).code.startswith(code)


def test_files_that_python_runs_at_its_start_are_left_out_of_what_was_built(workshop, tmp_path):
    layer = made(tmp_path / "l", sdist(RETURNS.format(files="{'evil.pth': 'import os', 'demo.py': ''}")), workshop)
    assert {p.name for p in layer.path.iterdir()} == {"demo.py", "demo-1.0.dist-info", "__pycache__", MANIFEST}


LOOKS = """
import os, json
def build_wheel(folder, settings=None, metadata=None):
    seen = {"env": dict(os.environ), "uid": os.getuid(), "secret": os.path.exists(SECRET), "root": os.listdir("/")}
    for path in ("/opt/deps/0/evil.py", "/opt/guest/build_wheel.py", "/usr/lib/evil", "/etc/passwd"):
        try:
            open(path, "a").close()
            seen.setdefault("wrote", []).append(path)
        except OSError:
            pass
    return make(folder, {"demo.py": "", "demo.json": json.dumps(seen)})
"""


def test_what_it_looks_for_is_not_there_and_what_it_writes_stays_there(workshop, tmp_path, monkeypatch):
    monkeypatch.setenv("EVOGUARD_PLANTED", "planted-secret-77c1")
    secret = tmp_path / "secret"
    secret.write_text("planted")
    layer = made(tmp_path / "l", sdist(LOOKS.replace("SECRET", repr(str(secret)))), workshop)
    told = (layer.path / "demo.json").read_text()
    assert "planted" not in told
    assert '"wrote"' not in told
    assert '"uid": 65534' in told
    assert '"secret": false' in told
    with hold(workshop._tools()):
        assert not list(tmp_path.rglob("evil*"))


def test_one_that_tries_the_network_reaches_nobody_and_becomes_no_layer(workshop, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        text = f"""
            import socket
            for where in (("127.0.0.1", {port}), ("169.254.169.254", 80)):
                try: socket.create_connection(where, 1)
                except OSError: pass
        """
        err = refusal(tmp_path / "l", sdist(textwrap.dedent(text) + GOOD), workshop)
        with pytest.raises(TimeoutError):
            server.accept()
    assert (err.code, "169.254.169.254" in err.message) == ("layer.build_refused", True)


@pytest.mark.parametrize("member", ["../out", "/tmp/out", "demo-1.0/../../out"])
def test_an_archive_that_reaches_out_of_itself_is_opened_in_the_sandbox_only(workshop, tmp_path, member):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in ("demo-1.0/pyproject.toml", member):
            archive.addfile(tarfile.TarInfo(name))
    assert refusal(tmp_path / "l", out.getvalue(), workshop).code.startswith("layer.build_")
    assert not os.path.exists("/tmp/out")


def test_a_changed_lock_is_built_apart_within_narrower_bounds(workshop, tmp_path):
    data = sdist(GOOD)

    def fetch(pins: Sequence[Pin], into: Path, python: Interpreter) -> None:
        (into / "demo-1.0.tar.gz").write_bytes(data)

    apart = build_apart(lock(demo=data), folder=tmp_path / "apart", python=PYTHON, fetch=fetch, workshop=workshop)
    base = made(tmp_path / "base", data, workshop)
    assert apart.digest == base.digest
    assert apart.path != base.path
