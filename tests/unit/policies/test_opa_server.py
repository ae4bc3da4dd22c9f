"""A server that answers for OPA and is not to be believed: whatever it says otherwise than it must, is no verdict."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from contract.policies_suite import a_question
from evoguard.adapters.opa_server import OpaServerPolicies
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.bundle import load
from evoguard.errors import ConfigError, UnavailableError

SHIPPED = load().manifest
PROVENANCE: dict[str, Any] = {"version": SHIPPED.opa_version, "bundles": {"b": {"revision": SHIPPED.digest}}}


@contextmanager
def answering(raw: bytes, status: int = 200, **headers: str) -> Iterator[str]:
    """Answer every request so, on loopback; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def good() -> dict[str, Any]:
    decision = await OpaWasmPolicies().decide("review", a_question())
    return {"result": decision.as_json(), "provenance": PROVENANCE}


async def decide(url: str) -> bool:
    return (await OpaServerPolicies(url, load()).decide("review", a_question())).allow


async def test_what_it_must_say_is_believed():
    with answering(json.dumps(await good()).encode()) as url:
        assert await decide(url)


NOTE = {"code": "change.secret", "path": "", "term": ""}
WRONG: dict[str, Any] = {
    "no result": lambda doc: doc.pop("result"),
    "no provenance": lambda doc: doc.pop("provenance"),
    "provenance of text": lambda doc: doc.update(provenance="x"),
    "bundles of texts": lambda doc: doc.update(provenance={**PROVENANCE, "bundles": {"a": "x"}}),
    "no bundle": lambda doc: doc.update(provenance={**PROVENANCE, "bundles": {}}),
    "twice the bundle": lambda doc: doc.update(
        provenance={**PROVENANCE, "bundles": {n: {"revision": SHIPPED.digest} for n in "ab"}}
    ),
    "another version": lambda doc: doc.update(provenance={**PROVENANCE, "version": "0.1.0"}),
    "a rule that was not seen": lambda doc: doc["result"]["rules_seen"].pop(),
    "an allow that is denied": lambda doc: doc["result"].update(deny=[{**NOTE, "msg": "x"}]),
    "an allow of text": lambda doc: doc["result"].update(allow="true"),
    "a float": lambda doc: doc["result"].update(quorum=1.0),
    "a quorum beyond all people": lambda doc: doc["result"].update(quorum=2**70),
    "one more key": lambda doc: doc["result"].update(more=1),
    "a text that cannot be stored": lambda doc: doc["result"].update(notes=[{**NOTE, "msg": "\ud800"}]),
    "a text without end": lambda doc: doc["result"].update(notes=[{**NOTE, "msg": "x" * 20_000}]),
}


@pytest.mark.parametrize("how", WRONG)
async def test_what_it_says_otherwise_is_no_verdict(how: str):
    doc = await good()
    WRONG[how](doc)
    with answering(json.dumps(doc).encode()) as url, pytest.raises(UnavailableError):
        await decide(url)


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"null", b"{", b"[" * 200_000, b"NaN", b"\xff", b'{"result": 1, "result": 2}', b" " * 4_100_000],
    ids=["empty", "list", "null", "cut", "deep", "no number", "no text", "twice", "long"],
)
async def test_what_is_no_answer_is_no_verdict(raw: bytes):
    with answering(raw) as url, pytest.raises(UnavailableError):
        await decide(url)


async def test_a_key_that_stands_twice_is_not_read_as_the_later_one():
    raw = json.dumps(await good()).encode().replace(b'"allow": true', b'"allow": false, "allow": true')
    with answering(raw) as url, pytest.raises(UnavailableError):
        await decide(url)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_an_answer_from_elsewhere_is_not_fetched(status: int):
    with (
        answering(json.dumps(await good()).encode()) as other,
        answering(b"", status, Location=f"{other}/v1/data/evoguard/review") as url,
        pytest.raises(UnavailableError),
    ):
        await decide(url)


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
async def test_an_error_is_no_verdict_whatever_stands_in_it(status: int):
    with answering(json.dumps(await good()).encode(), status) as url, pytest.raises(UnavailableError):
        await decide(url)


@pytest.mark.parametrize(
    "url", ["http://h:99999", "http://[::1", "http://h:0", "http://user:word@h:1", "http://h#x", "http://h:x"]
)
def test_an_address_that_says_more_or_less_is_refused(url: str):
    with pytest.raises(ConfigError) as said:
        OpaServerPolicies(url, load())
    assert said.value.code == "policy.opa_url"
