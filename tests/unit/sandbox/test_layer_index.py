"""A source archive is found where pip looks and taken by its hash alone; nothing of it is opened."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evoguard_sandbox.installing import index as layer_index
from evoguard_sandbox.installing.index import Places, files, settings, source
from evoguard_sandbox.installing.locks import Pin
from evoguard_sandbox.installing.pip import pip
from evoguard_sandbox.rooms.room import Interpreter
from evoguard_sandbox.types import LayerError
from unit.sandbox.wheels import sha256, wheel

DATA = b"a source archive"
PIN = Pin("Demo.Pkg", "1.0", frozenset({sha256(DATA)}))
PASSED = "Basic " + base64.b64encode(b"me:w@rd").decode()


class Index(BaseHTTPRequestHandler):
    pages: dict[str, tuple[str, bytes]]
    asked: list[tuple[str, str]]
    locked = False

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        if self.locked and self.headers.get("Authorization") != PASSED:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()
            return
        kind, data = self.pages.get(self.path, ("", b""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def index() -> Iterator[tuple[str, type[Index]]]:
    handler = type("Handler", (Index,), {"pages": {}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def page(handler: type[Index], link: str, data: bytes = DATA) -> None:
    handler.pages["/simple/demo-pkg/"] = ("text/html", f'<a href="{link}">x</a>'.encode())
    handler.pages["/files/demo_pkg-1.0.tar.gz"] = ("application/octet-stream", data)


@pytest.mark.parametrize("fragment", ["", f"#sha256={sha256(DATA)}"])
def test_an_archive_is_taken_from_an_index_by_its_hash(index, fragment):
    where, handler = index
    page(handler, f"../../files/demo_pkg-1.0.tar.gz{fragment}")
    assert source(PIN, Places((f"http://{where}/simple",))) == ("demo-pkg-1.0.tar.gz", DATA)


def test_json_pages_are_read_too(index):
    where, handler = index
    page(handler, "")
    told = {"files": [{"url": f"http://{where}/files/demo_pkg-1.0.tar.gz", "hashes": {"sha256": sha256(DATA)}}]}
    handler.pages["/simple/demo-pkg/"] = ("application/vnd.pypi.simple.v1+json", json.dumps(told).encode())
    assert source(PIN, Places((f"http://{where}/simple/",))) == ("demo-pkg-1.0.tar.gz", DATA)


@pytest.mark.parametrize(
    "link",
    [
        f"../../files/demo_pkg-1.0.tar.gz#sha256={'0' * 64}",
        f"../../files/absent-1.0.tar.gz#sha256={sha256(DATA)}",
        f"../../files/demo_pkg-1.0.exe#sha256={sha256(DATA)}",
        f"file:///etc/hostname.tar.gz#sha256={sha256(DATA)}",
        f"ftp://127.0.0.1/x.tar.gz#sha256={sha256(DATA)}",
    ],
)
def test_what_is_not_the_locks_file_or_not_of_the_web_is_passed_over(index, link):
    where, handler = index
    page(handler, link)
    assert source(PIN, Places((f"http://{where}/simple",))) is None


def test_a_file_that_is_not_what_the_index_says_is_not_taken(index):
    where, handler = index
    page(handler, f"../../files/demo_pkg-1.0.tar.gz#sha256={sha256(DATA)}", b"another archive")
    assert source(PIN, Places((f"http://{where}/simple",))) is None


def test_a_file_without_end_is_cut(index, monkeypatch):
    where, handler = index
    page(handler, f"../../files/demo_pkg-1.0.tar.gz#sha256={sha256(DATA)}")
    monkeypatch.setattr(layer_index, "MOST_SOURCE_BYTES", len(DATA) - 1)
    assert source(PIN, Places((f"http://{where}/simple",))) is None


def test_a_name_and_a_word_go_to_their_index_when_it_asks_and_to_nobody_else(index):
    where, handler = index
    handler.locked = True
    other = type("Other", (Index,), {"pages": {"/files/demo_pkg-1.0.tar.gz": ("x/y", DATA)}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), other)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    page(handler, f"http://localhost:{server.server_port}/files/demo_pkg-1.0.tar.gz#sha256={sha256(DATA)}")
    try:
        found = source(PIN, Places((f"http://me:w%40rd@{where}/simple",)))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert found == ("demo-pkg-1.0.tar.gz", DATA)
    assert handler.asked[-1] == ("/simple/demo-pkg/", PASSED)
    assert other.asked == [("/files/demo_pkg-1.0.tar.gz", "")]


def test_a_place_that_does_not_answer_does_not_hide_the_next(tmp_path, index):
    where, handler = index
    page(handler, "../../files/demo_pkg-1.0.tar.gz")
    assert source(PIN, Places(("http://127.0.0.1:1/", f"http://{where}/simple")))
    (tmp_path / "Demo.Pkg-1.0.tar.gz").write_bytes(DATA)
    assert source(PIN, Places((), (tmp_path / "absent", tmp_path)))


def test_pips_settings_are_read_as_pip_prints_them():
    text = "global.index-url='https://a.example/x'\n:env:.index-url='https://b.example'\nglobal.cert='/c'\ninstall.cert='/d'\nodd"
    assert settings(text) == {"index-url": "https://b.example", "cert": "/c"}


def test_links_are_found_whatever_surrounds_them():
    assert list(files("text/html", "<html><a>no</a><A HREF='x-1.zip#md5=1'>x</a><a href='y'></a><a href")) == [
        ("x-1.zip", ""), ("y", ""),
    ]  # fmt: skip


def a_wheel(name: str) -> bytes:
    """Return a wheel that pip, too, can read."""
    return wheel({f"{name}.py": "", f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n"}, name)


def a_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def fetched(pins: list[Pin], into: Path) -> dict[str, bytes]:
    into.mkdir()
    pip(pins, into, Interpreter.current())
    return {path.name: path.read_bytes() for path in into.iterdir()}


def test_a_package_without_a_wheel_comes_as_its_source_and_the_others_as_wheels(tmp_path, monkeypatch):
    data = a_wheel("other")
    (tmp_path / "w").mkdir()
    folder = a_place(tmp_path / "held", monkeypatch)
    (folder / "demo_pkg-1.0.tar.gz").write_bytes(DATA)
    (folder / "other-1.0-py3-none-any.whl").write_bytes(data)
    other = Pin("other", "1.0", frozenset({hashlib.sha256(data).hexdigest()}))
    assert fetched([PIN, other], tmp_path / "into") == {
        "demo-pkg-1.0.tar.gz": DATA, "other-1.0-py3-none-any.whl": data,
    }  # fmt: skip


def test_a_lock_of_a_source_takes_the_source_though_there_is_a_wheel(tmp_path, monkeypatch):
    folder = a_place(tmp_path / "held", monkeypatch)
    (folder / "demo_pkg-1.0.tar.gz").write_bytes(DATA)
    (folder / "demo_pkg-1.0-py3-none-any.whl").write_bytes(a_wheel("demo_pkg"))
    (folder / "demo_pkg_more-1.0-py3-none-any.whl").write_bytes(a_wheel("demo_pkg_more"))
    more = Pin("demo-pkg-more", "1.0", frozenset({"0" * 64, "1" * 64}))
    assert set(fetched([PIN, more], tmp_path / "into")) == {
        "demo-pkg-1.0.tar.gz", "demo_pkg_more-1.0-py3-none-any.whl",
    }  # fmt: skip


def test_a_wheel_and_a_source_that_are_both_not_the_locks_are_left_for_the_builder_to_refuse(tmp_path, monkeypatch):
    folder = a_place(tmp_path / "held", monkeypatch)
    (folder / "demo_pkg-1.0.tar.gz").write_bytes(b"evil")
    (folder / "demo_pkg-1.0-py3-none-any.whl").write_bytes(a_wheel("demo_pkg"))
    assert set(fetched([PIN], tmp_path / "into")) == {"demo_pkg-1.0-py3-none-any.whl"}


def test_a_source_that_is_not_the_locks_is_no_wheel(tmp_path, monkeypatch):
    folder = a_place(tmp_path / "held", monkeypatch)
    (folder / "demo_pkg-1.0.tar.gz").write_bytes(b"evil")
    with pytest.raises(LayerError) as caught:
        fetched([PIN], tmp_path / "into")
    assert caught.value.code == "layer.no_wheel"


def test_the_time_of_a_fetch_is_bounded(tmp_path, monkeypatch):
    a_place(tmp_path / "held", monkeypatch)
    with pytest.raises(LayerError) as caught:
        pip([PIN], tmp_path, Interpreter.current(), within_s=0.05)
    assert caught.value.code == "layer.fetch_failed"
