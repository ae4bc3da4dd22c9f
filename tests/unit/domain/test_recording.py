"""Recorded requests: nothing secret reaches the disk, nothing fails a request, lines are whole, bounds hold."""

from __future__ import annotations

import fcntl
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from evoguard.domain.regression import Answer, Regression, Row
from evoguard.domain.shadow import recorded, summary
from evoguard.recording import Message, Receive, Recorder, Redactor, Send, append

JWT = "eyJ" + "hbGciOiJub25lIn0" + "." + "eyJzdWIiOiJhIn0" + "."
PRIVATE = {
    "email": "ann@example.org", "note": "call +31 6 1234 5678 or mail ann@example.org",
    "applicant": {"fullName": "Ann"}, "iban": "NL91ABNA0417164300",
    "memo": "NL91ABNA0417164300", "X-Api-Key": "k1",
    "PASSWORD": "hunter2", "pin": 1234,
    "card": [4111111111111111], "raw": 4111111111111111, "at": JWT, "ip": "see 192.0.2.7",
    "id": "6f1c2a5e-0000-4000-8000-00000000abcd", "ann@example.org": 1,
}  # fmt: skip
HARMLESS = {"amount": 50_000, "sector": "retail", "years": 8, "ratio": 0.25, "open": True, "none": None, "list": ["a"]}
SPOKEN = ("ann@example", "6 1234", "NL91", 'k1"', "hunter2", "1234", "4111", "eyJ", "192.0.2.7", "6f1c", '"Ann"')


async def asked(
    recorder: Recorder, body: bytes = b"", path: str = "/score", query: bytes = b"", kind: str = "http"
) -> list[Any]:
    sent: list[Any] = []
    waiting = [{"type": "http.request", "body": body[n : n + 10], "more_body": True} for n in range(0, len(body), 10)]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"Content-Type", b"application/json"), (b"Authorization", b"Bearer hunter2"), (b"Cookie", b"s=hunter2")]
    scope = {"type": kind, "method": "POST", "path": path, "query_string": query, "headers": headers}
    await recorder(scope, receive, send)
    return sent


async def app(scope: Message, receive: Receive, send: Send) -> None:
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"secret answer"})


async def test_a_request_is_recorded_without_what_is_secret_or_personal(tmp_path: Path) -> None:
    recorder = Recorder(app, tmp_path / "r.jsonl", percent=100)
    body = json.dumps({**PRIVATE, **HARMLESS}).encode()
    sent = await asked(recorder, body, "/of/ann@example.org", b"token=hunter2&page=2")
    assert [m.get("status", m.get("body")) for m in sent] == [201, b"secret answer"]
    text = (tmp_path / "r.jsonl").read_text()
    assert not [word for word in (*SPOKEN, "secret answer", "uthorization", "ookie") if word in text]
    doc = json.loads(text)
    kept = json.loads(doc["request"]["body"])
    assert {key: kept[key] for key in HARMLESS} == HARMLESS
    assert (doc["v"], doc["status"], doc["request"]["headers"]) == (1, 201, {"content-type": "application/json"})
    assert doc["request"]["query"].endswith("page=2")
    assert oct((tmp_path / "r.jsonl").stat().st_mode & 0o777) == "0o600"
    (case,), lines = recorded(text.encode(), "asgi")
    assert (case.name, case.request["method"], lines) == ("line 1", "POST", 1)


def test_equal_values_have_equal_stand_ins_and_another_process_has_others() -> None:
    one, other = Redactor(), Redactor()
    assert one.value({"email": "a@b.c"}) == one.value({"email": "a@b.c"}) != other.value({"email": "a@b.c"})
    assert Redactor(["Sector"]).value({"sector": "retail"}) != {"sector": "retail"}


@pytest.mark.parametrize("body", [b"not json", b"[" * 20_000, b'"' + b"x" * 40_000 + b'"', b"\xff"])
async def test_what_cannot_be_redacted_is_left_out_and_counted(tmp_path: Path, body: bytes) -> None:
    recorder = Recorder(app, tmp_path / "r.jsonl", percent=100)
    assert len(await asked(recorder, body)) == 2
    assert (recorder.counts["left out"], (tmp_path / "r.jsonl").exists()) == (1, False)


async def test_no_failure_of_a_recording_reaches_a_request_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "no" / "r.jsonl", tmp_path / "link"):
        recorder = Recorder(app, path, percent=100)
        assert len(await asked(recorder)) == 2
        assert recorder.counts["failed"] == 1
    assert not (tmp_path / "elsewhere").exists()


