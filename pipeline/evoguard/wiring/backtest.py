"""Recorded decisions put before other rules. Nothing is written, and no change is touched."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path

from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.domain.backtest import Recorded, Tally, Turned, turned
from evoguard.domain.canonical import Json
from evoguard.domain.verdict import findings_json
from evoguard.errors import ConfigError, EvoguardError, InputError
from evoguard.settings import Settings
from evoguard.views import past
from evoguard.wiring.reading import Reading
from evoguard.wiring.rulebook import bundle_in_force
from evoguard.wiring.state import open_state

MOST_EXAMPLES, AT_ONCE, TOLD_EVERY, KEPT_EVERY = 200, 8, 8, 512
"""Decisions that are shown, asked at once, counted between two words of it, and between two looks at the disk."""
MOST_KEPT_BYTES = 16 << 20


async def backtest(
    settings: Settings, *, bundle: Path | None, since_ms: int, resume: Path | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> dict[str, Json]:  # fmt: skip
    """Return how every decision since then turns under the rules in `bundle`, by default those in force.

    `told` is called with the count so far. With `resume`, a file, it goes on from what that file says, and keeps there
    how far it is. Raises: ConfigError, IntegrityError; InputError for no decision at all, and for a file of another
    backtest.
    """
    rules, opened = policies(settings, bundle), open_state(settings)
    try:
        asked: dict[str, Json] = {"bundle": rules.digest, "since_ms": since_ms, "guard": opened.verifier()}
        place, tally = _begun(resume, asked)
        async with contextlib.aclosing(_asked(rules, past.all_since(Reading(opened), since_ms, after=place))) as turns:
            async for at, turn in turns:
                place = at
                tally.add(turn)
                if tally.decisions % TOLD_EVERY == 0:
                    told(tally.decisions)
                if resume is not None and tally.decisions % KEPT_EVERY == 0:
                    _keep(resume, asked, place, tally)
        if resume is not None:
            _keep(resume, asked, place, tally)
    finally:
        opened.close()
    if not tally.decisions:
        raise InputError(
            "policy: no decision was recorded since then, so nothing was tried", code="policy.no_decisions",
            fix="leave --since out, or submit a change first (`evoguard submit --help`)",
        )  # fmt: skip
    return {"bundle": rules.digest, "loosens": tally.loosens, "repository_rules": tally.own, **tally.summary()}


async def _asked(
    rules: OpaWasmPolicies, rows: AsyncIterator[tuple[int, Recorded]]
) -> AsyncGenerator[tuple[int, Turned], None]:
    """Yield each place and how its decision turns, in order; the next ones are read while some are asked."""
    waiting: deque[tuple[int, asyncio.Task[tuple[Turned, dict[str, Json]]]]] = deque()
    try:
        async for place, one in rows:
            waiting.append((place, asyncio.create_task(_again(rules, one))))
            if len(waiting) >= AT_ONCE:
                at, task = waiting.popleft()
                yield at, (await task)[0]
        while waiting:
            at, task = waiting.popleft()
            yield at, (await task)[0]
    finally:
        for _, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)


def _begun(resume: Path | None, asked: dict[str, Json]) -> tuple[int, Tally]:
    """Return the place to go on behind, and what was counted up to it. Raises: InputError."""
    if resume is None or not resume.exists():
        return 0, Tally(MOST_EXAMPLES)
    fix = "name another file, or remove this one to begin anew"
    try:
        with resume.open("rb") as file:
            doc = json.loads(file.read(MOST_KEPT_BYTES))
        place, tally = doc["place"], Tally.from_json(doc["tally"], most=MOST_EXAMPLES)
        if type(place) is not int or place < 0:
            raise ValueError("no place")
    except OSError as err:
        raise InputError(f"--resume: it cannot be read: {err.strerror}", code="policy.resume", fix=fix) from err
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise InputError("--resume: the file holds no backtest", code="policy.resume", fix=fix) from err
    if doc["asked"] != asked:
        text = "--resume: the file is of another backtest: another bundle, another --since or another guard"
        raise InputError(text, code="policy.resume", fix=fix)
    return place, tally


def _keep(resume: Path, asked: dict[str, Json], place: int, tally: Tally) -> None:
    aside = resume.with_name(f".{resume.name}.new")
    try:
        aside.write_text(json.dumps({"asked": asked, "place": place, "tally": tally.as_json()}), encoding="utf-8")
        os.replace(aside, resume)
    except OSError as err:
        raise InputError(
            f"--resume: {resume} cannot be written: {err.strerror}", code="policy.resume", fix="name another file"
        ) from err


async def simulate(settings: Settings, change: str, *, bundle: Path | None) -> dict[str, Json]:
    """Return what was decided on one change, and what the rules in `bundle` say to the same questions.

    Raises: ConfigError, IntegrityError; InputError when there is no such change, or no decision on it.
    """
    rules = policies(settings, bundle)
    decisions = await decided(settings, change)
    return {"change": change, "bundle": rules.digest, "stages": [await _stage(rules, one) for one in decisions]}


async def decided(settings: Settings, change: str) -> list[Recorded]:
    """Return the decisions on one change. Raises: InputError when there is no such change, or no decision on it."""
    opened = open_state(settings)
    try:
        decisions = await past.of_change(Reading(opened), change)
    finally:
        opened.close()
    if not decisions:
        raise InputError(
            f"policy: nothing was decided on {change} yet", code="policy.no_decisions",
            fix=f"`evoguard show {change}` says how far it is",
        )  # fmt: skip
    return decisions


async def _stage(rules: OpaWasmPolicies, one: Recorded) -> Json:
    seen, now = await _again(rules, one)
    return {
        **seen.as_json(),
        "then": {"bundle": one.bundle, "allow": one.allow, "deny": sorted(one.denied)},
        "now": now,
    }


async def _again(rules: OpaWasmPolicies, one: Recorded) -> tuple[Turned, dict[str, Json]]:
    """Ask the same question again. No verdict is an answer here: it is what is asked about."""
    if one.question is None:
        return turned(one, None), {}
    try:
        decision = await rules.decide(one.stage, one.question)
    except EvoguardError as err:
        return turned(one, None, err.message), {}
    told: dict[str, Json] = {"allow": decision.allow, "quorum": decision.quorum}
    told |= {n: findings_json(getattr(decision, n)) for n in ("deny", "escalate", "notes")}
    return turned(one, decision), told


def policies(settings: Settings, bundle: Path | None) -> OpaWasmPolicies:
    """Return the rules of a bundle, by default the one in force. Raises: ConfigError, IntegrityError."""
    if bundle is not None and not bundle.is_dir():
        raise ConfigError(
            f"policy: {bundle} is not a folder with a bundle", code="policy.bundle",
            fix="`evoguard policy build SOURCES --out FOLDER` builds one",
        )  # fmt: skip
    if bundle is not None:
        return OpaWasmPolicies(folder=bundle)
    cache = settings.state / "policy-cache" if settings.state.is_dir() else None
    return OpaWasmPolicies(cache, loaded=bundle_in_force(settings))
