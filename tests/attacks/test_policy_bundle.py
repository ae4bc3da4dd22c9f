"""Ways to make the policies say yes, or say nothing, that must leave the gate shut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import wasmtime

from contract.policies_suite import a_question
from evoguard import bundle
from evoguard.adapters.opa_wasm import OpaWasmPolicies, run_rule_tests
from evoguard.adapters.opa_wasm_host import Program
from evoguard.domain import exceptions
from evoguard.domain.canonical import digest_of
from evoguard.errors import IntegrityError, UnavailableError

PARTS = {bundle.WASM: "wasm", bundle.TESTS: "tests_wasm", bundle.DATA: "data", bundle.SCAN: "scan"}
NOTHING = wasmtime.wat2wasm("(module)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = Path(bundle.__file__).parent
    for name in (*PARTS, bundle.MANIFEST):
        (tmp_path / name).write_bytes((home / name).read_bytes())
    return tmp_path


def forge(folder: Path, **changes: object) -> None:
    """Rewrite the manifest so that it fits the files again, as somebody who owns the whole folder could."""
    doc = json.loads((folder / bundle.MANIFEST).read_text())
    doc |= {key: digest_of((folder / name).read_bytes()) for name, key in PARTS.items()} | changes
    doc["digest"] = bundle.identity(doc)
    (folder / bundle.MANIFEST).write_text(json.dumps(doc))


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the look at the data away that comes first, so that the rules' own answer to it is seen."""
    monkeypatch.setattr(exceptions, "wrong", lambda *_: [])


@pytest.mark.parametrize("name", [*PARTS, bundle.MANIFEST])
@pytest.mark.parametrize("raw", [b"", b"{}", None])
def test_a_file_that_is_empty_or_gone_stops_the_load(folder: Path, name: str, raw: bytes | None) -> None:
    if raw is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(raw)
    with pytest.raises(IntegrityError):
        OpaWasmPolicies(folder=folder)


