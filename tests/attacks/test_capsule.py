"""A decision re-decides itself: one file and the service's key, none of our code. Whatever is changed in it is seen.

Two kinds of attackers: somebody who has the file, and somebody who has the service's own key as well and signs a new
summary over what never was decided.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evoguard import bundle
from evoguard.adapters import keys
from evoguard.adapters.floored import FlooredPolicies
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.adapters.signer import LocalSigner
from evoguard.domain.canonical import as_digest, canonical, digest_of
from evoguard.domain.verdict import Finding
from evoguard.errors import InputError
from evoguard.wiring.capsule import pack
from house import House
from rules_office import loosened

TOOL = Path(__file__).parents[2] / "deploy" / "tools" / "verify_capsule.py"
Doc = dict[str, Any]


def verified(folder: Path, doc: Doc | bytes, *more: str) -> tuple[int, str]:
    raw = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
    (folder / "c.capsule").write_bytes(raw)
    argv = [sys.executable, "-I", str(TOOL), str(folder / "c.capsule"), "--key", str(folder / "service.pub"), *more]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={})
    assert done.stderr == ""
    return done.returncode, done.stdout


async def capsule_of(house: House, change: str) -> Doc:
    (house.folder / "service.pub").write_bytes(house.public)
    events = await house.queries.events(f"change/{change}")
    digest = [e.event.body["attestation"] for e in events if "attestation" in e.event.body][-1]
    attestation = await house.artifacts.get(as_digest(str(digest)))
    doc: Doc = json.loads(await pack(change, attestation, house.artifacts))
    return doc


@pytest.fixture
async def doc(house: House) -> Doc:
    return await capsule_of(house, await house.to_watch())


async def test_a_good_change_is_decided_again_with_none_of_our_code(house, doc):
    code, said = verified(house.folder, doc)
    assert (code, said.splitlines()[-1]) == (0, "same")
    rules = len(bundle.load().manifest.rules)
    assert f"review: {rules} rules say the same again: allow True" in said
    assert f"admit: {rules} rules say the same again: allow True" in said
    assert "evoguard.adapters" not in TOOL.read_text()
    assert len(TOOL.read_text().splitlines()) <= 200


async def test_a_refused_change_is_decided_again_as_well(house):
    house.scanner.status = "incomplete"
    change = await house.submit()
    await house.drive(change)
    code, said = verified(house.folder, await capsule_of(house, change))
    assert (code, "FAILED, signed by" in said, "allow False" in said) == (0, True, True), said


def part(doc: Doc, name: str) -> Doc:
    found: Doc = json.loads(base64.b64decode(doc["parts"][input_of(doc, name)]))
    return found


def statement(doc: Doc) -> Doc:
    found: Doc = json.loads(base64.b64decode(json.loads(doc["attestation"])["dsseEnvelope"]["payload"]))
    return found


def input_of(doc: Doc, name: str) -> str:
    rows = statement(doc)["predicate"]["inputAttestations"]
    return next("sha256:" + row["digest"]["sha256"] for row in rows if row["uri"] == f"evoguard:{name}")


def policy(doc: Doc) -> str:
    return "sha256:" + statement(doc)["predicate"]["policy"]["digest"]["sha256"]


def put(doc: Doc, raw: bytes, *, under: str = "") -> str:
    digest = under or str(digest_of(raw))
    doc["parts"][digest] = base64.b64encode(raw).decode()
    return digest


def changed_payload(doc: Doc) -> None:
    outer, inner = json.loads(doc["attestation"]), statement(doc)
    inner["predicate"]["verifier"]["id"] = "evoguard:other"
    outer["dsseEnvelope"]["payload"] = base64.b64encode(canonical(inner)).decode()
    doc["attestation"] = json.dumps(outer)


def changed_decision(doc: Doc) -> None:
    record = part(doc, "decision")
    record["decision"]["quorum"] = 9
    put(doc, canonical(record), under=input_of(doc, "decision"))


def lost_decision(doc: Doc) -> None:
    del doc["parts"][input_of(doc, "decision")]


def lost_evidence(doc: Doc) -> None:
    del doc["parts"][input_of(doc, "evidence")]


def other_rules(doc: Doc) -> None:
    wasm = json.loads(base64.b64decode(doc["parts"][policy(doc)]))["wasm"]
    put(doc, bundle.load().tests_wasm, under=wasm)


def other_data(doc: Doc) -> None:
    data = json.loads(base64.b64decode(doc["parts"][policy(doc)]))["data"]
    put(doc, b"{}", under=data)


def other_manifest(doc: Doc) -> None:
    named = json.loads(base64.b64decode(doc["parts"][policy(doc)]))
    put(doc, canonical({**named, "data": put(doc, b"{}")}), under=policy(doc))


def another_spelling(doc: Doc) -> None:
    digest = input_of(doc, "approvals")
    doc["parts"][digest] = doc["parts"][digest] + "\n"


def another_format(doc: Doc) -> None:
    doc["format"] = "evoguard capsule 0"


def two_signatures(doc: Doc) -> None:
    outer = json.loads(doc["attestation"])
    outer["dsseEnvelope"]["signatures"] *= 2
    doc["attestation"] = json.dumps(outer)


def another_type(doc: Doc) -> None:
    outer = json.loads(doc["attestation"])
    outer["dsseEnvelope"]["payloadType"] = "text/plain"
    doc["attestation"] = json.dumps(outer)


def no_parts(doc: Doc) -> None:
    doc["parts"] = {}


def another_change(doc: Doc) -> None:
    doc["change"] = "ch-ffffffffffff"


def a_key_that_is_no_text(doc: Doc) -> None:
    doc["parts"]["\ud800"] = "AA=="


def a_key_that_speaks(doc: Doc) -> None:
    doc["parts"]["x\nsigned\x1b[8m\nsame"] = "AA=="


@pytest.mark.parametrize(
    "how",
    [changed_payload, changed_decision, lost_decision, lost_evidence, other_rules, other_data, other_manifest,
     another_spelling, another_format, two_signatures, another_type, no_parts,
     another_change, a_key_that_is_no_text, a_key_that_speaks],
)  # fmt: skip
async def test_who_has_the_file_alone_can_change_nothing(house, doc, how: Callable[[Doc], None]):
    how(doc)
    code, said = verified(house.folder, doc)
    assert (code, said[:11], said.count("\n"), "\x1b" in said) == (1, "different: ", 1, False)


async def test_another_key_proves_nothing(house, doc):
    verified(house.folder, doc)
    keys.generate(house.folder / "other.key")
    public = keys.public_pem(keys.load_private(house.folder / "other.key").public_key())
    (house.folder / "service.pub").write_bytes(public)
    assert verified(house.folder, doc) == (1, "different: DifferentError: the summary is not signed by this key\n")


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"no json", b'{"format": 1, "format": 2}', b"[" * 200_000, b"1.5"])
async def test_what_is_no_capsule_is_said_in_a_line(house, doc, raw):
    code, said = verified(house.folder, raw)
    assert (code, said[:11], said.count("\n")) == (1, "different: ", 1)


async def signed_again(house: House, doc: Doc, change: Callable[[Doc], None]) -> None:
    """Sign an edited summary with the service's own key, as its holder can."""
    inner = statement(doc)
    change(inner)
    doc["attestation"] = (await LocalSigner(house.folder / "service.key", house.public).attest(inner)).decode()


