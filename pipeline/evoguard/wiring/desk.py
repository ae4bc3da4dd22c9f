"""The front desk, wired: what `submit`, `approve`, `person add` and their like call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from evoguard import desk
from evoguard.adapters import keys
from evoguard.adapters.git.mirror import Mirror
from evoguard.adapters.git.sources import GitSources
from evoguard.adapters.signer import new_nonce, read_command, sign_command
from evoguard.adapters.sqlite.authors import SqliteAuthors
from evoguard.domain.breaker import standing
from evoguard.domain.canonical import Json
from evoguard.domain.change import ActorKind, Proposal
from evoguard.domain.component import FILE_NAME
from evoguard.domain.events import Event, StoredEvent
from evoguard.domain.identity import (
    VOUCH_LIFE_S,
    VOUCH_MARGIN_S,
    VOUCHED,
    Command,
    Identity,
    Vouch,
    counted,
    is_model,
    is_name,
    sponsors_needed,
    subject_of,
    vouch_in,
)
from evoguard.errors import AuthError, InputError
from evoguard.views.identities import identities, pending
from evoguard.views.reader import Doc
from evoguard.wiring.reading import Reading
from evoguard.wiring.state import Opened


class KeyPen:
    """A private key file of the sender."""

    def __init__(self, path: Path) -> None:
        self._key = keys.load_private(path)

    def sign(self, command: Command) -> str:
        """Return the envelope of a command."""
        return sign_command(command, self._key)

    def nonce(self) -> str:
        """Return fresh text."""
        return new_nonce()

    @property
    def public_pem(self) -> str:
        """Return the public half."""
        return keys.public_pem(self._key.public_key()).decode()


def parts(opened: Opened) -> desk.Parts:
    """Return what the front desk needs."""
    return desk.Parts(
        mirror=Mirror(opened.settings.repos_dir), inbox=opened.inbox, queries=opened.queries,
        latches=opened.latches, clock=opened.clock,
    )  # fmt: skip


async def unguided(opened: Opened, proposal: Proposal) -> bool:
    """Tell whether a filed proposal's base has no component file: then it gets as far as people, and no further."""
    try:
        return await GitSources(opened.settings.repos_dir).file(proposal.repo, proposal.base, FILE_NAME) is None
    except InputError:  # the flow says what is wrong with it
        return False


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of a registration: it is in force, or it waits for one of `ask`."""

    fingerprint: str
    by: str
    vouched_by: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    """The people of whom one more must vouch; empty when the registration is in force."""
    other_keys: tuple[str, ...] = ()
    """Fingerprints of other keys that wait under the same name: only one of them can get it."""


def register(  # noqa: PLR0913  (what is registered, and who signs)
    opened: Opened, kind: ActorKind, name: str, public_pem: bytes, *, by: str = "", pen: KeyPen | None = None,
    model: str = "",
) -> Registered:  # fmt: skip
    """Register an identity, or file a vouch for it. The first person needs nobody, an agent one registered person.

    A person needs two different ones once there are two. `model`: what the agent runs, if it says so.
    Raises: InputError, AuthError; nothing was stored then.
    """
    if not is_name(name):
        raise InputError("a name is 1-60 of a-z, 0-9, dot, dash and underscore", code="identity.name")
    if model and (kind != "agent" or not is_model(model)):
        raise InputError("an agent's model is 1-100 letters, digits and ._:/@+-", code="identity.model",
                         fix="write it as its maker does")  # fmt: skip
    applicant = Identity(name, kind, keys.public_pem(keys.load_public(public_pem)).decode(), model=model)
    own = _signed(opened, applicant, by, pen)  # before the transaction: it holds up every writer, a key takes time
    done = Registered(keys.fingerprint(keys.load_public(public_pem)), by)

    def decision(past: tuple[StoredEvent, ...]) -> Event:
        nonlocal done
        voices, done = _voices(opened, past, own, applicant, done)
        if done.ask and own is not None:
            reason = f"{own.by} vouches for {name}; one more person must"
            return Event(VOUCHED, _vote(own), actor=own.by, reason=reason)
        vouches: Json = [vouch.as_json() for vouch in voices]
        body: dict[str, Json] = {"name": name, "public_pem": applicant.public_pem, "vouches": vouches}
        body |= {"model": model} if model else {}
        return Event(desk.person_or_agent(kind), body, actor=done.by, reason=f"{kind} {name} registered")

    opened.registry.decide(applicant, decision)
    return done


async def listed(opened: Opened, kind: ActorKind) -> list[Doc]:
    """Return registered people or agents, their standing, and who vouched for them, every signature proved again."""
    authors, rows = SqliteAuthors(opened.con), await identities(Reading(opened), kind, read_command)
    for row in rows:
        name = str(row["name"])
        held, clean = bool(await opened.queries.held(name)), await authors.clean_since_hold(name)
        row["standing"] = standing(held=held, clean=clean)
    return rows


async def waiting(opened: Opened) -> list[Doc]:
    """Return the people for whom one person has vouched and one more must."""

    def counts(vouch: Vouch) -> Command | None:
        return None if opened.registry.is_taken(vouch.applicant) else _counted(opened, vouch)

    return await pending(Reading(opened), counts)


def _voices(
    opened: Opened, past: tuple[StoredEvent, ...], own: Vouch | None, applicant: Identity, done: Registered
) -> tuple[list[Vouch], Registered]:
    """Return the vouches that count now, and what becomes of the registration with them. Raises: AuthError, InputError.

    It asks the log itself, inside the writer's transaction: of two people who vouch at once, the later sees the other.
    """
    people = opened.registry.people()
    first = not any(item.event.type == "person.added" for item in past)
    needed = sponsors_needed(applicant.kind, people=len(people), first=first)
    if needed == 0:
        return [], replace(done, by=applicant.name)
    if own is None or _counted(opened, own) is None:
        raise AuthError(
            "a registered person must sign this", code="auth.sponsor", fix="pass --as PERSON --sign-with THEIR_KEY"
        )
    filed = [vouch for item in past if (vouch := vouch_in(item.event)) and _counted(opened, vouch)]
    before = {vouch.by: vouch for vouch in filed if vouch.applicant == applicant}
    voices = {**before, own.by: own}
    ask = () if len(voices) >= needed else tuple(name for name in people if name not in voices)
    if ask and own.by in before:
        raise InputError(
            f"{own.by} has vouched for {applicant.name} with this key already; it takes somebody else as well",
            code="person.vouched", fix=f"the same command, run by {' or '.join(ask)} with --as and --sign-with",
        )  # fmt: skip
    others = {v.applicant.public_pem for v in filed if v.applicant.name == applicant.name} - {applicant.public_pem}
    prints = sorted(keys.fingerprint(keys.load_public(pem.encode())) for pem in others)
    return list(voices.values()), replace(done, vouched_by=tuple(voices), ask=ask, other_keys=tuple(prints))


def _signed(opened: Opened, applicant: Identity, by: str, pen: KeyPen | None) -> Vouch | None:
    """Return the sponsor's vouch, or None when nobody registered signs. Raises: AuthError for a foreign key."""
    sponsor = opened.queries.identity_now(by) if by else None
    if sponsor is None or pen is None:
        return None
    if sponsor.name == applicant.name or sponsor.public_pem == applicant.public_pem:
        raise AuthError("nobody vouches for themselves", code="person.self", fix="another registered person signs")
    now = opened.clock.now_ms() // 1000
    purpose = "agent.add" if applicant.kind == "agent" else "person.add"
    envelope = pen.sign(Command(purpose, subject_of(applicant), by, pen.nonce(), now + VOUCH_LIFE_S))
    read_command(envelope, sponsor)  # refuses a key that is not the sponsor's, with the reason
    return Vouch(applicant, by, envelope)


def _counted(opened: Opened, vouch: Vouch) -> Command | None:
    sponsor = opened.queries.identity_now(vouch.by)
    return counted(vouch, sponsor, read_command, now_s=opened.clock.now_ms() // 1000 + VOUCH_MARGIN_S)


def _vote(vouch: Vouch) -> dict[str, Json]:
    """Return a vouch as the log keeps it: a person's approval of one name with one key."""
    return {
        "by": vouch.by, "kind": "person", "verdict": "approve", "digest": subject_of(vouch.applicant),
        "name": vouch.applicant.name, "public_pem": vouch.applicant.public_pem, "envelope": vouch.envelope,
    }  # fmt: skip
