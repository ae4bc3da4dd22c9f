"""Policies in process: OPA's own compiler ran when the bundle was built, wasmtime runs the result here."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

from evoguard import bundle
from evoguard.adapters.opa_wasm_host import FUEL, MAX_PAGES, Program
from evoguard.bundle import Bundle
from evoguard.domain.canonical import Digest, Json
from evoguard.domain.verdict import Decision, Finding, Floor, PolicyStage
from evoguard.errors import InputError, IntegrityError, UnavailableError

MAX_QUESTION_BYTES = 4_000_000
MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1
MAX_QUORUM, MAX_TEXT = 1_000, 10_000
_ENTRY = "evoguard/"
_STAGES = ("review", "admit")
_FINDING_KEYS = frozenset({"code", "msg", "path", "term"})
_DECISION_KEYS = frozenset({"allow", "deny", "escalate", "quorum", "notes", "rules_seen"})


class OpaWasmPolicies:
    """The shipped rules, or a bundle that was `loaded` or lies in a `folder`.

    Everything was verified by digest when it was loaded; no two questions share any state.
    """

    def __init__(
        self,
        cache_dir: Path | None = None,
        *,
        loaded: Bundle | None = None,
        folder: Path | None = None,
        fuel: int = FUEL,
        max_pages: int = MAX_PAGES,
    ) -> None:
        self.bundle = loaded = loaded or bundle.load(folder)
        self.manifest = loaded.manifest
        self._data = loaded.data
        self._program = Program(loaded.wasm, cache_dir=cache_dir, fuel=fuel, max_pages=max_pages)
        expected = {_ENTRY + stage for stage in _STAGES}
        if self._program.entrypoints != expected or set(self.manifest.entrypoints) != expected:
            raise IntegrityError("policies: the bundle has other entry points", code="integrity.policies")

    @property
    def digest(self) -> Digest:
        """Return the identity of rules, data, capabilities and engine."""
        return self.manifest.digest

    @property
    def data(self) -> Mapping[str, Json]:
        """Return the bundle's numbers and lists."""
        return self.bundle.numbers

    async def decide(self, stage: PolicyStage, question: Mapping[str, Json]) -> Decision:
        """Return the decision on one question.

        Raises: InputError when the question is outside the bounds of `question_bytes`; UnavailableError when there is
        no verdict: out of fuel or memory, undefined, another shape, or not every rule of the manifest was evaluated.
        """
        raw = question_bytes(question)
        return await asyncio.to_thread(self._decide, stage, raw)

    async def floor(self, stage: PolicyStage, question: Mapping[str, Json]) -> Floor | None:  # noqa: ARG002  (the port's)
        """Return None: one bundle holds nothing over itself."""
        return None

    def _decide(self, stage: str, raw: bytes) -> Decision:
        result = self._program.evaluate(_ENTRY + stage, data=self._data, question=raw)
        return decision_from(result, rules=self.manifest.rules)