def renamed(inner: Doc, name: str, digest: str) -> None:
    for row in inner["predicate"]["inputAttestations"]:
        if row["uri"] == f"evoguard:{name}":
            row["digest"]["sha256"] = digest.removeprefix("sha256:")


@pytest.mark.parametrize(
    ("name", "edit", "why"),
    [
        ("decision", lambda r: r["decision"].update(quorum=7), "the rules say otherwise now"),
        ("admit", lambda r: r["decision"].update(quorum=7), "the rules say otherwise now"),
        ("admit", lambda r: r["decision"]["rules_seen"].pop(), "the rules say otherwise now"),
        ("decision", lambda r: r["question"].update(secrets=[{"rule": "x", "path": "a", "line": 1}]), "otherwise"),
        ("admit", lambda r: r["question"].update(approvals=[]), "the votes are others"),
        ("admit", lambda r: r["question"]["evidence"].update(run=9, expected=9), "the evidence says otherwise"),
        ("admit", lambda r: r["question"]["scan"].update(unread=["a"]), "the scan says otherwise"),
        ("decision", lambda r: r["question"].update(hits=[{"rule": "x"}]), "the scan says otherwise"),
        ("decision", lambda r: r["question"]["change"].update(head="0" * 40), "about another"),
        ("decision", lambda r: r["question"]["change"].update(id="ch-0"), "about another"),
        ("decision", lambda r: r["question"]["change"].update(repo="other"), "about another"),
        ("admit", lambda r: r["question"]["evidence"].update(digest="sha256:" + "0" * 64), "rests on another evidence"),
        ("admit", lambda r: r["question"]["scan"].update(digest="sha256:" + "0" * 64), "rests on another scan"),
        ("decision", lambda r: r["question"]["change"].update(tree="0" * 40), "about another tree"),
        ("decision", lambda r: r["question"].update(stage="admit"), "asked at another stage"),
        ("decision", lambda r: r.update(bundle="sha256:" + "0" * 64), "of other rules"),
    ],
)
async def test_the_services_own_key_cannot_sign_what_the_rules_never_said(house, doc, name, edit, why):
    record = part(doc, name)
    edit(record)
    digest = put(doc, canonical(record))
    await signed_again(house, doc, lambda inner: renamed(inner, name, digest))
    code, said = verified(house.folder, doc)
    assert (code, why in said) == (1, True), said


