#!/usr/bin/env python3
"""Decide again what evoguard decided, offline, from one capsule and the service's public key.

    verify_capsule.py CAPSULE --key service.pub

Needs Python 3.11, `wasmtime` and `cryptography`, and no code of evoguard's. It checks the signature over the summary,
that every part is what its digest says, that the decisions which the summary names rest on the evidence that it names,
and puts each recorded question before the recorded rules again. Exit status: 0 same, 1 different or not proved.
"""

import argparse
import base64
import hashlib
import json
import sys

import wasmtime as wt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

FORMAT, MOST_BYTES = "evoguard capsule 1", 256 << 20
INTOTO, VSA = "application/vnd.in-toto+json", "https://slsa.dev/verification_summary/v1"
STAGE = {"decision": "review", "admit": "admit"}
FUEL, START_PAGES, MOST_PAGES = 40_000_000_000, 64, 4_096


class DifferentError(Exception):
    """The capsule does not prove what it says."""


def strict(raw):
    """Return JSON in which no key stands twice and no number is a float."""

    def table(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    def no(text):
        raise ValueError(f"not an integer: {text}")

    return json.loads(raw, object_pairs_hook=table, parse_float=no, parse_constant=no)


def sha256(raw):
    """Return the name of bytes."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def bytes_of(text):
    """Return the bytes of the one base64 spelling."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise DifferentError("base64 in another spelling")
    return raw


def statement_of(attestation, public_pem):
    """Return the summary that the key signed (DSSE, ECDSA P-256 with SHA-256)."""
    envelope = strict(attestation)["dsseEnvelope"]
    body, signatures = bytes_of(envelope["payload"]), envelope["signatures"]
    key = load_pem_public_key(public_pem)
    if len(signatures) != 1 or envelope["payloadType"] != INTOTO:
        raise DifferentError("not one signature over an in-toto statement")
    signed = b"DSSEv1 %d %s %d %s" % (len(INTOTO), INTOTO.encode(), len(body), body)
    try:
        key.verify(bytes_of(signatures[0]["sig"]), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise DifferentError("the summary is not signed by this key") from None
    return strict(body)


def parts_of(doc):
    """Return digest → bytes, each proved."""
    parts = {digest: bytes_of(text) for digest, text in doc["parts"].items()}
    for digest, raw in parts.items():
        if sha256(raw) != digest:
            raise DifferentError(f"{digest} is not the digest of its bytes")
    return parts


def part(parts, digest, what):
    """Return one part."""
    if digest not in parts:
        raise DifferentError(f"{what} ({digest}) is not in the capsule")
    return parts[digest]


class Rules:
    """The compiled rules: OPA's WebAssembly ABI 1, a fresh instance for every question."""

    def __init__(self, wasm):
        config = wt.Config()
        config.consume_fuel = True
        self.engine = wt.Engine(config)
        self.module = wt.Module(self.engine, wasm)

    def decide(self, entry, data, question):
        """Return the one result of an entry point, as JSON."""
        store = wt.Store(self.engine)
        store.set_fuel(FUEL)
        memory = wt.Memory(store, wt.MemoryType(wt.Limits(START_PAGES, MOST_PAGES)))

        def stop(*_):
            raise DifferentError("the rules asked for something of the host")

        imports = [memory if i.name == "memory" else wt.Func(store, i.type, stop) for i in self.module.imports]
        exports = wt.Instance(store, self.module, imports).exports(store)

        def call(name, *args):
            return exports[name](store, *args)

        def put(raw):
            memory.write(store, raw, at := call("opa_malloc", len(raw)))
            return at

        def text(at):
            return bytes(memory.read(store, at, memory.data_len(store))).partition(b"\0")[0]

        entries = strict(text(call("opa_json_dump", call("entrypoints"))))
        parsed = call("opa_json_parse", put(data), len(data))
        at, heap = put(question), call("opa_heap_ptr_get")
        answer = strict(text(call("opa_eval", 0, entries[entry], parsed, at, len(question), heap, 0)))
        if len(answer) != 1:
            raise DifferentError("the rules gave no single result")
        return answer[0]["result"]


def ordered(decision):
    """Return a decision with its sets of findings in one order."""
    sets = ("deny", "escalate", "notes")
    rows = {n: sorted(json.dumps(row, sort_keys=True) for row in decision[n]) for n in sets}
    return {**decision, **rows}


def verify(doc, public_pem):
    """Return a line for each thing that was proved. Raises: DifferentError."""
    statement, parts = statement_of(doc["attestation"], public_pem), parts_of(doc)
    if doc["format"] != FORMAT or statement["predicateType"] != VSA:
        raise DifferentError(f"not a {FORMAT} with a verification summary")
    predicate = statement["predicate"]
    told = [
        f"signed: {predicate['verificationResult']} by {predicate['verifier']['id']} at {predicate['timeVerified']}"
    ]
    policy = "sha256:" + predicate["policy"]["digest"]["sha256"]
    inputs = {i["uri"].partition(":")[2]: "sha256:" + i["digest"]["sha256"] for i in predicate["inputAttestations"]}
    for name, digest in inputs.items():
        part(parts, digest, name)
    manifest = strict(part(parts, policy, "the rules' manifest"))
    rules, data = Rules(part(parts, manifest["wasm"], "rules")), part(parts, manifest["data"], "data")
    decided = {name: strict(parts[inputs[name]]) for name in STAGE if name in inputs}
    passed = predicate["verificationResult"] == "PASSED"
    if passed and set(decided) != set(STAGE):
        raise DifferentError("a PASSED summary rests on two decisions")
    trees = [s["digest"]["gitTree"] for s in statement["subject"] if "gitTree" in s["digest"]]
    for name, record in decided.items():
        check(name, record, policy, trees, inputs)
        question = json.dumps(record["question"], ensure_ascii=False).encode()
        again = rules.decide(f"evoguard/{STAGE[name]}", data, question)
        if ordered(again) != ordered(record["decision"]) or again["rules_seen"] != manifest["rules"]:
            raise DifferentError(f"{name}: the rules say otherwise now")
        if passed and again["allow"] is not True:
            raise DifferentError(f"{name}: PASSED, though the rules refuse")
        told.append(f"{STAGE[name]}: {len(manifest['rules'])} rules say the same again: allow {again['allow']}")
    return told


def check(name, record, policy, trees, inputs):
    """Return when a recorded decision is about what the summary is about. Raises: DifferentError."""
    question = record["question"]
    if question["stage"] != STAGE[name] or {record["bundle"], question["policy"]["bundle"]} != {policy}:
        raise DifferentError(f"{name}: asked at another stage or of other rules")
    if [question["change"]["tree"]] != trees:
        raise DifferentError(f"{name}: about another tree than the summary")
    for seen in ("evidence", "scan"):
        if question[seen]["digest"] != inputs.get(seen):
            raise DifferentError(f"{name}: rests on another {seen} than the summary names")


def main():
    """Verify one capsule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("capsule")
    parser.add_argument("--key", required=True, help="the service's public key, got by another way than the capsule")
    asked = parser.parse_args()
    try:
        with open(asked.capsule, "rb") as file, open(asked.key, "rb") as pem:
            raw, public = file.read(MOST_BYTES), pem.read(1 << 16)
        print("\n".join([*verify(strict(raw), public), "same"]))
    except Exception as err:  # noqa: BLE001  (whatever a capsule makes go wrong, it is no proof)
        print(f"different: {type(err).__name__}: {err}"[:500])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