def question_bytes(question: Mapping[str, Json]) -> bytes:
    """Return the question as JSON for the engine.

    Integers only (53 bits), UTF-8 in NFC without NUL, depth at most 32, at most 4 MB: inside these bounds every engine
    reads the same question. Raises: InputError (`policies.question`) saying which bound is broken.
    """
    try:
        _check(question, MAX_DEPTH)
        raw = json.dumps(question, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as err:  # UnicodeEncodeError of a lone surrogate is a ValueError
        raise _bad_question("it is not plain JSON") from err
    if len(raw) > MAX_QUESTION_BYTES:
        raise _bad_question(f"it is larger than {MAX_QUESTION_BYTES} bytes")
    return raw


def _check(value: object, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, int):  # bool is an int, and JSON too
        if abs(value) > MAX_INTEGER:
            raise _bad_question("a number is outside 53 bits")
    elif isinstance(value, dict | list | tuple):
        if depth == 0:
            raise _bad_question(f"it is nested deeper than {MAX_DEPTH}")
        for item in _parts(value):
            _check(item, depth - 1)
    elif value is not None:
        raise _bad_question("it holds something other than text, integers, booleans, lists and tables")


def _parts(value: dict[object, object] | list[object] | tuple[object, ...]) -> Iterable[object]:
    if not isinstance(value, dict):
        return value
    for key in value:
        if not isinstance(key, str):
            raise _bad_question("a key is not text")
        _check_text(key)
    return value.values()


def _check_text(text: str) -> None:
    if text.isascii():
        if "\0" in text:
            raise _bad_question("a text holds NUL")
    elif "\0" in text or not unicodedata.is_normalized("NFC", text):
        raise _bad_question("a text holds NUL or is not in Unicode form NFC")


def _bad_question(why: str) -> InputError:
    return InputError(f"policies: the question cannot be judged: {why}", code="policies.question")


def decision_from(raw: bytes, *, rules: tuple[str, ...]) -> Decision:
    """Return the decision in OPA's result set. Raises: UnavailableError for anything but one whole decision."""
    try:
        results = strict_json(raw)
    except (ValueError, RecursionError) as err:
        raise _no_verdict("the answer cannot be read") from err
    if not isinstance(results, list) or len(results) != 1:
        raise _no_verdict("not exactly one result")
    if not isinstance(results[0], dict) or set(results[0]) != {"result"}:
        raise _no_verdict("a result of another shape")
    return decided(results[0]["result"], rules=rules)


def strict_json(raw: bytes) -> object:
    """Return JSON in which no key stands twice and no number is a float. Raises: ValueError, RecursionError."""
    return json.loads(raw, parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=_unique)


def decided(doc: object, *, rules: tuple[str, ...]) -> Decision:
    """Return the decision in what a rule gave. Raises: UnavailableError for anything but one whole decision."""
    if not isinstance(doc, dict) or set(doc) != _DECISION_KEYS:
        raise _no_verdict("a decision of another shape")
    allow, quorum, seen = doc["allow"], doc["quorum"], doc["rules_seen"]
    if not isinstance(allow, bool) or type(quorum) is not int or not 1 <= quorum <= MAX_QUORUM:
        raise _no_verdict("a decision with values of other types")
    if not rules or seen != list(rules):
        raise _no_verdict("not every rule of the bundle was evaluated")
    deny = _findings(doc["deny"], rules)
    if allow == bool(deny):
        raise _no_verdict("an answer that contradicts its own findings")
    return Decision(
        allow=allow,
        deny=deny,
        escalate=_findings(doc["escalate"], rules),
        quorum=quorum,
        notes=_findings(doc["notes"], rules),
        rules_seen=rules,
    )


def _findings(value: object, rules: tuple[str, ...]) -> tuple[Finding, ...]:
    if not isinstance(value, list):
        raise _no_verdict("findings of another shape")
    return tuple(sorted((_finding(item, rules) for item in value), key=lambda f: (f.code, f.path, f.term, f.msg)))


def _finding(value: object, rules: tuple[str, ...]) -> Finding:
    if not isinstance(value, dict) or set(value) != _FINDING_KEYS or not all(type(v) is str for v in value.values()):
        raise _no_verdict("a finding of another shape")
    if any(len(text) > MAX_TEXT or _unreadable(text) for text in value.values()):
        raise _no_verdict("a finding with a text that is too long, or that cannot be stored")
    if value["code"] not in rules:
        raise _no_verdict("a finding with a code that the bundle does not have")
    return Finding(**value)


def _unreadable(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice")
    return table


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"not an integer: {text[:20]}")


def _no_verdict(why: str) -> UnavailableError:
    return UnavailableError("policies", f"no verdict: {why}")


def run_rule_tests(
    folder: Path | None = None, *, loaded: Bundle | None = None, cache_dir: Path | None = None
) -> list[tuple[str, bool]]:
    """Run every test of the rules, compiled beside them; return name and whether it gave exactly `true`.

    Raises: IntegrityError when there is no test, or when the compiled tests are not the ones that the manifest lists.
    """
    loaded = loaded or bundle.load(folder)
    program = Program(loaded.tests_wasm, cache_dir=cache_dir)
    if not loaded.manifest.tests or program.entrypoints != set(loaded.manifest.tests):
        raise IntegrityError("policies: the compiled tests are not the listed ones", code="integrity.policies")
    return [(name, _passed(program, name, loaded.data)) for name in loaded.manifest.tests]


def _passed(program: Program, name: str, data: bytes) -> bool:
    try:
        answer: object = json.loads(program.evaluate(name, data=data, question=b"{}"))
    except (UnavailableError, ValueError):
        return False
    return (
        isinstance(answer, list) and len(answer) == 1 and answer[0] == {"result": True} and answer[0]["result"] is True
    )
