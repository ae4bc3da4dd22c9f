"""OPA's own published cases for the builtins that rules may use: compiled, in process, the answers are OPA's."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from evoguard import bundle
from evoguard.adapters.opa_wasm_host import Program
from evoguard.authoring import folder
from evoguard.authoring.builder import wasm
from evoguard.authoring.opa import Opa, at_work
from evoguard.errors import UnavailableError
from real.conformance import Case, drawn
from real.test_opa_server import free_port

pytestmark = pytest.mark.needs_opa
OPA = Path(os.environ.get("EVOGUARD_OPA", "opa"))
CAPABILITIES = bundle.sources()[folder.CAPABILITIES]
FLOOR, WITH_VALUE = 930, 830
"""Of OPA 1.22.0's 2,392 cases, 942 were asked; the other classes are printed with their reasons and counts."""
AT_ONCE = 60
NOTHING: Any = object()
KNOWN = {
    "data/nested integer": '2 asks for the key "2" of data in OPA\'s store; no rule takes a number for a key',
    "strings/format_int: bignum exact (>64-bit integer, all bases + negative)": "questions hold integers of 53 bits",
    "virtualdocs/output: set falsy values": "JSON cannot tell an empty list from an empty set",
    "withkeyword/builtin: nested, mock function calls original": "a builtin replaced within its replacement",
}
"""Cases that come out otherwise, and why no rule meets them."""


def test_every_case_for_the_builtins_that_rules_may_use_is_answered_as_opa_answers() -> None:
    allowed = {str(one["name"]) for one in json.loads(CAPABILITIES)["builtins"]}
    texts = {folder.DATA: "{}", folder.CAPABILITIES: CAPABILITIES}
    with at_work(OPA, folder.Sources(Path(), texts)) as opa:
        found = drawn(opa, allowed)
        ours = {case.package: answer for case, answer in in_process(opa, found.cases)}
        with server(opa, found.cases) as url:
            theirs = {case.package: on_server(url, case) for case in found.cases}
    print(f"{len(found.cases)} cases were asked; left out: {dict(found.left_out.most_common())}")
    differ = {
        case.note: (ours[case.package], theirs[case.package])
        for case in found.cases
        if not same(ours[case.package], theirs[case.package])
    }
    assert {note: pair for note, pair in differ.items() if note not in KNOWN} == {}
    assert differ.keys() == KNOWN.keys()
    assert not [case.note for case in found.cases if case.silent and ours[case.package] is not NOTHING]
    assert len(found.cases) >= FLOOR
    assert sum(answer is not NOTHING for answer in theirs.values()) >= WITH_VALUE


def test_another_answer_would_be_seen() -> None:
    assert same([3, 1, 2], [1, 2, 3])
    for ours, theirs in ((1, 2), (1, True), ([1], [2]), ([1, 1], [1, 2]), ([1, 2], [1, 2, 3]), ([2, 1, 1], [1, 1, 2]),
                         ({"a": 1}, {"a": 1, "b": 1}), ({"a": [1]}, {"a": [2]}), (0, None), ([], {})):  # fmt: skip
        assert not same(ours, theirs)


def same(ours: object, theirs: object) -> bool:
    """Tell whether two answers are one. A set is a list in JSON, which OPA sorts and its WebAssembly does not."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        left, right = (
            [json.dumps(_sorted(one), sort_keys=True) for one in ours],
            [json.dumps(_sorted(one), sort_keys=True) for one in theirs],
        )
        in_order = all(same(a, b) for a, b in zip(ours, theirs, strict=True))
        return in_order or (len({*right}) == len(right) and sorted(left) == sorted(right))
    return type(ours) is type(theirs) and ours == theirs


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(one) for key, one in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
    return value


def in_process(opa: Opa, cases: list[Case]) -> Iterator[tuple[Case, Any]]:
    """Yield each case with the answer of the compiled rules: a value, or NOTHING."""
    for at in range(0, len(cases), AT_ONCE):
        some = cases[at : at + AT_ONCE]
        files = {f"{case.package}.rego": case.module for case in some}
        part = Opa(opa.binary, opa.home, folder.Sources(Path(), {**opa.sources.texts, **files}))
        program = Program(wasm(part, [case.entry for case in some], tests=True))
        for case in some:
            try:
                raw = program.evaluate(case.entry, data=json.dumps(case.data).encode(), question=case.question)
            except UnavailableError:
                yield case, NOTHING
                continue
            rows = json.loads(raw)
            yield case, rows[0]["result"] if rows else NOTHING


@contextmanager
def server(opa: Opa, cases: list[Case]) -> Iterator[str]:
    """Run one OPA server with every case's module, on loopback."""
    port = free_port()
    files = [f"{case.package}.rego" for case in cases]
    words = [str(opa.binary), "run", "--server", "--addr", f"127.0.0.1:{port}", "--log-level", "error",
             "--skip-version-check", *files]  # fmt: skip
    running = subprocess.Popen(words, cwd=opa.home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(f"{url}/health"):  # noqa: S310
                break
            assert running.poll() is None
            time.sleep(0.1)
        yield url
    finally:
        running.terminate()
        running.wait(10)


def on_server(url: str, case: Case) -> Any:  # noqa: ANN401  (any JSON)
    """Return OPA's answer, strict about errors of builtins: a value, or NOTHING."""
    for key, value in case.data.items():
        _sent(f"{url}/v1/data/{key}", value, "PUT")
    try:
        doc = {"input": json.loads(case.question)} if case.question else {}
        return _sent(f"{url}/v1/data/{case.entry}?strict-builtin-errors=true", doc, "POST").get("result", NOTHING)
    except urllib.error.HTTPError as err:
        err.close()
        return NOTHING if err.code == 500 else f"OPA said {err.code}"
    finally:
        for key in case.data:
            _sent(f"{url}/v1/data/{key}", None, "DELETE")


def _sent(url: str, doc: object, method: str) -> dict[str, Any]:
    data = json.dumps(doc).encode() if method != "DELETE" else None
    request = urllib.request.Request(url, data=data, method=method)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        raw = answer.read()
    return json.loads(raw) if raw else {}
