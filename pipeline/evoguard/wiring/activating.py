"""Putting a policy bundle in force: proved, tried on the past, shown, then signed by two people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evoguard import bundle
from evoguard.adapters import bundles, keys
from evoguard.adapters.floored import CONSTITUTION
from evoguard.adapters.opa_wasm import run_rule_tests
from evoguard.adapters.signer import read_command
from evoguard.bundle import Bundle, Manifest
from evoguard.domain.activation import (
    LIFE_S,
    NEEDED,
    PURPOSE,
    STREAM,
    Activation,
    InForce,
    Signature,
    activated,
    counts,
    filed,
)
from evoguard.domain.canonical import Digest, Json, as_digest, canonical
from evoguard.domain.events import Event, StoredEvent
from evoguard.domain.identity import VOUCH_MARGIN_S, Command
from evoguard.errors import AuthError, InputError, IntegrityError
from evoguard.settings import Settings
from evoguard.views.reader import moment
from evoguard.wiring.comparing import diff
from evoguard.wiring.desk import KeyPen
from evoguard.wiring.rulebook import folder_of, in_force, keep_to_decide_again, proved
from evoguard.wiring.state import Opened

SHIPPED = "shipped"
QUESTIONS, _SHOWN_EXAMPLES = 1_000, 20


@dataclass(frozen=True, slots=True)
class Prepared:
    """A bundle ready to be signed for: what is signed, and what its signers are shown."""

    activation: Activation
    report: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Signed:
    """What became of a signature: the bundle is in force, or one of `ask` must sign as well."""

    activation: Activation
    by: tuple[str, ...]
    ask: tuple[str, ...] = ()


async def prepare(settings: Settings, opened: Opened, wanted: str, *, most: int = 0) -> Prepared:
    """Keep and prove a bundle, run its tests, ask it and what is in force recorded and `most` made-up questions.

    `wanted` is a folder, the digest of a kept bundle, or `shipped`. Raises: InputError when it is in force already,
    lacks a rule of the constitution or fails its own tests; ConfigError, IntegrityError, UnavailableError.
    """
    loaded = _brought(settings.state, wanted)
    digest, shipped = loaded.manifest.digest, bundle.load().manifest
    now = in_force(opened)
    if digest == (now.bundle or shipped.digest):
        raise InputError(f"policy: {digest} is in force already", code="policy.in_force", fix="nothing is to be done")
    activation, before = now.next(digest, shipped.digest), folder_of(settings, now.bundle)
    constitution, built_by = _constitution(loaded.manifest, shipped), _built_by(opened, wanted, digest)
    passed = _tested(settings, loaded)
    tests = len(proved(settings, before).manifest.tests)
    kept = bundles.place(settings.state, digest)
    told = await diff(settings, before, kept, most=most or QUESTIONS, text=False)
    if (told["a"], told["b"]) != (activation.previous, digest):
        raise InputError("policy: other rules came into force meanwhile", code="policy.overtaken", fix="look again")
    examples = told["examples"]
    difference = {**told, "examples": examples[:_SHOWN_EXAMPLES] if isinstance(examples, list) else []}
    report: dict[str, Json] = {
        **activation.as_json(),
        "rules": list(loaded.manifest.rules),
        "constitution": constitution,
        "built_by": built_by,
        "tests": {"passed": passed, "before": tests},
        "difference": difference,
        "loosens": bool(told["loosens"]) or passed < tests,
    }
    return Prepared(activation, report)


def sign(opened: Opened, prepared: Prepared, *, by: str, pen: KeyPen) -> Signed:
    """File a person's signature; the second person's puts the bundle in force.

    Raises: AuthError for anybody but a registered person with their own key; InputError when the rules in force
    changed since they were shown, or when this person signed already. Nothing was stored then.
    """
    signer = opened.queries.identity_now(by)
    if signer is None or signer.kind != "person":
        raise AuthError(f"{by} is not a registered person", code="auth.person", fix="people sign for rules")
    activation, now_s = prepared.activation, opened.clock.now_ms() // 1000
    report = opened.artifacts.keep(canonical(dict(prepared.report)))
    command = Command(PURPOSE, activation.subject, by, pen.nonce(), now_s + LIFE_S)
    own = Signature(by, pen.sign(command), report)
    read_command(own.envelope, signer)  # refuses a key that is not the person's, with the reason
    keep_to_decide_again(opened, bundles.kept(opened.settings.state, activation.bundle))
    _keep_way_back(opened, activation.previous)
    done = Signed(activation, (by,))

    def decision(past: tuple[StoredEvent, ...]) -> Event:
        nonlocal done
        now = in_force(opened, past)
        if now.next(activation.bundle, activation.previous) != activation:
            raise InputError("policy: other rules came into force meanwhile", code="policy.overtaken", fix="look again")
        voices = _voices(opened, now, activation, now_s)
        if by in voices:
            raise InputError(
                f"{by} has signed for this already; it takes another person", code="policy.signed",
                fix=f"the same command, run by {' or '.join(_others(opened, voices)) or 'a second registered person'}",
            )  # fmt: skip
        voices[by] = own
        done = Signed(activation, tuple(voices), () if len(voices) >= NEEDED else _others(opened, voices))
        event = filed(activation, own) if len(voices) < NEEDED else activated(activation, voices.values())
        _must_prove(opened, past, event)
        return event

    opened.registry.extend(STREAM, decision)
    return done


def _must_prove(opened: Opened, past: tuple[StoredEvent, ...], event: Event) -> None:
    """Refuse an event that nobody could believe later, such as one whose signatures are over when it is written."""
    at = max(opened.clock.now_ms(), past[-1].at if past else 0)
    stored = StoredEvent(STREAM, len(past) + 1, at, event, "", "")
    try:
        in_force(opened, (*past, stored))
    except IntegrityError as err:
        raise InputError(
            f"policy: what would be written does not prove: {err.message}", code="policy.unproved",
            fix="sign again; when the machine's clock is wrong, set it right first",
        ) from err  # fmt: skip


def status(opened: Opened) -> dict[str, Json]:
    """Return what is in force, since when and by whom, what waits for a second person, and what was before."""
    shipped, now = bundle.load().manifest.digest, in_force(opened)
    at_s = opened.clock.now_ms() // 1000
    waiting = [
        {**wanted.as_json(), "signed_by": list(voices), "ask": list(_others(opened, voices))}
        for wanted in now.waiting
        if (voices := _voices(opened, now, wanted, at_s))
    ]
    last = now.history[-1] if now.history else None
    return {
        "bundle": now.bundle or shipped,
        "shipped": shipped,
        "own": (now.bundle or shipped) != shipped,
        "since": moment(last.at) if last else "",
        "by": _people(last) if last else [],
        "waiting": [*waiting],
        "history": [_row(item) for item in reversed(now.history)],
    }


def previous(opened: Opened) -> str:
    """Return the bundle that a rollback goes to. Raises: InputError when nothing was ever activated."""
    before = in_force(opened).before()
    if before is None:
        raise InputError(
            "policy: no other rules were ever in force here", code="policy.no_rollback",
            fix="`evoguard policy status` shows what is in force",
        )  # fmt: skip
    return SHIPPED if before == bundle.load().manifest.digest else before


def _brought(state: Path, wanted: str) -> Bundle:
    if wanted.startswith("sha256:"):
        return bundles.kept(state, _digest(wanted))
    folder = Path(bundle.__file__).parent if wanted == SHIPPED else Path(wanted)
    if not folder.is_dir():
        raise InputError(
            f"policy: {wanted[:200]} is not a folder with a bundle", code="policy.bundle",
            fix="`evoguard policy build SOURCES --out FOLDER` builds one",
        )  # fmt: skip
    return bundles.kept(state, bundles.keep(state, folder))


def _built_by(opened: Opened, wanted: str, digest: Digest) -> str:
    """Return which registered person signed the bundle when it was built, or an empty text for one without a signature.

    Raises: AuthError, InputError, IntegrityError when there is a signature, and it does not hold.
    """
    kept = bundles.place(opened.settings.state, digest)
    brought = kept if wanted == SHIPPED or wanted.startswith("sha256:") else Path(wanted)
    raw = bundles.signature_in(brought)
    if raw is None:
        return ""
    people = {name: opened.queries.identity_now(name) for name in opened.registry.people()}
    known = {name: keys.load_public(one.public_pem.encode()) for name, one in people.items() if one is not None}
    try:
        name = bundles.signed_by(raw, digest, known)
    except AuthError as err:
        text = "policy bundle: it is signed by a key that is no registered person's"
        fix = "have a registered person build it, or build it without --sign-with"
        raise AuthError(text, code="auth.signature", fix=fix) from err
    bundles.keep_signature(opened.settings.state, digest, raw)
    return name


def _digest(text: str) -> Digest:
    try:
        return as_digest(text)
    except ValueError as err:
        raise InputError(
            f"policy: {text[:80]!r} is no digest", code="policy.digest",
            fix="sha256: and 64 hex digits, as `evoguard policy status` shows them",
        ) from err  # fmt: skip


def _constitution(own: Manifest, shipped: Manifest) -> dict[str, Json]:
    """Return how the bundle stands to the shipped constitution, which is asked beside it whatever is in it."""
    codes = [code for code, about in shipped.codes.items() if about["severity"] == CONSTITUTION]
    if lost := [code for code in codes if own.codes.get(code, {}).get("severity") != CONSTITUTION]:
        raise InputError(
            f"policy: the bundle lacks rules of the constitution: {', '.join(sorted(lost))}",
            code="policy.constitution",
            fix="start from `evoguard policy init`, and leave rules of severity constitution as they are",
        )  # fmt: skip
    files = {code: f"{code.replace('.', '/')}.rego" for code in codes}
    edited = sorted(code for code, path in files.items() if own.sources.get(path) != shipped.sources.get(path))
    return {"rules": sorted(codes), "edited": [*edited]}


def _tested(settings: Settings, loaded: Bundle) -> int:
    """Return how many tests of the bundle passed. Raises: InputError when one fails."""
    results = run_rule_tests(loaded=loaded, cache_dir=settings.state / "policy-cache")
    if failed := [name for name, passed in results if not passed]:
        raise InputError(
            f"policy: {len(failed)} of {len(results)} tests of the bundle fail, such as {failed[0]}",
            code="policy.tests_failed", fix="`evoguard policy test --bundle FOLDER` lists them",
        )  # fmt: skip
    return len(results)


def _voices(opened: Opened, now: InForce, activation: Activation, at_s: int) -> dict[str, Signature]:
    """Return who signed for this very activation, each proved now with their registered key."""
    filed_for = now.waiting.get(activation, {})
    held = at_s + VOUCH_MARGIN_S
    return {
        name: one
        for name, one in filed_for.items()
        if counts(activation, one, opened.queries.identity_now, read_command, now_s=held)
    }


def _others(opened: Opened, voices: Mapping[str, Signature]) -> tuple[str, ...]:
    return tuple(name for name in opened.registry.people() if name not in voices)


def _keep_way_back(opened: Opened, digest: Digest) -> None:
    """Keep the bundle that is left, so that a rollback finds it also when the program was upgraded since."""
    shipped = Path(bundle.__file__).parent
    if digest == bundle.load().manifest.digest:
        bundles.keep(opened.settings.state, shipped)
    else:
        bundles.kept(opened.settings.state, digest)


def _people(item: StoredEvent) -> list[Json]:
    said = item.event.body.get("signatures")
    return [str(row.get("by")) for row in said if isinstance(row, Mapping)] if isinstance(said, list) else []


def _row(item: StoredEvent) -> dict[str, Json]:
    body = item.event.body
    return {
        "serial": body["serial"], "bundle": body["bundle"], "previous": body["previous"],
        "at": moment(item.at), "by": _people(item),
    }  # fmt: skip
