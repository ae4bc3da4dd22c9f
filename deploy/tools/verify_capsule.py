#!/usr/bin/env python3
"""Decide again what evoguard decided, offline: verify_capsule.py CAPSULE --key service.pub [--shipped DIGEST]

Needs Python 3.11, `wasmtime` and `cryptography`, no code of evoguard's. Proves the summary's signature, every digest,
what the decisions rest on, and that the rules say the same again. Exit status: 0 same, 1 different or unproved.
"""

import argparse
import base64
import hashlib
import json
import sys
from urllib.parse import quote

import wasmtime as wt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

FORMAT, INTOTO, VSA = "evoguard capsule 1", "application/vnd.in-toto+json", "https://slsa.dev/verification_summary/v1"
FACTS = ("passed", "isolation", "behaviour", "assurance", "expected", "run", "failed", "split", "unstable")
STAGE = {"decision": "review", "admit": "admit"}
FUEL, START_PAGES, MOST_PAGES, MOST_BYTES = 40_000_000_000, 64, 4_096, 32 << 20


class DifferentError(Exception):
    """The capsule does not prove what it says."""


def strict(raw):
    """Return JSON in which no key stands twice and no number is a float."""

    def table(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    return json.loads(raw, object_pairs_hook=table, parse_float=int, parse_constant=int)  # int refuses either's text


def bytes_of(text):
    """Return the bytes of the one base64 spelling."""
    if base64.b64encode(raw := base64.b64decode(text, validate=True)).decode() != text:
        raise DifferentError("base64 in another spelling")
    return raw


def statement_of(attestation, public_pem):
    """Return the summary that the key signed (DSSE, ECDSA P-256 with SHA-256)."""
    envelope = strict(attestation)["dsseEnvelope"]
    body, signatures = bytes_of(envelope["payload"]), envelope["signatures"]
    if len(signatures) != 1 or envelope["payloadType"] != INTOTO:
        raise DifferentError("not one signature over an in-toto statement")
    signed = b"DSSEv1 %d %s %d %s" % (len(INTOTO), INTOTO.encode(), len(body), body)
    try:
        load_pem_public_key(public_pem).verify(bytes_of(signatures[0]["sig"]), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise DifferentError("the summary is not signed by this key") from None
    return strict(body)


def parts_of(doc):
    """Return digest → bytes, each proved."""
    for digest, raw in (parts := {name: bytes_of(text) for name, text in doc["parts"].items()}).items():
        if "sha256:" + hashlib.sha256(raw).hexdigest() != digest:
            raise DifferentError(f"{digest} is not the digest of its bytes")
    return parts


def decide(wasm, entry, data, question):
    """Return what the compiled rules say: one result of an entry point (OPA's WebAssembly ABI 1)."""
    (config := wt.Config()).consume_fuel = True
    (store := wt.Store(wt.Engine(config))).set_fuel(FUEL)
    store.set_limits(memory_size=MOST_PAGES * 65_536)
    module = wt.Module(store.engine, wasm)
    memory = wt.Memory(store, wt.MemoryType(wt.Limits(START_PAGES, MOST_PAGES)))

    def stop(*_):
        raise DifferentError("the rules asked for something of the host")

    imports = [memory if i.name == "memory" else wt.Func(store, i.type, stop) for i in module.imports]
    exports = wt.Instance(store, module, imports).exports(store)

    def call(name, *args):
        return exports[name](store, *args)

    def put(raw):
        memory.write(store, raw, at := call("opa_malloc", len(raw)))
        return at

    def text(at):
        return bytes(memory.read(store, at, memory.data_len(store))).partition(b"\0")[0]

    entries = strict(text(call("opa_json_dump", call("entrypoints"))))
    parsed, at = call("opa_json_parse", put(data), len(data)), put(question)
    said = call("opa_eval", 0, entries[entry], parsed, at, len(question), call("opa_heap_ptr_get"), 0)
    (answer,) = strict(text(said))
    return answer["result"]


def ordered(decision):
    """Return a decision as one text, its sets of findings in one order."""
    rows = {n: sorted(json.dumps(f, sort_keys=True) for f in decision[n]) for n in ("deny", "escalate", "notes")}
    return json.dumps({**decision, **rows}, sort_keys=True)


def verify(doc, public_pem, demanded=()):
    """Return a line for each thing that was proved; `demanded` bundles must have been asked. Raises: DifferentError."""
    statement, parts = statement_of(doc["attestation"], public_pem), parts_of(doc)
    predicate, result = statement["predicate"], statement["predicate"]["verificationResult"]
    if doc["format"] != FORMAT or statement["predicateType"] != VSA or result not in ("PASSED", "FAILED"):
        raise DifferentError(f"not a {FORMAT} with a verification summary")
    policy, rows = "sha256:" + predicate["policy"]["digest"]["sha256"], predicate["inputAttestations"]
    inputs = {i["uri"].removeprefix("evoguard:"): "sha256:" + i["digest"]["sha256"] for i in rows}
    docs = {name: strict(parts[digest]) for name, digest in inputs.items()}
    decided = [name for name in STAGE if name in docs]
    if not decided or (result == "PASSED" and len(decided) != len(STAGE)):
        raise DifferentError("no decision to make again, or a PASSED summary that rests on one alone")
    (tree,) = [s["digest"]["gitTree"] for s in statement["subject"] if "gitTree" in s["digest"]]
    told = [
        f"change {doc['change']}: {result}, signed by {predicate['verifier']['id']} at {predicate['timeVerified']}",
        f"tree {tree} of {predicate['resourceUri']}, under the rules {policy}",
    ]
    for name, record in ((name, docs[name]) for name in decided):
        check(name, record, [doc["change"], tree], policy, statement)
        asked, floor, own = (record.get(key) for key in ("question", "floor", "repository"))
        rests_on(name, asked, inputs, docs)
        rules, again = same(name, asked, record, parts)
        allow, over = again["allow"] is True, "no constitution over them"
        if unasked := {*demanded} - {policy, *(one["bundle"] for one in (floor, own) if one)}:
            raise DifferentError(f"{name}: {unasked} was not asked")
        if floor:  # the constitution that ships holds over rules of people's own
            manifest, said = same(name, asked, floor, parts)
            denied = [f["code"] for f in said["deny"] if manifest["codes"][f["code"]]["severity"] == "constitution"]
            allow, over = allow and not denied, f"the constitution of {floor['bundle']} denies {denied or 'nothing'}"
        if own:  # the repository's own rules can only refuse
            said = same(name, asked, own, parts)[1] if own["decision"] else {"allow": "no verdict"}
            allow, over = allow and said["allow"] is True, f"{over}; the repository's {own['bundle']}: {said['allow']}"
        if result == "PASSED" and not allow:
            raise DifferentError(f"{name}: PASSED, though the rules refuse")
        told.append(f"{STAGE[name]}: {len(rules['rules'])} rules say the same again: allow {again['allow']}; {over}")
    return told


def same(name, asked, record, parts):
    """Return the manifest of the recorded rules and what they say again. Raises: DifferentError when it differs."""
    manifest = strict(parts[record["bundle"]])
    wasm, data = (parts[manifest[key]] for key in ("wasm", "data"))
    again = decide(wasm, f"evoguard/{STAGE[name]}", data, json.dumps(asked, ensure_ascii=False).encode())
    if ordered(again) != ordered(record["decision"]) or again["rules_seen"] != manifest["rules"]:
        raise DifferentError(f"{name}: the rules say otherwise now")
    return manifest, again


def check(name, record, named, policy, statement):
    """Return when a recorded decision is about what the summary is about. Raises: DifferentError."""
    asked, about = record["question"], record["question"]["change"]
    if asked["stage"] != STAGE[name] or {record["bundle"], asked["policy"]["bundle"]} != {policy}:
        raise DifferentError(f"{name}: asked at another stage or of other rules")
    heads = [s["digest"]["gitCommit"] for s in statement["subject"] if s["name"] == "head"]
    said = [about["id"], about["tree"], [about["head"]], "git+evoguard:" + quote(about["repo"], safe="/")]
    if said != [*named, heads, statement["predicate"]["resourceUri"].partition("@")[0]]:
        raise DifferentError(f"{name}: about another tree, commit, repository or change than the summary")


def rests_on(name, asked, inputs, docs):
    """Return when the question says what evidence, scan and votes say. Raises: DifferentError."""
    if other := [seen for seen in ("evidence", "scan") if asked[seen]["digest"] != inputs.get(seen)]:
        raise DifferentError(f"{name}: rests on another {other[0]} than the summary names")
    ran, scan = docs["evidence"], docs["scan"]
    facts = {key: ran[key] for key in FACTS} | {"tree": ran["tree"]}
    if facts != {key: asked["evidence"][key] for key in FACTS} | {"tree": asked["change"]["tree"]}:
        raise DifferentError(f"{name}: the evidence says otherwise than the question")
    if asked["hits"] != scan["new"] or any(asked["scan"][key] != scan[key] for key in ("status", "omitted", "unread")):
        raise DifferentError(f"{name}: the scan says otherwise than the question")
    if name == "admit" and asked["approvals"] != docs["approvals"]:
        raise DifferentError(f"{name}: the votes are others than those of the question")


def main():
    """Verify one capsule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("capsule")
    parser.add_argument("--key", required=True, help="the service's public key, got by another way than the capsule")
    parser.add_argument("--shipped", "--repository", action="append", default=[], help="demand that it was asked too")
    try:
        with open((asked := parser.parse_args()).capsule, "rb") as file, open(asked.key, "rb") as pem:
            told = verify(strict(file.read(MOST_BYTES)), pem.read(1 << 16), asked.shipped)
        print(*(ascii(line)[1:-1] for line in [*told, "same"]), sep="\n")
    except Exception as err:  # noqa: BLE001  (whatever a capsule makes go wrong, it is no proof)
        print("different: " + ascii(f"{type(err).__name__}: {err}")[1:-1][:500])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
