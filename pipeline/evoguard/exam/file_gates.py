"""What lies in files and is believed by digest or signature alone: rules, answers, verdicts, the state folder."""

from __future__ import annotations

from pathlib import Path

from evoguard import bundle
from evoguard.adapters import bundles, dsse, keys, state_folder
from evoguard.adapters.opa_wasm import decided
from evoguard.adapters.sandbox_cache import INTOTO_TYPE, PREDICATE_TYPE, VerdictCache, runner_key
from evoguard.domain.attestation import STATEMENT_TYPE
from evoguard.domain.canonical import Digest, Json, canonical, digest_of
from evoguard.exam.bundles import another, written
from evoguard.exam.gate import Gate
from evoguard.exam.hall import Hall, Seen
from evoguard.exam.surgery import Cut
from evoguard_sandbox import SuiteReport, TestResult
from evoguard_sandbox.judging.cached import FORMAT
from evoguard_sandbox.types import Behaviour

LOOSE: dict[str, Json] = {"limits": {"max_files": 10_000}}
RED, GREEN = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CACHE = "evoguard.adapters.sandbox_cache"


def _loosened(folder: Path, **changed: str) -> None:
    """Edit a bundle's data in place, and as much of its manifest as `changed` says."""
    import json

    raw = (folder / bundle.DATA).read_bytes().replace(b'"max_files":10000', b'"max_files":90000')
    (folder / bundle.DATA).write_bytes(raw)
    if changed:
        doc = {**json.loads((folder / bundle.MANIFEST).read_bytes()), **changed, "data": digest_of(raw)}
        (folder / bundle.MANIFEST).write_text(json.dumps(doc))


async def edited_data(hall: Hall) -> Seen:
    """A number of the rules in force is edited in the state folder."""
    digest = another(hall, LOOSE)
    _loosened(bundles.place(hall.settings.state, digest))
    return Seen(True, bundles.kept(hall.settings.state, digest).manifest.digest)


async def edited_manifest(hall: Hall) -> Seen:
    """A number of the rules is edited, and the manifest with it, under the old name."""
    digest = another(hall, LOOSE)
    _loosened(bundles.place(hall.settings.state, digest), digest=digest)
    return Seen(True, bundles.kept(hall.settings.state, digest).manifest.digest)


async def other_bundle(hall: Hall) -> Seen:
    """Another whole bundle is laid into the folder of the one that two people signed."""
    digest = another(hall, LOOSE)
    place = bundles.place(hall.settings.state, digest)
    place.rename(hall.folder / "away")
    written(place, {"limits": {"max_files": 90_000}})
    return Seen(True, bundles.kept(hall.settings.state, digest).manifest.digest)


async def linked_data(hall: Hall) -> Seen:
    """A bundle's data is a link to a file that can be other bytes at each look."""
    digest = another(hall, LOOSE)
    path = bundles.place(hall.settings.state, digest) / bundle.DATA
    path.rename(hall.folder / "data.json")
    path.symlink_to(hall.folder / "data.json")
    return Seen(True, bundles.kept(hall.settings.state, digest).manifest.digest)


async def rule_not_asked(hall: Hall) -> Seen:  # noqa: ARG001  (every attack is given one)
    """The engine allows, and one rule of the bundle was not evaluated."""
    return _answered({"allow": True, "deny": [], "rules_seen": ["a.b"]})


async def contradiction(hall: Hall) -> Seen:  # noqa: ARG001
    """The engine allows and denies in one answer."""
    found: Json = [{"code": "a.b", "msg": "no", "path": "", "term": ""}]
    return _answered({"allow": True, "deny": found, "rules_seen": ["a.b", "c.d"]})


async def allow_that_is_a_word(hall: Hall) -> Seen:  # noqa: ARG001
    """The engine's `allow` is the text "false", which is true to a careless reader."""
    return _answered({"allow": "false", "deny": [], "rules_seen": ["a.b", "c.d"]})


def _answered(said: dict[str, Json]) -> Seen:
    decision = decided({"escalate": [], "quorum": 1, "notes": [], **said}, rules=("a.b", "c.d"))
    return Seen(bool(decision.allow), "allowed")


def _report() -> SuiteReport:
    return SuiteReport(
        True, "finished", (), (TestResult("t::a", "passed", 1),), (), ("t::a",), {"passed": 1},
        Behaviour("not recorded", "nothing was run"), "runsc", "Linux", "host", 12, 1, "", "pass", "held-out",
        isolation="gvisor",
    )  # fmt: skip


def _cache(hall: Hall) -> tuple[VerdictCache, Path]:
    folder = hall.settings.state / "verdicts"
    cache = VerdictCache(folder, runner_key(hall.settings.state / "keys"))
    cache.put(GREEN, _report())
    return cache, folder


async def forged_verdict(hall: Hall) -> Seen:
    """A green verdict for a red candidate, signed by mallory, is laid among the remembered ones."""
    cache, folder = _cache(hall)
    _, _, body = (folder / GREEN.removeprefix("sha256:")).read_bytes().partition(b"\n")
    statement: dict[str, Json] = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "report", "digest": {"sha256": digest_of(body).removeprefix("sha256:")}}],
        "predicateType": PREDICATE_TYPE, "predicate": {"format": FORMAT, "key": RED, "verdict": "pass"},
    }  # fmt: skip
    sealed = dsse.seal(INTOTO_TYPE, canonical(statement), keys.load_private(hall.folder / "mallory.key"))
    (folder / RED.removeprefix("sha256:")).write_bytes(sealed.encode() + b"\n" + body)
    return Seen(cache.get(RED) is not None, cache.counts.why or "believed")