async def test_a_passed_summary_without_its_second_decision_is_none(house, doc):
    def left_out(inner: Doc) -> None:
        rows = inner["predicate"]["inputAttestations"]
        inner["predicate"]["inputAttestations"] = [row for row in rows if row["uri"] != "evoguard:admit"]

    await signed_again(house, doc, left_out)
    assert "that rests on one alone" in verified(house.folder, doc)[1]


@pytest.mark.parametrize("name", ["evidence", "scan", "approvals"])
async def test_what_the_decisions_rest_on_is_what_they_say(house, doc, name):
    """The key's holder swaps the part itself and names the new one in summary and questions."""
    other = {"evidence": {**part(doc, "evidence"), "passed": False, "failed": 9},
             "scan": {**part(doc, "scan"), "status": "incomplete"}, "approvals": []}[name]  # fmt: skip
    digest = put(doc, canonical(other))
    records = {decision: part(doc, decision) for decision in ("decision", "admit")}
    for record in records.values():
        if name != "approvals":
            record["question"][name]["digest"] = digest
    named = {decision: put(doc, canonical(record)) for decision, record in records.items()}

    def swapped(inner: Doc) -> None:
        renamed(inner, name, digest)
        for decision, its in named.items():
            renamed(inner, decision, its)

    await signed_again(house, doc, swapped)
    code, said = verified(house.folder, doc)
    assert (code, "otherwise than the question" in said or "the votes are others" in said) == (1, True), said


@pytest.mark.parametrize("result", ["PASSED\u200b", "FAILED", "PASSED\nsame"])
async def test_a_summary_without_decisions_or_with_another_word_is_none(house, doc, result):
    def emptied(inner: Doc) -> None:
        inner["predicate"] |= {"verificationResult": result, "inputAttestations": []}

    await signed_again(house, doc, emptied)
    code, said = verified(house.folder, doc)
    assert (code, said[:11], said.count("\n")) == (1, "different: ", 1)


async def test_a_passed_summary_of_what_was_refused_is_none(house):
    house.policies.deny_admit = (Finding("rollout.missing_kpi", "no KPI"),)
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    await house.drive(change)
    doc = await capsule_of(house, change)

    def passed(inner: Doc) -> None:
        inner["predicate"]["verificationResult"] = "PASSED"

    await signed_again(house, doc, passed)
    code, said = verified(house.folder, doc)
    assert (code, said[:11]) == (1, "different: ")


async def test_rules_that_are_kept_nowhere_are_said_so(house, doc, monkeypatch):
    change, attestation = doc["change"], doc["attestation"].encode()
    shipped = bundle.load()
    other = bundle.Manifest(**{**{k: getattr(shipped.manifest, k) for k in shipped.manifest.__slots__},
                               "digest": digest_of(b"other")})  # fmt: skip
    changed = bundle.Bundle(other, shipped.wasm, shipped.tests_wasm, shipped.data, shipped.scan, shipped.named)
    monkeypatch.setattr(bundle, "load", lambda: changed)
    with pytest.raises(InputError) as caught:
        await pack(change, attestation, house.artifacts)
    assert (caught.value.code, bool(caught.value.fix)) == ("capsule.rules_gone", True)
    for raw in shipped.to_decide_again:  # as every worker does when it starts
        await house.artifacts.put(raw)
    assert json.loads(await pack(change, attestation, house.artifacts)) == doc


