"""A repository's own rules: read at the base, as they were signed, by a person; able to refuse, and never left out."""

from __future__ import annotations

import json
from collections.abc import Mapping

import wasmtime as wt

from evoguard import bundle
from evoguard.adapters import bundles, keys
from evoguard.domain.canonical import Digest, Json, canonical, digest_of
from evoguard.exam.gate import Gate
from evoguard.exam.hall import COMPONENT, Hall, Seen
from evoguard.exam.surgery import Cut

FOLDER, OWN = "rules", "evoguard.adapters.repository_rules"
TIGHT: Mapping[str, Json] = {"limits": {"max_files": 0}}
LOOSE: Mapping[str, Json] = {"limits": {"max_files": 10_000}}
ENDLESS, TRAP = "(loop $again (br $again)) (i32.const 0)", "(unreachable)"


def parts(data: Mapping[str, Mapping[str, Json] | Json] = TIGHT, wasm: bytes = b"") -> dict[str, bytes]:
    """Return what a repository brings of a bundle: the shipped rules with other data, or other code."""
    shipped = bundle.load()
    doc = json.loads(shipped.data)
    for name, value in data.items():
        doc[name] = {**doc[name], **value} if isinstance(value, Mapping) else value
    raw = canonical(doc)
    manifest = {**json.loads(shipped.named), "data": digest_of(raw), "wasm": digest_of(wasm or shipped.wasm)}
    named = canonical({**manifest, "digest": bundle.identity(manifest)})
    return {bundle.MANIFEST: named, bundle.WASM: wasm or shipped.wasm, bundle.DATA: raw}


def digest(files: Mapping[str, bytes]) -> Digest:
    """Return the name of a bundle."""
    return Digest(json.loads(files[bundle.MANIFEST])["digest"])


def seal(hall: Hall, named: Digest, key: str = "alice") -> bytes:
    """Return somebody's signature of a bundle."""
    return bundles.signature(named, keys.load_private(hall.folder / f"{key}.key"))


def named(files: Mapping[str, bytes], signer: str = "alice") -> str:
    """Return the table of the component file."""
    return f'[policy.rules]\npath = "{FOLDER}"\nbundle = "{digest(files)}"\nsigner = "{signer}"\n'


async def brought(  # noqa: PLR0913  (an attack names what it changes)
    hall: Hall, asked: Mapping[str, bytes], *, tree: Mapping[str, bytes] | None = None, signature: bytes = b"",
    signer: str = "alice", people: tuple[str, ...] = (), head: Mapping[str, str] | None = None, author: str = "coder",
) -> Seen:  # fmt: skip
    """Carry a change of a repository that names `asked`, has `tree` in its folder, and this signature."""
    files = {**(asked if tree is None else tree), bundle.SIGNATURE: signature or seal(hall, digest(asked), signer)}
    origin = hall.origin(
        head or {"scoring.py": "STEP = 4\n"}, policy=named(asked, signer),
        beside={f"{FOLDER}/{name}": raw for name, raw in files.items() if raw},
    )  # fmt: skip
    return await hall.carried(await hall.submit(author=author, origin=origin), *people)


def code(answers: Mapping[str, Mapping[str, Json]], act: str = "") -> bytes:
    """Return a module with OPA's interface that gives these answers, whatever it is asked, or does `act` instead."""
    entries = json.dumps({f"evoguard/{stage}": n for n, stage in enumerate(("review", "admit"))})
    texts = [entries, "{}", *(json.dumps([{"result": answers.get(s, {})}]) for s in ("review", "admit"))]
    at = [1_024 + 4_096 * n for n in range(len(texts))]
    data = "".join(
        f'(data (i32.const {where}) "{"".join(f"{chr(92)}{byte:02x}" for byte in text.encode())}{chr(92)}00")'
        for where, text in zip(at, texts, strict=True)
    )
    say = act or f"(select (i32.const {at[3]}) (i32.const {at[2]}) (local.get 1))"
    return bytes(
        wt.wat2wasm(f"""(module (import "env" "memory" (memory 2)) {data}
      (global (export "opa_wasm_abi_version") i32 (i32.const 1))
      (func (export "entrypoints") (result i32) (i32.const {at[0]}))
      (func (export "builtins") (result i32) (i32.const {at[1]}))
      (func (export "opa_json_dump") (param i32) (result i32) (local.get 0))
      (func (export "opa_json_parse") (param i32 i32) (result i32) (i32.const 1))
      (func (export "opa_malloc") (param i32) (result i32) (i32.const 65536))
      (func (export "opa_heap_ptr_get") (result i32) (i32.const 65536))
      (func (export "opa_eval") (param i32 i32 i32 i32 i32 i32 i32) (result i32) {say}))""")
    )