@pytest.mark.parametrize("name", [*PARTS, bundle.MANIFEST])
def test_one_changed_byte_stops_the_load(folder: Path, name: str) -> None:
    raw = bytearray((folder / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / name).write_bytes(bytes(raw))
    with pytest.raises(IntegrityError):
        OpaWasmPolicies(folder=folder)


def test_raised_limits_give_the_bundle_another_name(folder: Path) -> None:
    data = json.loads((folder / bundle.DATA).read_text())
    data["limits"]["max_files"] = 10**6
    (folder / bundle.DATA).write_text(json.dumps(data))
    forge(folder)
    assert OpaWasmPolicies(folder=folder).digest != OpaWasmPolicies().digest


@pytest.mark.parametrize(
    "data",
    [
        b"{}", b"[]", b"null", b"not json", b'{"rules": []}',
        b'{"evoguard": {"review": {"allow": true}, "rules": {}}}',
    ],
)  # fmt: skip
async def test_data_without_its_lists_is_not_loaded_and_never_allows(
    folder: Path, data: bytes, request: pytest.FixtureRequest
) -> None:
    (folder / bundle.DATA).write_bytes(data)
    forge(folder)
    with pytest.raises(IntegrityError):
        OpaWasmPolicies(folder=folder)
    if data != b"not json":
        request.getfixturevalue("unread")
        assert not await allowed(OpaWasmPolicies(folder=folder))


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize("said", [None, [], "author.held", ["author.held"], 5])
async def test_an_exemption_from_the_constitution_lifts_nothing_though_the_data_were_believed(
    folder: Path, said: object
) -> None:
    data = json.loads((folder / bundle.DATA).read_text())
    data["exemptions"] = [
        {"id": "X", "code": "author.held", "scope": {"repo": "lending", "component": "", "path": ""}, "reason": "r",
         "owner": "ada", "approved_by": ["ada", "bob"], "until": "2026-10-01"}
    ]  # fmt: skip
    data["shadow"] = [{"code": "author.held", "effective_on": "2026-10-01"}]
    data["constitution"] = said
    (folder / bundle.DATA).write_text(json.dumps(data))
    forge(folder)
    decision = await OpaWasmPolicies(folder=folder).decide("review", a_question(author={"held": True}))
    # A list that names other codes only is a bundle that says the rule is none of the constitution; it is not loaded.
    assert not decision.allow
    assert "author.held" in {finding.code for finding in decision.deny}


@pytest.mark.parametrize("part", ["limits", "guard", "evidence", "modes", "rules"])
async def test_half_of_the_data_never_allows(folder: Path, part: str) -> None:
    data = json.loads((folder / bundle.DATA).read_text())
    del data[part]
    (folder / bundle.DATA).write_text(json.dumps(data))
    forge(folder)
    assert not await allowed(OpaWasmPolicies(folder=folder))


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize("change", ["one rule more", "one rule less"])
async def test_a_rule_that_the_manifest_knows_and_the_engine_does_not_is_no_verdict(folder: Path, change: str) -> None:
    rules = list(bundle.load().manifest.rules)
    rules = [*rules, "zzz.lost"] if change == "one rule more" else rules[1:]
    forge(folder, rules=rules, codes={code: {"title": code} for code in rules})
    with pytest.raises(UnavailableError):
        await OpaWasmPolicies(folder=folder).decide("review", a_question())


async def test_a_rule_missing_from_the_data_never_allows(folder: Path) -> None:
    data = json.loads((folder / bundle.DATA).read_text())
    data["rules"].pop()
    (folder / bundle.DATA).write_text(json.dumps(data))
    forge(folder)
    assert not await allowed(OpaWasmPolicies(folder=folder))


def test_a_module_that_is_not_opas_stops_the_load(folder: Path) -> None:
    (folder / bundle.WASM).write_bytes(NOTHING)
    forge(folder)
    with pytest.raises(IntegrityError):
        OpaWasmPolicies(folder=folder)


def test_the_tests_module_in_place_of_the_rules_stops_the_load(folder: Path) -> None:
    (folder / bundle.WASM).write_bytes((folder / bundle.TESTS).read_bytes())
    forge(folder)
    with pytest.raises(IntegrityError):
        OpaWasmPolicies(folder=folder)


def test_no_tests_is_not_a_pass(folder: Path) -> None:
    forge(folder, tests=[])
    with pytest.raises(IntegrityError):
        run_rule_tests(folder)


def test_a_lost_test_is_not_a_pass(folder: Path) -> None:
    forge(folder, tests=list(bundle.load().manifest.tests)[1:])
    with pytest.raises(IntegrityError):
        run_rule_tests(folder)


@pytest.mark.usefixtures("unread")
def test_tests_run_on_damaged_data_fail(folder: Path) -> None:
    (folder / bundle.DATA).write_text("{}")
    forge(folder)
    assert not all(passed for _, passed in run_rule_tests(folder))


async def test_without_fuel_there_is_no_verdict() -> None:
    with pytest.raises((UnavailableError, IntegrityError)):
        await OpaWasmPolicies(fuel=300_000).decide("review", a_question())


async def test_a_question_that_eats_all_fuel_has_no_verdict_and_the_next_one_is_right() -> None:
    policies = OpaWasmPolicies(fuel=60_000_000)
    globs = [f"{'*a' * 20}{n}*" for n in range(150)]
    files = [{**a_question()["files"][0], "path": f"{'a' * 200}/{n}"} for n in range(200)]
    with pytest.raises(UnavailableError):
        await policies.decide("review", a_question(files=files, tighten={"guard": globs}))
    assert await allowed(policies)


async def test_a_question_that_eats_all_memory_has_no_verdict_and_the_next_one_is_right() -> None:
    policies = OpaWasmPolicies(max_pages=100)
    with pytest.raises(UnavailableError):
        await policies.decide("review", a_question(change={"intent": "x" * 3_900_000}))
    assert await allowed(policies)


async def test_a_pattern_made_to_backtrack_is_answered() -> None:
    asked = {"files": [{**a_question()["files"][0], "path": "a" * 2000}], "tighten": {"guard": ["*a" * 30 + "b"]}}
    assert (await OpaWasmPolicies().decide("review", a_question(**asked))).rules_seen


async def test_text_that_looks_like_rules_is_data() -> None:
    text = '"}],"allow":true,"deny":[]} {{ data.evoguard }} {input.author.held} \u202e \u2028'
    question = a_question(author={"id": text, "held": True}, change={"intent": text})
    (finding,) = (await OpaWasmPolicies().decide("review", question)).deny
    assert (finding.code, finding.term) == ("author.held", text)


async def test_a_submission_cannot_bring_data_of_its_own() -> None:
    own = {"rules": [], "limits": {"max_files": 10**9}, "guard": {"globs": []}}
    question = {**a_question(totals={"files": 101}), "data": own, **own}
    assert not (await OpaWasmPolicies().decide("review", question)).allow


@pytest.mark.parametrize("entry", ["evoguard/nothing", "", "evoguard", "evoguard/rules"])
def test_an_entry_point_that_does_not_exist_is_no_verdict(entry: str) -> None:
    with pytest.raises(UnavailableError):
        Program(bundle.load().wasm).evaluate(entry, data=b"{}", question=b"{}")


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"a": 1e99999}'])
def test_raw_bytes_that_are_no_question_never_allow(raw: bytes) -> None:
    loaded = bundle.load()
    try:
        answer = Program(loaded.wasm).evaluate("evoguard/review", data=loaded.data, question=raw)
    except UnavailableError:
        return
    assert b'"allow":true' not in answer


async def allowed(policies: OpaWasmPolicies) -> bool:
    """Tell whether the usual question is allowed; no verdict is a no."""
    try:
        return (await policies.decide("review", a_question())).allow
    except UnavailableError:
        return False
