"""The stop button: latch, flag off, acknowledgement, git back to known-good; and the two people who lift it.

Nothing here waits for a database. Every step runs on a daemon thread and an event loop of its own and is cut when its
time is over, so a frozen disk, lock or server delays the next step by a bounded time and never keeps the process alive.
What is handed in must therefore open what it needs itself and share no loop-bound object.
"""

from __future__ import annotations

import asyncio
import threading
import unicodedata
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, ParamSpec, TypeVar

from evoguard.domain.canonical import Json
from evoguard.domain.clients import Probe, RollCall
from evoguard.domain.identity import Identity
from evoguard.domain.latch import Latch, LatchBoard, Scope
from evoguard.errors import AuthError, EvoguardError, InputError, UnavailableError
from evoguard.ports.signer import Signer

PEOPLE_TO_LIFT = 2
MAX_SIGNED = 16_384
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")

T = TypeVar("T")
P = ParamSpec("P")
Status = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the flag server says it serves in the kill's scope; `epoch` is the newest kill it knows, if it says so."""

    off: tuple[str, ...]
    on: tuple[str, ...] = ()
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class KillParts:
    """What a kill may use. `latches` writes a latch and returns it numbered; the rest get that latch.

    When no latch could be written they get one of epoch 0: then they turn off and revert, and raise no epoch.
    Time-boxes in seconds.
    """

    latches: Callable[[Latch], Latch]
    flags_off: Callable[[Latch], Awaitable[None]] | None
    acknowledge: Callable[[Latch], Awaitable[Acknowledgement]]
    revert: Callable[[Latch], Awaitable[tuple[str, ...]]]
    """Raises the epoch wherever something may have been published, and reverts what is in scope first.

    Returns what was reverted, raises for what was not.
    """
    clients: Callable[[Latch], Awaitable[RollCall]] | None = None
    """Calls the clients that read flags by name; asked last, for whoever polls hears of it within an interval only."""
    probe: Callable[[Latch], Awaitable[Probe]] | None = None
    """Tries effects as they were decided before the kill; each must be refused."""
    latch_s: float = 5.0
    flags_s: float = 2.0
    acknowledge_s: float = 3.0
    revert_s: float = 30.0
    clients_s: float = 8.0
    probe_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a kill, as it went; `ms` is how long it took or was waited for."""

    name: str
    status: Status
    ms: int
    detail: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return the step as plain JSON."""
        return {"name": self.name, "status": self.status, "ms": self.ms, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class KillReport:
    """What a kill achieved. `latch.id` is empty when nothing is latched; `confirmed` are flags proved to be off."""

    latch: Latch
    steps: tuple[Step, ...]
    confirmed: tuple[str, ...] = ()
    still_on: tuple[str, ...] = ()
    reverted: tuple[str, ...] = ()
    clients: RollCall | None = None
    """Who of those that read flags knows; None when nobody could be asked."""

    @property
    def latched(self) -> bool:
        """Tell whether the kill is on the disk and will hold."""
        return bool(self.latch.id)

    @property
    def acknowledged(self) -> bool:
        """Tell whether the flag server proved that everything in scope is off."""
        return any(step.name == "acknowledge" and step.status == "ok" for step in self.steps)

    @property
    def ok(self) -> bool:
        """Tell whether every step that applied succeeded."""
        return self.latched and all(step.status != "failed" for step in self.steps)

    def as_json(self) -> dict[str, Json]:
        """Return the report as plain JSON."""
        return {
            "latch": self.latch.as_json(),
            "latched": self.latched,
            "acknowledged": self.acknowledged,
            "ok": self.ok,
            "confirmed": list(self.confirmed),
            "still_on": list(self.still_on),
            "reverted": list(self.reverted),
            "clients": self.clients.as_json() if self.clients else None,
            "steps": [step.as_json() for step in self.steps],
        }


@dataclass(frozen=True, slots=True)
class LiftParts:
    """What a lift may use. `lifters` names the people whose valid lift of a kill is on file."""

    board: Callable[[], LatchBoard]
    lifters: Callable[[str], frozenset[str]]
    identity: Callable[[str], Awaitable[Identity | None]]
    signer: Signer
    write: Callable[[str, str, str], None]
    """Files (kill id, person, envelope)."""


@dataclass(frozen=True, slots=True)
class LiftReport:
    """Whose lifts are on file, and whether the kill is lifted. `unreadable` latches keep everything killed anyway."""

    kill_id: str
    people: tuple[str, ...]
    lifted: bool
    needed: int = PEOPLE_TO_LIFT
    unreadable: tuple[str, ...] = field(default=())


async def kill(  # noqa: PLR0913  (an order is given in full; its caller names each part)
    parts: KillParts, *, scope: Scope, name: str, reason: str, by: str, now: int, signed: str = ""
) -> KillReport:
    """Stop what the scope covers, in the order that holds best, and report every step as it went.

    A step that fails or hangs never stops the next one; one that is cut goes on behind our back as long as the process
    lives. `now` is unix seconds. Raises: InputError for an order that is not understood; nothing
    was done then. Source: docs/adr/0001-the-spine.md, Kill.
    """
    asked = _order(Latch("", 0, scope, name, reason, by, now, signed))
    latched = await _run("latch", lambda: _calling(parts.latches, asked), parts.latch_s)
    latch = latched.value or asked
    if latched.value is None and latched.step.status == "ok":
        latched = replace(latched, step=replace(latched.step, status="failed", detail="the writer gave no latch"))
    steps = [latched.step]
    steps.append(await _flags_off(parts, latch))
    answer = await _run("acknowledge", lambda: parts.acknowledge(latch), parts.acknowledge_s)
    steps.append(_acknowledged(answer, latch))
    back = await _run("revert", lambda: parts.revert(latch), parts.revert_s)
    steps.append(_reverted(back))
    knowing = await _after(parts, latch, steps)
    return KillReport(
        latch=latch,
        steps=tuple(steps),
        confirmed=answer.value.off if answer.value else (),
        still_on=answer.value.on if answer.value else (),
        reverted=back.value or (),
        clients=knowing,
    )


async def _after(parts: KillParts, latch: Latch, steps: list[Step]) -> RollCall | None:
    """Try what must be refused now and call the clients by name; without a latch there is nothing to ask about."""
    probe, clients = parts.probe, parts.clients
    if probe is not None and latch.id:
        steps.append(_probed(await _run("probe", lambda: probe(latch), parts.probe_s)))
    if clients is None or not latch.id:
        return None
    answer = await _run("clients", lambda: clients(latch), parts.clients_s)
    steps.append(_known_to(answer))
    return answer.value


def _probed(answer: _Outcome[Probe]) -> Step:
    step, said = answer.step, answer.value
    if said is None:
        return step
    if said.made:
        text = f"AN EFFECT FROM BEFORE THE KILL WAS NOT REFUSED: {_shown(', '.join(said.made))}"
        return replace(step, status="failed", detail=text)
    unknown = f"; no answer: {_shown(', '.join(said.unknown))}" if said.unknown else ""
    status: Status = "ok" if said.refused else "skipped"
    return replace(step, status=status, detail=f"{len(said.refused)} effects from before it are refused{unknown}")


def _known_to(answer: _Outcome[RollCall]) -> Step:
    step, said = answer.step, answer.value
    if said is None:
        return step
    text = f"acknowledged {len(said.told)} of {said.asked}"
    if said.due:
        text += f"; due within their interval: {', '.join(said.due[:5])}"
    fault = f"; {said.fault}" if said.fault else ""
    return replace(step, status="failed" if fault else step.status, detail=_shown(f"{text}{fault}"))


async def lift(parts: LiftParts, *, kill_id: str, envelope: str, by: str, now: int) -> LiftReport:
    """File one person's signed lift, and say whether the kill is lifted or waits for a second person.

    Raises: AuthError for an agent, a stranger or a foreign signature; InputError for another purpose, kill or time, or
    for the same person twice; UnavailableError when it could not be filed. `now` is unix seconds.
    """
    found = [latch for latch in parts.board().latches if latch.id == kill_id]
    if not found:
        raise InputError("no such kill", code="lift.unknown", fix="`evoguard status` shows the ids")
    if all(latch.lifted for latch in found):
        raise InputError("this kill is lifted already", code="lift.done")
    identity = await parts.identity(by)
    if identity is None or identity.revoked or identity.kind != "person":
        raise AuthError("only a registered person may lift a kill", code="auth.person")
    command = await parts.signer.command(envelope, identity)
    if command.purpose != "lift" or command.subject != kill_id:
        raise InputError("signed for something else", code="lift.subject", fix=f"sign `lift` for {kill_id}")
    if command.expires <= now:
        raise InputError("the signature has expired", code="lift.expired", fix="sign again")
    if identity.name in parts.lifters(kill_id):
        raise InputError("this person has lifted it already; another one must", code="lift.twice")
    await _own_key(parts, kill_id, identity)
    parts.write(kill_id, identity.name, envelope)
    people, board = parts.lifters(kill_id), parts.board()
    if identity.name not in people:
        raise UnavailableError("latches", "the lift does not count", fix="sign again; see `evoguard doctor`")
    lifted = all(latch.lifted for latch in board.latches if latch.id == kill_id)
    return LiftReport(kill_id, tuple(sorted(people)), lifted, unreadable=board.unreadable)


async def _own_key(parts: LiftParts, kill_id: str, identity: Identity) -> None:
    """Raises: AuthError when somebody else lifted with the very same key: that is one person, and always will be."""
    for name in sorted(parts.lifters(kill_id)):
        other = await parts.identity(name)
        if other is not None and other.public_pem == identity.public_pem:
            raise AuthError(
                f"{identity.name} and {name} share a key, so they are one person",
                code="lift.shared_key",
                fix="another person must lift it, with a key of their own",
            )


def _order(asked: Latch) -> Latch:
    if asked.scope not in ("all", "component", "flag") or (asked.scope == "all") == bool(asked.name):
        raise InputError("a kill covers `all`, or one named component or flag", code="kill.scope")
    if asked.name:
        _plain("name", asked.name, 200)
    if len(asked.signed) > MAX_SIGNED:
        raise InputError("the signed order is too large", code="kill.signed")
    return replace(asked, reason=_plain("reason", asked.reason.strip(), 500), by=_plain("sender", asked.by, 100))


def _plain(what: str, text: str, longest: int) -> str:
    """Return text that looks like what it is: no control, line-breaking or direction-turning character."""
    if not 1 <= len(text) <= longest:
        raise InputError(f"the {what} has 1-{longest} characters", code=f"kill.{what}")
    if any(char in _BIDI or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text):
        raise InputError(f"the {what} holds control or direction characters", code=f"kill.{what}")
    return text


async def _flags_off(parts: KillParts, latch: Latch) -> Step:
    turn_off = parts.flags_off
    if turn_off is None:
        return Step("flags_off", "skipped", 0, "no flag writer here; the flag server reads the latch itself")
    step = (await _run("flags_off", lambda: turn_off(latch), parts.flags_s)).step
    if step.status == "failed" and latch.id:
        return replace(step, detail=f"{step.detail}; the flag server reads the latch itself")
    return step


def _acknowledged(answer: _Outcome[Acknowledgement], latch: Latch) -> Step:
    step, said = answer.step, answer.value
    if said is None:
        why = step.detail or "no answer"
        return replace(
            step, status="failed", detail=f"not confirmed ({why}): SDKs keep their last state until the lease ends"
        )
    if said.on:
        return replace(step, status="failed", detail=f"not confirmed: still on: {_shown(', '.join(said.on))}")
    if said.epoch is not None and said.epoch < latch.epoch:
        return replace(step, status="failed", detail="not confirmed: the flag server has not seen this kill yet")
    if not said.off:
        return replace(
            step, status="skipped", detail="nothing to confirm: the flag server serves no flag in this scope"
        )
    return replace(step, detail=f"{len(said.off)} confirmed off")


def _reverted(back: _Outcome[tuple[str, ...]]) -> Step:
    if back.step.status == "failed":
        return replace(back.step, detail=f"not reverted, stays latched: {back.step.detail}")
    return replace(back.step, detail=f"{len(back.value or ())} reverted")


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[T]):
    step: Step
    value: T | None = None