async def test_sampling_and_other_scopes(tmp_path: Path) -> None:
    none, all_of = (Recorder(app, tmp_path / "r.jsonl", percent=percent) for percent in (0, 100))
    await asked(none)
    await asked(all_of, kind="lifespan")
    assert not (tmp_path / "r.jsonl").exists()
    with pytest.raises(ValueError, match="percent"):
        Recorder(app, "r", percent=101)


def test_lines_of_many_writers_are_whole_and_the_file_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ThreadPoolExecutor(8) as threads:
        kept = list(threads.map(lambda n: append(path, {"n": n, "x": "y" * 500}, 100_000), range(400)))
    lines = path.read_bytes().splitlines()
    assert len(lines) == sum(kept) < 400
    assert len({json.loads(line)["n"] for line in lines}) == len(lines)
    assert path.stat().st_size <= 100_000
    with pytest.raises(ValueError, match="long"):
        append(path, "x" * 70_000)


def test_a_line_that_the_disk_took_in_part_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "r.jsonl", os.write
    append(path, {"n": 1})
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:3]))
    with pytest.raises(OSError, match="part"):
        append(path, {"n": 2})
    assert path.read_bytes() == b'{"n":1}\n'


LINE = b'{"v":1,"request":{"path":"/a"}}\n'


@pytest.mark.parametrize(
    "raw",
    [b"", LINE[:-1], LINE + b"\n" + LINE, LINE + b"{}\n", b'{"v":2,"request":{"path":"/a"}}\n', b"[" * 9000 + b"\n",
     LINE.replace(b"/a", b"a")],
)  # fmt: skip
def test_a_recording_that_is_not_wholly_readable_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"line|request"):
        recorded(raw, "asgi")


def test_the_newest_are_asked_and_named_by_their_line() -> None:
    found, lines = recorded(LINE * 10, "wsgi", most=3)
    assert ([case.name for case in found], lines) == (["line 8", "line 9", "line 10"], 10)


def test_a_summary_counts_outcomes_and_ranks_times() -> None:
    rows = tuple(
        Row("a", f"line {n}", "regression.error" if n == 9 else "", Answer("answer", {"status": "200"}, n * 10, 5),
            Answer("answer", {"status": "500" if n == 9 else "200"}, n * 20, 5))
        for n in range(10)
    )  # fmt: skip
    told: Any = summary(Regression("complete", rows=rows))
    assert told["outcomes"] == {"regression.error": 1, "same": 9}
    assert told["base"] == {"errors": 0, "p50_us": 40, "p95_us": 90, "cpu_us": 50, "refused": 0}
    assert (told["candidate"]["errors"], told["candidate"]["p50_us"]) == (1, 80)


@pytest.mark.parametrize(
    ("held", "secret"),
    [
        ({"data": '{"password": "hunter2"}'}, "hunter2"), ({"query": '[{"token": "abc"}]'}, "abc"),
        ({"number": 491512345}, "491512345"), ({"id": "AKIA" + "A" * 16}, "AKIA"),
        ({"at": "2001:db8:0:0:1:0:0:1"}, "db8"),
        ({"at": "2001:db8::1"}, "db8"), ({"blob": "q+/" * 10 + "=="}, "q+/"),
    ],
)  # fmt: skip
def test_what_looks_like_nothing_at_first_is_replaced_too(held: object, secret: str) -> None:
    assert secret not in json.dumps(Redactor().value(held))


async def test_a_header_is_redacted_by_its_name(tmp_path: Path) -> None:
    recorder = Recorder(app, tmp_path / "r", percent=100, keep_headers=["X-Api-Key"])
    request = recorder.request(
        {"method": "GET", "path": "/", "query_string": b"", "headers": [(b"x-api-key", b"short1")]}, b""
    )
    assert request is not None
    assert "short1" not in json.dumps(request)


def test_a_lock_that_another_holds_fails_soon(tmp_path: Path) -> None:
    append(tmp_path / "r", {})
    with (tmp_path / "r").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another process"):
            append(tmp_path / "r", {})
    assert append(tmp_path / "r", {})


def test_a_pipe_and_a_file_that_others_may_read_take_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "open").touch(0o644)
    for path in (tmp_path / "pipe", tmp_path / "open"):
        with pytest.raises(OSError):  # noqa: PT011  (of two kinds)
            append(path, {"secret": 1})
    assert (tmp_path / "open").read_bytes() == b""


async def test_a_request_that_nobody_could_read_again_is_left_out(tmp_path: Path) -> None:
    recorder = Recorder(app, tmp_path / "r", percent=100)
    await asked(recorder, path="/\n")
    await asked(recorder, path="/score")
    assert (recorder.counts["left out"], recorder.counts["recorded"]) == (1, 1)
    assert recorded((tmp_path / "r").read_bytes(), "asgi")[1] == 1
