from __future__ import annotations

import json
from typing import Any

import pytest

from evoguard.adapters.opa_wasm import decision_from
from evoguard.errors import UnavailableError

RULES = ("author.held", "change.secret")
FINDING = {"code": "author.held", "msg": "held", "path": "", "term": "coder"}
GOOD: dict[str, Any] = {
    "allow": True, "deny": [], "escalate": [], "quorum": 1, "notes": [], "rules_seen": list(RULES),
}  # fmt: skip


def an_answer(**changes: object) -> bytes:
    return json.dumps([{"result": {**GOOD, **changes}}]).encode()


def test_one_whole_decision_is_an_answer() -> None:
    assert decision_from(an_answer(), rules=RULES).allow


def test_findings_are_in_one_order() -> None:
    other = {**FINDING, "code": "change.secret"}
    one = decision_from(an_answer(allow=False, deny=[FINDING, other]), rules=RULES)
    assert one == decision_from(an_answer(allow=False, deny=[other, FINDING]), rules=RULES)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b"null", b"{}", b"true", b"[{}]", b'[{"result": null}]', b'[{"result": false}]',
        b'[{"result": []}]',
        b'[{"result": {}}]', b"[1]", b"not json", b"\xff", b"[" * 100_000,
        an_answer()[:-1] + b"," + an_answer()[1:], json.dumps([{"result": GOOD, "extra": 1}]).encode(),
        an_answer().replace(b'"allow": true', b'"allow": false, "allow": true'),
    ],
)  # fmt: skip
def test_anything_else_is_no_verdict(raw: bytes) -> None:
    with pytest.raises(UnavailableError):
        decision_from(raw, rules=RULES)


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 1}, {"allow": 1}, {"allow": "true"}, {"allow": None}, {"allow": False}, {"quorum": 0},
        {"quorum": True}, {"quorum": 1.0}, {"quorum": "1"}, {"quorum": 1e400}, {"deny": {}},
        {"deny": None}, {"deny": [FINDING]},
        {"allow": False, "deny": ["held"]}, {"allow": False, "deny": [{**FINDING, "extra": ""}]},
        {"allow": False, "deny": [{**FINDING, "term": 1}]}, {"allow": False, "deny": [{**FINDING, "code": "made.up"}]},
        {"notes": [1]}, {"escalate": "x"}, {"rules_seen": []}, {"rules_seen": ["author.held"]},
        {"rules_seen": [*RULES, "zzz.new"]}, {"rules_seen": list(reversed(RULES))}, {"rules_seen": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_decision_of_another_shape_is_no_verdict(changes: dict[str, Any]) -> None:
    with pytest.raises(UnavailableError):
        decision_from(an_answer(**changes), rules=RULES)


@pytest.mark.parametrize("key", sorted(GOOD))
def test_a_decision_that_lacks_a_part_is_no_verdict(key: str) -> None:
    part = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(UnavailableError):
        decision_from(json.dumps([{"result": part}]).encode(), rules=RULES)


def test_an_empty_list_of_rules_proves_nothing() -> None:
    with pytest.raises(UnavailableError):
        decision_from(an_answer(rules_seen=[]), rules=())
