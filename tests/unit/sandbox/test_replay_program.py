"""The guest's own program that asks an app, run here on apps of these tests: what is an answer and what is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import evoguard_sandbox
from evoguard_sandbox.replaying import ASKED, ROUNDS

PROGRAM = Path(evoguard_sandbox.__file__).parent / "guest" / "replay.py"
GET = {"method": "GET", "path": "/", "query": "", "headers": {}, "body": ""}
ASGI = """
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}

async def bare(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"BODY"})

async def silent(scope, receive, send):
    pass

async def text(scope, receive, send):
    await send(START)
    await send({"type": "http.response.body", "body": "no bytes"})

async def stateful(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["greeting"] = b"hello"
        await send({"type": "lifespan.startup.complete"})
        return
    await send(START)
    await send({"type": "http.response.body", "body": scope["state"]["greeting"]})

def never_begins(environ, start):
    return [b"x"]

def gives_text(environ, start):
    start("200 OK", [])
    return ["text"]

def fails(environ, start):
    raise KeyError("x")
"""


def ask(folder: Path, groups: list[dict[str, Any]], **files: str) -> list[dict[str, Any]]:
    """Have the program ask in this folder, and return what it says of each group."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    whole = [{"refuse": [], "ignore": [], "requests": [GET], **group} for group in groups]
    (folder / ASKED).write_text(json.dumps({"rounds": ROUNDS, "one_s": 5.0, "all_s": 60.0, "groups": whole}))
    words = [sys.executable, "-I", "-S", "-B", str(PROGRAM)]
    told = subprocess.run(words, cwd=folder, capture_output=True, check=True, timeout=120).stdout
    groups_told: list[dict[str, Any]] = json.loads(told)["groups"]
    return groups_told


def first(group: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the kind and the parts of the first answer."""
    kind, parts, *_ = group["rounds"][0][0]
    return kind, parts


def test_an_answer_without_headers_and_one_from_the_lifespans_state_are_answers(tmp_path: Path) -> None:
    asked = [{"kind": "asgi", "target": f"apps:{name}"} for name in ("bare", "stateful")]
    bare, stateful = map(first, ask(tmp_path, asked, apps=ASGI.replace("BODY", "one")))
    assert bare == ("answer", {"status": "200", "body": "one"})
    assert stateful == ("answer", {"status": "200", "content-type": "text/plain", "body": "hello"})


def test_what_is_no_answer_equals_none_and_what_an_app_raises_is_its_answer(tmp_path: Path) -> None:
    asked = [{"kind": "asgi", "target": f"apps:{name}"} for name in ("silent", "text")]
    asked += [{"kind": "wsgi", "target": f"apps:{name}"} for name in ("never_begins", "gives_text", "fails")]
    *none, fails = map(first, ask(tmp_path, asked, apps=ASGI))
    assert [kind for kind, _ in none] == ["unreadable"] * 4
    assert fails == ("answer", {"raised": "KeyError"})


def test_an_effect_is_refused_before_any_target_could_take_a_reference_to_it(tmp_path: Path) -> None:
    pricing = (
        "from mail import send\n"
        "def price(n):\n    try:\n        send(n)\n    except PermissionError:\n        return n\n"
    )
    request = {"args": [7], "kwargs": {}}
    asked = [
        {"kind": "callable", "target": "pricing:price", "requests": [request]},
        {"kind": "callable", "target": "scoring:score", "requests": [request], "refuse": ["mail:send"]},
    ]
    price, score = ask(
        tmp_path,
        asked,
        mail="def send(n): raise SystemExit('sent')\n",
        pricing=pricing,
        scoring="def score(n): return n\n",
    )
    assert first(price) == ("answer", {"value": "7"})
    assert price["rounds"][0][0][-1] == 1
    assert first(score) == ("answer", {"value": "7"})


def test_what_cannot_be_refused_leaves_nothing_asked(tmp_path: Path) -> None:
    asked = [
        {"kind": "callable", "target": "pricing:price", "requests": [{"args": [1], "kwargs": {}}]},
        {"kind": "callable", "target": "pricing:price", "requests": [], "refuse": ["mail:send"]},
    ]
    price, _ = ask(tmp_path, asked, pricing="def price(n): return n\n")
    assert "mail:send cannot be refused" in price["why"]
    assert first(price)[0] == "unrun"