def loose(folder: Path) -> OpaWasmPolicies:
    """Return rules that know hardly a guard path."""
    home = folder / "own"
    return OpaWasmPolicies(folder=home if home.exists() else loosened(home))


@pytest.fixture
async def own(house: House, tmp_path: Path) -> Doc:
    """A change decided under rules of people's own, the shipped constitution over them."""
    rules = loose(tmp_path)
    for raw in rules.bundle.to_decide_again:
        await house.artifacts.put(raw)
    house.ports = replace(house.ports, policies=FlooredPolicies(rules, OpaWasmPolicies()))
    return await capsule_of(house, await house.to_watch())


async def test_rules_of_peoples_own_and_the_constitution_over_them_are_both_asked_again(house, own):
    code, said = verified(house.folder, own)
    assert (code, said.splitlines()[-1]) == (0, "same")
    assert said.count(f"the constitution of {bundle.load().manifest.digest} denies nothing") == 2


async def test_a_constitution_that_refused_is_no_pass(house, own, tmp_path):
    """The key's holder puts a change of a guard path through: their own rules allow it, and say so truly."""
    records = {name: part(own, name) for name in ("decision", "admit")}
    for record in records.values():
        asked = record["question"]
        asked["files"][0]["path"] = ".github/workflows/ci.yml"
        for said, rules in ((record, loose(tmp_path)), (record["floor"], OpaWasmPolicies())):
            said["decision"] = (await rules.decide(asked["stage"], asked)).as_json()
        assert record["decision"]["allow"]
    named = {name: put(own, canonical(record)) for name, record in records.items()}

    def swapped(inner: Doc) -> None:
        for name, digest in named.items():
            renamed(inner, name, digest)

    await signed_again(house, own, swapped)
    code, said = verified(house.folder, own)
    assert (code, "though the rules refuse" in said) == (1, True), said


@pytest.mark.parametrize("field", ["deny", "bundle", "allow"])
async def test_what_the_constitution_said_cannot_be_changed(house, own, field):
    record = part(own, "decision")
    if field == "bundle":
        record["floor"]["bundle"] = record["bundle"]
    elif field == "deny":
        record["floor"]["decision"]["deny"] = [{"code": "author.held", "msg": "x", "path": "", "term": ""}]
    else:
        record["floor"]["decision"]["allow"] = False
    digest = put(own, canonical(record))
    await signed_again(house, own, lambda inner: renamed(inner, "decision", digest))
    code, said = verified(house.folder, own)
    if field == "bundle":  # both bundles say the same words to this question: then the lie is in the line it prints
        assert (code, bundle.load().manifest.digest in said.split("admit:")[0].split("review:")[1]) == (0, False), said
    else:
        assert (code, "the rules say otherwise now" in said) == (1, True), said


async def test_a_constitution_that_was_left_out_is_noticed_by_who_knows_which_bundle_ships(house, own):
    """The key's holder drops it from both records and signs again: then it was never asked, as far as they say."""
    records = {name: part(own, name) for name in ("decision", "admit")}
    for record in records.values():
        del record["floor"]
    named = {name: put(own, canonical(record)) for name, record in records.items()}

    def swapped(inner: Doc) -> None:
        for name, digest in named.items():
            renamed(inner, name, digest)

    await signed_again(house, own, swapped)
    code, said = verified(house.folder, own)
    assert (code, said.count("no constitution over them")) == (0, 2)
    shipped = ("--shipped", bundle.load().manifest.digest)
    code, said = verified(house.folder, own, *shipped)
    assert (code, "was not asked" in said) == (1, True), said


async def test_who_knows_which_bundle_ships_may_demand_its_constitution(house, own, doc):
    shipped = ("--shipped", bundle.load().manifest.digest)
    assert verified(house.folder, doc, *shipped)[0] == 0
    assert verified(house.folder, own, *shipped)[0] == 0
    assert verified(house.folder, own, "--shipped", "sha256:" + "0" * 64)[0] == 1