def answer(*, quorum: int = 1, **changed: Json) -> dict[str, Json]:
    """Return a whole decision that allows."""
    rules: list[Json] = [*bundle.load().manifest.rules]
    said: dict[str, Json] = {"allow": True, "deny": [], "escalate": [], "quorum": quorum, "notes": []}
    return {**said, "rules_seen": rules, **changed}


async def denied_by_its_own(hall: Hall) -> Seen:
    """A change that the repository's own rules refuse goes on, for the guard's rules allow it."""
    return await brought(hall, parts())


async def another_bundle(hall: Hall) -> Seen:
    """Milder rules lie in the folder than those that the component file names."""
    tight = parts()
    return await brought(hall, tight, tree=parts(LOOSE))


async def edited(hall: Hall) -> Seen:
    """The rules' data were edited after they were signed, and the manifest was left alone."""
    tight = parts()
    return await brought(hall, tight, tree={**tight, bundle.DATA: parts(LOOSE)[bundle.DATA]})


async def signed_by_a_stranger(hall: Hall) -> Seen:
    """Rules in alice's name that mallory signed."""
    loose = parts(LOOSE)
    return await brought(hall, loose, signature=seal(hall, digest(loose), "mallory"))


async def signed_something_else(hall: Hall) -> Seen:
    """Alice's signature of other rules is laid beside these."""
    return await brought(hall, parts(LOOSE), signature=seal(hall, digest(parts())))


async def signed_by_an_agent(hall: Hall) -> Seen:
    """An agent signs the rules of the repository that it works on."""
    return await brought(hall, parts(LOOSE), signer="coder")


async def endless(hall: Hall) -> Seen:
    """A rule that never ends, so that nobody learns what it would have refused."""
    return await brought(hall, parts(LOOSE, code({}, ENDLESS)))


async def more_people_later(hall: Hall) -> Seen:
    """The repository's rules ask for one person at review, and for nine once the votes are in."""
    return await brought(hall, parts(LOOSE, code({"review": answer(), "admit": answer(quorum=9)})))


async def left_out(hall: Hall) -> Seen:
    """A person's candidate takes the repository's own rules out of the component file, and so escapes them."""
    weaker = {".evoguard.toml": COMPONENT.format(component="", policy=""), "a.py": "x = 1\n"}
    return await brought(hall, parts(), head=weaker, author="alice", people=("bob", "carol"))


_PROVED = "loaded.manifest.digest != named.bundle"
GATES = (
    Gate("repository.refuses", Cut("evoguard.flow.question:ask", "own.over(held) if own is not None else held", "held"),
         denied_by_its_own, "change.unbounded"),
    Gate("repository.base_file", Cut("evoguard.flow.impact:impact",
         "ports.sources.file(proposal.repo, proposal.base, FILE_NAME)",
         "ports.sources.file(proposal.repo, proposal.head, FILE_NAME)"), left_out, "change.unbounded"),
    Gate("repository.digest", Cut(f"{OWN}:_proved", _PROVED), another_bundle, "repository.changed"),
    Gate("repository.parts", Cut("evoguard.bundle:to_judge", "digest_of(raw) != doc[key]"), edited,
         "repository.unreadable"),
    Gate("repository.signature", Cut("evoguard.adapters.dsse:unseal",
         "key.verify(signature, pae(kind, body), ec.ECDSA(hashes.SHA256()))", "None"), signed_by_a_stranger,
         "repository.signature"),
    Gate("repository.subject", Cut(f"{OWN}:RepositoryBundles._signed", "body != bundles.signed_for(named.bundle)"),
         signed_something_else, "repository.signature"),
    Gate("repository.person", Cut(f"{OWN}:RepositoryBundles._signed", "signer.kind != 'person'"), signed_by_an_agent,
         "repository.signer"),
    Gate("repository.no_verdict", Cut("evoguard.domain.repository_rules:RepositoryVerdict.over",
         "replace(decision, allow=False, deny=(*decision.deny, *more))", "decision"), endless,
         "repository.no_verdict"),
    Gate("repository.quorum", Cut("evoguard.flow.sign:sign", "decision.quorum > state['quorum']"), more_people_later,
         "approval.quorum", ("repository.people",)),
    Gate("repository.people", Cut("evoguard.flow.approve:_lacking", "len(people) < decision.quorum", "False"),
         more_people_later, "approval.quorum", ("repository.quorum",)),
)  # fmt: skip