async def moved_verdict(hall: Hall) -> Seen:
    """The remembered verdict of a green tree is laid under the name of a red one."""
    cache, folder = _cache(hall)
    (folder / RED.removeprefix("sha256:")).write_bytes((folder / GREEN.removeprefix("sha256:")).read_bytes())
    return Seen(cache.get(RED) is not None, cache.counts.why or "believed")


async def edited_verdict(hall: Hall) -> Seen:
    """The body below a signed statement is edited."""
    cache, folder = _cache(hall)
    path = folder / GREEN.removeprefix("sha256:")
    path.write_bytes(path.read_bytes().replace(b"t::a", b"t::b"))
    return Seen(cache.get(GREEN) is not None, cache.counts.why or "believed")


async def open_verdicts(hall: Hall) -> Seen:
    """The folder of remembered verdicts can be written by others."""
    cache, folder = _cache(hall)
    folder.chmod(0o777)
    return Seen(cache.get(GREEN) is not None, cache.counts.why or "believed")


async def open_state_folder(hall: Hall) -> Seen:
    """The state folder can be written by others."""
    hall.settings.state.chmod(0o777)
    state_folder.check(hall.settings.state)
    return Seen(True, "opened")


async def state_in_a_work_tree(hall: Hall) -> Seen:
    """The state folder lies inside a work tree that the guarded changes can write."""
    (hall.folder / ".git").mkdir()
    state_folder.check(hall.settings.state)
    return Seen(True, "opened")


async def swapped_key(hall: Hall) -> Seen:
    """The service's private key is replaced by mallory's."""
    hall.settings.service_key.write_bytes((hall.folder / "mallory.key").read_bytes())
    await hall.signer.attest({"_type": STATEMENT_TYPE})
    return Seen(True, "signed")


async def readable_key(hall: Hall) -> Seen:
    """A private key that others can read is used for signing."""
    hall.settings.service_key.chmod(0o644)
    await hall.signer.attest({"_type": STATEMENT_TYPE})
    return Seen(True, "signed")


NONE = Digest("sha256:" + "0" * 64)
_NO_VERDICT = "unavailable.policies"
GATES = (
    Gate("bundle.parts", Cut("evoguard.bundle:load", "digest_of(parts[name]) != doc[key]"), edited_data,
         "integrity.policies"),
    Gate("bundle.name", Cut("evoguard.bundle:_manifest_doc",
         "not isinstance(doc, dict) or set(doc) != _KEYS or identity(doc) != doc['digest']"), edited_manifest,
         "integrity.policies"),
    Gate("bundle.kept", Cut("evoguard.adapters.bundles:kept", "loaded.manifest.digest != digest"), other_bundle,
         "integrity.policies"),
    Gate("bundle.plain_file", Cut("evoguard.bundle:read_file", "os.O_NOFOLLOW", "0"), linked_data,
         "integrity.policies"),
    Gate("answer.rules_seen", Cut("evoguard.adapters.opa_wasm:decided", "not rules or seen != list(rules)"),
         rule_not_asked, _NO_VERDICT),
    Gate("answer.contradiction", Cut("evoguard.adapters.opa_wasm:decided", "allow == bool(deny)"), contradiction,
         _NO_VERDICT),
    Gate("answer.types", Cut("evoguard.adapters.opa_wasm:decided",
         "not isinstance(allow, bool) or type(quorum) is not int or (not 1 <= quorum <= MAX_QUORUM)"),
         allow_that_is_a_word, _NO_VERDICT),
    Gate("verdicts.signature", Cut("evoguard.adapters.dsse:unseal",
         "key.verify(signature, pae(kind, body), ec.ECDSA(hashes.SHA256()))", "None"), forged_verdict, "the signature"),
    Gate("verdicts.key", Cut(f"{CACHE}:_believed",
         "dict(predicate) != {'format': FORMAT, 'key': key, 'verdict': report.verdict}"), moved_verdict,
         "the statement is about another key"),
    Gate("verdicts.body", Cut(f"{CACHE}:_believed",
         "{name: statement.get(name) for name in expected} != expected or not isinstance(predicate, Mapping)"),
         edited_verdict, "the statement is not about this report"),
    Gate("verdicts.folder", Cut(f"{CACHE}:VerdictCache._private",
         "not stat.S_ISDIR(seen.st_mode) or seen.st_mode & 63 or seen.st_uid != os.geteuid()"), open_verdicts, "/"),
    Gate("state.private", Cut("evoguard.adapters.state_folder:check", "stat.S_IMODE(found.st_mode) & 18"),
         open_state_folder, "state.open"),
    Gate("state.outside_git", Cut("evoguard.adapters.state_folder:_outside_git", "(parent / '.git').exists()"),
         state_in_a_work_tree, "state.in_git"),
    Gate("key.pair", Cut("evoguard.adapters.signer:LocalSigner._private",
         "keys.fingerprint(key.public_key()) != keys.fingerprint(self._public)"), swapped_key, "key.pair"),
    Gate("key.private", Cut("evoguard.adapters.keys:_private_bytes", "mode & (stat.S_IRWXG | stat.S_IRWXO)"),
         readable_key, "key.exposed"),
)  # fmt: skip
