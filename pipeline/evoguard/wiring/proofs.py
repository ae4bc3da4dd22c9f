"""What a stranger checks with a public key that they brought: attestations, the log. Also the rules' own tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evoguard.adapters.clock import SystemClock
from evoguard.adapters.signer import LocalSigner
from evoguard.adapters.sqlite import audit, db, roots
from evoguard.domain.attestation import check_vsa
from evoguard.domain.canonical import Digest, Json, as_digest, digest_of
from evoguard.domain.verdict import Finding, findings_json
from evoguard.errors import ConfigError, InputError, IntegrityError
from evoguard.settings import Settings
from evoguard.wiring.keys import fingerprint
from evoguard.wiring.state import open_state

ANY_AGE_S = 10**10
"""A stranger may ask years later; the release itself demands a fresh one."""
KEEP = "name a file that `evoguard audit root` wrote"
DETECTS = (
    "an event changed, removed or put in after it was written, up to the newest signed root",
    "an event after the newest root that does not link to the one before it",
    "a root that this key did not sign, that is about another log, or that does not carry on from the one before it",
    "roots removed from the database, with or without their events, while their newest one's file is there",
    "a row of changes, identities, holds, kills or nonces that the events do not make, or that is missing",
    "a person or an agent registered without the signatures that this took then",
    "rules put in force without two people's signatures on exactly that change of rules",
)
DETECTS_WITH_ROOT = "a log cut back or rewritten up to the root that you kept, whoever did it"
CANNOT_DETECT = (
    "approvals, lifts and releases of holds that were appended by whoever can write the database: their envelopes are"
    " proved when they are used, not again here",
    "a log cut back together with its newest roots and the newest root's file; "
    "with --root: only after the root that you kept",
    "a log rewritten and signed again by whoever holds the service key; with --root: only after the root that you kept",
    "the newest events of a stream removed before a root covered them, with all that they had made",
    "an edit of what no event makes: flags, due times, inbox, effects, checkpoints, KPIs, tokens, a change's remark",
)
"""Until roots are published in a transparency log."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An attestation and what its reader demands of it; an empty demand is taken from the statement, and said so."""

    bundle: bytes
    tree: str = ""
    policy: str = ""
    verifier: str = ""
    change: str = ""
    max_age_s: int = 0


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found. No findings: the key signed it, and every demand holds."""

    claim: Claim
    key: Digest
    statement: Mapping[str, Json] = field(default_factory=dict)
    findings: Sequence[Finding] = ()

    def as_json(self) -> dict[str, Json]:
        """Return what was verified, and what was only taken from the statement itself."""
        predicate = _map(self.statement.get("predicate"))
        subjects = {str(s.get("name")): _map(s.get("digest")) for s in map(_map, _list(self.statement.get("subject")))}
        demanded = {"tree": self.claim.tree, "policy": self.claim.policy, "verifier": self.claim.verifier}
        return {
            "verified": not self.findings,
            "result": predicate.get("verificationResult", ""),
            "change": self.claim.change,
            "tree": _map(subjects.get("tree")).get("gitTree", ""),
            "head": _map(subjects.get("head")).get("gitCommit", ""),
            "resource": predicate.get("resourceUri", ""),
            "verifier": _map(predicate.get("verifier")).get("id", ""),
            "time": predicate.get("timeVerified", ""),
            "levels": predicate.get("verifiedLevels", []),
            "policy": _sha256(_map(predicate.get("policy")).get("digest")),
            "inputs": {
                str(i.get("uri")): _sha256(i.get("digest"))
                for i in map(_map, _list(predicate.get("inputAttestations")))
            },
            "key": self.key,
            "demanded": sorted(name for name, value in demanded.items() if value),
            "taken_from_the_statement": sorted(name for name, value in demanded.items() if not value),
            "findings": findings_json(self.findings),
        }


async def claim_of(settings: Settings, change: str) -> Claim:
    """Return the newest attestation of a change, with tree and policies as the log has them. Raises: InputError."""
    opened = open_state(settings)
    try:
        stored = await opened.queries.events(f"change/{change}")
        found: dict[str, str] = {}
        for item in stored:
            found |= {k: str(item.event.body[k]) for k in ("tree", "bundle", "attestation") if item.event.body.get(k)}
        if "attestation" not in found:
            raise InputError(f"{change} has no attestation", code="verify.none", fix=f"see `evoguard show {change}`")
        bundle = await opened.artifacts.get(as_digest(found["attestation"]))
        return Claim(bundle, found.get("tree", ""), found.get("bundle", ""), opened.verifier(), change)
    finally:
        opened.close()


async def verify(claim: Claim, public_pem: bytes) -> Verified:
    """Check signature, then statement, with this public key alone. Raises: InputError for a key that is none."""
    key = Digest(fingerprint(public_pem))
    try:
        statement = await LocalSigner(None, public_pem).verify(claim.bundle)
    except IntegrityError as err:
        return Verified(claim, key, findings=(Finding(err.code, err.message),))
    predicate = _map(statement.get("predicate"))
    trees = [_map(_map(subject).get("digest")).get("gitTree") for subject in _list(statement.get("subject"))]
    findings = check_vsa(
        statement,
        tree=claim.tree or next((str(tree) for tree in trees if tree), ""),
        policy=Digest(claim.policy or _sha256(_map(predicate.get("policy")).get("digest"))),
        verifier=claim.verifier or str(_map(predicate.get("verifier")).get("id") or ""),
        now_s=SystemClock().now_ms() // 1000,
        max_age_s=claim.max_age_s or ANY_AGE_S,
    )
    return Verified(claim, key, statement, tuple(findings))


async def newest_root(settings: Settings) -> dict[str, Json]:
    """Return the newest signed root, for people to keep elsewhere.

    Raises: IntegrityError when database, file and log do not agree on it; InputError when nothing was signed yet.
    """
    con = db.connect(settings.database, read_only=True)
    try:
        signer = LocalSigner(None, settings.service_pub.read_bytes())
        root = await roots.newest(con, signer, settings.state / roots.FILE)
    except OSError as err:
        raise ConfigError("the service's public key is missing", code="key.missing", fix="restore the pair") from err
    finally:
        con.close()
    if root is None:
        raise InputError("no root is signed yet", code="audit.no_root", fix="start `evoguard serve`, then try again")
    return {"n": root.n, "seq": root.seq, "digest": digest_of(root.bundle), "bundle": root.bundle.decode()}


async def audit_log(settings: Settings, public_pem: bytes, root: bytes | None = None) -> dict[str, Json]:
    """Prove the whole log with this public key; `root` is a bundle that must be in its chain, as `audit root` gave it.

    Raises: ConfigError, UnavailableError; InputError for no key or a file that holds no root.
    """
    key, demanded = fingerprint(public_pem), _kept_root(root) if root is not None else None
    con = db.connect(settings.database, read_only=True)
    try:
        signer = LocalSigner(None, public_pem)
        report = await audit.verify(con, signer, file=settings.state / roots.FILE, demanded=demanded)
    finally:
        con.close()
    problems = list(report.problems)
    if report.events and not report.roots:
        problems.append("no signed root yet: nothing was proved with this key; a running worker signs one every second")
    if not report.events:
        problems.append("the log is empty: nothing was proved")
    return {
        "ok": not problems,
        "events": report.events,
        "streams": report.streams,
        "roots": report.roots,
        "last_root_seq": report.last_root_seq,
        "unsigned_tail": report.unsigned_tail,
        "key": key,
        "problems": [*problems],
        "root_demanded": digest_of(demanded) if demanded is not None else "",
        "detects": [*DETECTS, *([DETECTS_WITH_ROOT] if demanded is not None else [])],
        "cannot_detect": [*CANNOT_DETECT],
    }


def rule_tests(settings: Settings, folder: Path | None = None) -> list[tuple[str, bool]]:
    """Run the own tests of the rules that ship, or of a bundle in a folder. Raises: IntegrityError."""
    from evoguard.adapters.opa_wasm import run_rule_tests

    cache = settings.state / "policy-cache" if settings.state.is_dir() else None
    return run_rule_tests(cache_dir=cache, folder=folder)


def rules(folder: Path | None = None, *, now_s: int = 0) -> dict[str, Json]:
    """Return a bundle, by default the one that ships: digest, rules, sources, what is excepted and whether it holds.

    Raises: IntegrityError when a file does not match.
    """
    from evoguard import bundle
    from evoguard.domain import exceptions

    loaded = bundle.load(folder)
    manifest = loaded.manifest
    exempt, shadow = exceptions.listed(json.loads(loaded.data), now_s)
    return {
        "digest": manifest.digest,
        "opa": manifest.opa_version,
        "rules": [{"code": code, **manifest.codes[code]} for code in manifest.rules],
        "tests": len(manifest.tests),
        "sources": dict(manifest.sources),
        "exemptions": exempt,
        "shadow": shadow,
    }


def inside(folder: Path, path: Path) -> bool:
    """Tell whether a file lies in a folder, links followed."""
    return path.resolve().is_relative_to(folder.resolve())


def _kept_root(raw: bytes) -> bytes:
    """Return the bundle in a file that `audit root` wrote, plain or with --json. Raises: InputError."""
    try:
        doc = json.loads(raw)
    except (ValueError, RecursionError) as err:
        raise InputError("the root's file is not JSON", code="audit.root_file", fix=KEEP) from err
    inner = doc.get("bundle") if isinstance(doc, dict) else None
    return inner.encode("utf-8", "replace") if isinstance(inner, str) else raw.strip()


def _sha256(value: Json) -> str:
    text = _map(value).get("sha256")
    return f"sha256:{text}" if isinstance(text, str) else ""


def _map(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Json) -> Sequence[Json]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
