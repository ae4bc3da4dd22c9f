"""Code that would be taken for the base: on declared requests no candidate can answer `same` but by answering the same.

The base's answers come from a sandbox of its own. What a candidate writes, ends or starts makes a finding, or its own
answers; a replay never becomes silence.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from evoguard.adapters.sandbox import GvisorSandbox
from evoguard.domain.canonical import Json
from evoguard.domain.regression import Regression
from evoguard.flow.regress import regression
from evoguard.ports.forge import Blob
from evoguard_sandbox import replaying

pytestmark = pytest.mark.needs_gvisor
REPO = Path(__file__).parents[2]
MARK = "known-to-the-base-alone"
CODE = "def f(x):\n    return {'twice': x * 2}\ndef g(x):\n    return 'known-to-' + 'the-base-alone'\n"
CASES = [
    {"name": "one", "request": {"args": [1]}},
    {"name": "two", "request": {"args": ["a"]}, "response": {"value": {"twice": "aa"}}},
]
EVERYWHERE = """
import json, os, signal
rows = [["answer", {"value": '{"twice":2}'}, 1, 1, 0], ["answer", {"value": '{"twice":"aa"}'}, 1, 1, 0]]
whole = json.dumps({"groups": [{"why": "", "rounds": [rows, rows]}]}) + "\\n"
parent = os.getppid()
for fd in range(64):
    for line in ('[""]\\n', '[0, "answer", {"value": "1"}, 1, 0]\\n', whole):
        try: os.write(fd, line.encode())
        except OSError: pass
    try: os.write(os.open(f"/proc/{parent}/fd/{fd}", os.O_WRONLY), whole.encode())
    except OSError: pass
"""
LEAVES = "import os\ndef f(x): os._exit(0)\n"
HANGS = "import time\ndef f(x): time.sleep(60)\n"
ENDS_THE_ASKER = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n"
LOOKS = """
import os, pathlib
def looked(x):
    told, parent = [str(x), *map(str, os.environ.items())], f"/proc/{os.getppid()}"
    paths = [p for top in ("/room", "/tmp", "/run") for p in pathlib.Path(top).rglob("*") if p.is_file()]
    for path in [*paths, pathlib.Path(parent, "environ"), pathlib.Path(parent, "cmdline")]:
        try: told.append(path.read_bytes()[:1 << 20].decode("latin-1"))
        except OSError: pass
    return {"seen": "known-to-" + "the-base-alone" in "".join(told),
            "cases": any(p.name == "cases.json" for p in paths),
            "read": any(str(p).endswith("app.py") for p in paths)}
f = g = looked
"""
PHONES = """
import socket
def f(x):
    try: socket.create_connection(('192.0.2.1', 80), timeout=0.2)
    except OSError: pass
    return {'twice': x * 2}
