"""Recorded decisions put before other rules. Nothing is written, and no change is touched."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.domain.backtest import Recorded, Tally
from evoguard.domain.canonical import Json
from evoguard.errors import InputError
from evoguard.settings import Settings
from evoguard.views import past
from evoguard.wiring.askers import Asker, again, policies, turns
from evoguard.wiring.reading import Reading
from evoguard.wiring.state import open_state

MOST_EXAMPLES, KEPT_EVERY = 200, 512
"""Decisions that are shown, and counted at least between two looks at the disk."""
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
    asker = Asker(settings, bundle)
    rules, opened = asker.rules, asker.opened
    try:
        asked: dict[str, Json] = {"bundle": rules.digest, "since_ms": since_ms, "guard": opened.verifier()}
        place, tally = _begun(resume, asked)
        kept = tally.decisions
        async with contextlib.aclosing(turns(asker, bundle, since_ms, place)) as pages:
            async for page in pages:
                for at, turn in page:
                    place = at
                    tally.add(turn)
                told(tally.decisions)
                if resume is not None and tally.decisions - kept >= KEPT_EVERY:
                    _keep(resume, asked, place, tally)
                    kept = tally.decisions
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
    seen, now = await again(rules, one)
    return {
        **seen.as_json(),
        "then": {"bundle": one.bundle, "allow": one.allow, "deny": sorted(one.denied)},
        "now": now,
    }