async def _calling(do: Callable[[Latch], Latch], latch: Latch) -> Latch:
    return do(latch)


async def _run(name: str, do: Callable[[], Awaitable[T]], box_s: float) -> _Outcome[T]:
    """Run one step apart from this thread and loop; what raises or hangs is a failed step, never more."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    def ms() -> int:
        return int((loop.time() - began) * 1000)

    try:
        value = await asyncio.wait_for(asyncio.wrap_future(_apart(name, do)), box_s)
    except TimeoutError:
        return _Outcome(Step(name, "failed", ms(), f"no answer within {box_s:g} s"))
    except EvoguardError as err:
        return _Outcome(Step(name, "failed", ms(), _shown(f"{err.message} ({err.fix})" if err.fix else err.message)))
    except Exception as err:  # noqa: BLE001  (a kill goes on whatever one of its steps does)
        return _Outcome(Step(name, "failed", ms(), type(err).__name__))
    return _Outcome(Step(name, "ok", ms()), value)


def _apart(name: str, do: Callable[[], Awaitable[T]]) -> Future[T]:
    """Start a step on a daemon thread with a loop and executor of its own."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            with asyncio.Runner() as runner:
                runner.get_loop().set_default_executor(_DaemonThreads(max_workers=1))
                _settle(future.set_result, runner.run(_awaited(do)))
        except BaseException as err:  # noqa: BLE001  (handed to whoever waits)
            _settle(future.set_exception, _as_failure(err))

    threading.Thread(target=work, name=f"evoguard-kill-{name}", daemon=True).start()
    return future


async def _awaited(do: Callable[[], Awaitable[T]]) -> T:
    return await do()


def _settle(setting: Callable[[T], object], what: T) -> None:
    """Deliver a result unless the step was cut before: then nobody waits, and its loop may be closed."""
    with suppress(Exception):
        setting(what)


def _as_failure(err: BaseException) -> Exception:
    """Return an exception that is only a failed step: another thread's exit or cancellation is not ours."""
    return err if isinstance(err, Exception) else RuntimeError(type(err).__name__)


class _DaemonThreads(ThreadPoolExecutor):
    """`asyncio.to_thread` for a step: a thread for each call, none of which is ever waited for at the end."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn` on a daemon thread of its own."""
        future: Future[T] = Future()

        def work() -> None:
            try:
                _settle(future.set_result, fn(*args, **kwargs))
            except BaseException as err:  # noqa: BLE001  (handed to whoever waits)
                _settle(future.set_exception, _as_failure(err))

        threading.Thread(target=work, name="evoguard-kill-work", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for nothing."""


def _shown(text: str) -> str:
    """Return text that is safe to print, bounded; exception texts may quote what others wrote."""
    return "".join(char if char.isprintable() else "?" for char in text)[:400]