"""


def tool(name: str) -> Path:
    return Path(
        subprocess.run([REPO / "deploy/tools" / name], capture_output=True, text=True, check=True).stdout.strip()
    )


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> GvisorSandbox:
    return GvisorSandbox(
        tmp_path_factory.mktemp("room"), runsc=tool("get-runsc.sh"), layer=tool("runner-layer.sh"), wall_s=60
    )


async def answered(
    box: GvisorSandbox, candidate: str, *, base: str = CODE, cases: list[dict[str, Json]] | None = None, **told: Json
) -> Regression:
    class Ports:
        replay = box

    file = json.dumps({"version": 1, "cases": cases or CASES}).encode()
    trees = [
        {"code.py": Blob("100644", b""), "app.py": Blob("100644", text.encode()), "cases.json": Blob("100644", file)}
        for text in (base, candidate)
    ]
    facts: Mapping[str, Json] = {
        "component": "a", "kind": "callable", "target": "app:f", "file": "cases.json", "refuse": [], "ignore": [],
        "time_percent": 100_000, **told,
    }  # fmt: skip
    return await regression([facts], (trees[0], trees[1]), "", Ports())  # type: ignore[arg-type]


def codes(found: Regression) -> set[str]:
    return {one.code.removeprefix("regression.") for one in found.findings}


async def test_the_same_code_answers_the_same_and_another_rule_is_seen(box: GvisorSandbox) -> None:
    same = await answered(box, CODE)
    assert (same.status, same.findings, same.answered, same.isolation) == ("complete", (), 2, "gvisor")
    other = await answered(box, CODE.replace("x * 2", "x + x if x == 1 else x"))
    assert (other.status, codes(other)) == ("complete", {"pinned"})


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        (EVERYWHERE + "def f(x): return 0\n", {"not_run"}),
        (ENDS_THE_ASKER, {"not_run"}),
        (EVERYWHERE + ENDS_THE_ASKER, {"not_run"}),
        ("raise SystemExit(0)\n", {"not_run"}),
        ("f = None\n", {"error", "pinned"}),
        ("def other(x): return 0\n", {"not_run"}),
        (LEAVES, {"error", "pinned"}),
        (HANGS, {"error", "pinned"}),
        (CODE.replace("{'twice': x * 2}", "object()"), {"not_run"}),
        (CODE.replace("x * 2}", "x * 2, 'nan': float('nan')}"), {"not_run"}),
        (PHONES, {"effect"}),
    ],
    ids=["writes", "kills", "writes and kills", "leaves", "none", "gone", "exits", "hangs", "object", "nan", "phones"],
)
async def test_nothing_that_a_candidate_does_is_silence(
    box: GvisorSandbox, code: str, wanted: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "ONE_S", 1.0 if code == HANGS else 5.0)
    assert codes(await answered(box, code)) == wanted


async def test_what_the_base_answers_and_what_is_pinned_is_nowhere_in_a_candidates_reach(box: GvisorSandbox) -> None:
    pinned: list[dict[str, Json]] = [{"name": "one", "request": {"args": [1]}, "response": {"value": MARK}}]
    found = await answered(box, LOOKS, cases=pinned, target="app:g")
    assert codes(found) == {"pinned"}
    assert found.rows[0].now is not None
    assert json.loads(found.rows[0].now.parts["value"]) == {"seen": False, "cases": False, "read": True}


async def test_declared_effects_are_refused_on_both_sides_and_counted(box: GvisorSandbox) -> None:
    calls = (
        "import app\ndef f(x):\n    try: app.send(x)\n    except PermissionError: pass\n    return {'twice': x * 2}\n"
    )
    more = "def send(x): raise SystemExit(3)\n"
    quiet = calls.replace("try: app.send(x)", "try: pass")
    assert not (await answered(box, calls + more, base=calls + more, refuse=["app:send"])).findings
    found = await answered(box, calls + more, base=quiet + more, refuse=["app:send"])
    assert codes(found) == {"effect"}
    assert found.rows[0].now is not None
    assert found.rows[0].now.refused == 1
    assert codes(await answered(box, CODE, refuse=["app:nothing"])) == {"not_run"}


ASGI = """
import json
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive(); await send({"type": "lifespan.startup.complete"}); await receive()
    body = (await receive())["body"]
    if scope["path"] == "/boom": raise KeyError("boom")
    told = {"path": scope["path"], "got": json.loads(body or b"0"), "at": id(body)}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""
WSGI = """
import json
def app(environ, start):
    start("201 Made", [("Content-Type", "application/json")])
    return [json.dumps({"x": environ["HTTP_X_USER"], "got": json.load(environ["wsgi.input"])}).encode()]
"""


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
async def test_apps_are_asked_over_their_interface(box: GvisorSandbox, kind: str) -> None:
    request = {"method": "POST", "path": "/a", "json": {"n": 1}, "headers": {"X-User": "ann"}}
    cases: list[dict[str, Json]] = [
        {"name": "a", "request": request, "response": {"status": 200 if kind == "asgi" else 201}},  # type: ignore[dict-item]
        *([{"name": "b", "request": {"path": "/boom"}}] if kind == "asgi" else []),
    ]
    code = ASGI if kind == "asgi" else WSGI
    told: dict[str, Json] = {"kind": kind, "target": "app:app", "ignore": ["at"]}
    same = await answered(box, code, base=code, cases=cases, **told)
    assert (same.status, same.findings) == ("complete", ())
    other = await answered(box, code.replace('"got"', '"had"'), base=code, cases=cases, **told)
    assert codes(other) == {"answer"}


async def test_an_answer_that_is_another_each_time_is_told_and_judges_nothing(box: GvisorSandbox) -> None:
    code = "import secrets\ndef f(x): return secrets.token_hex(4)\n"
    assert codes(await answered(box, code, base=code, cases=[{"name": "a", "request": {"args": [1]}}])) == {"unstable"}


@pytest.fixture(autouse=True, scope="module")
def _nothing_left(box: GvisorSandbox) -> Iterator[None]:
    yield
    assert not [p for p in (box._room.home / "runsc").iterdir() if p.suffix == ".state"]
