"""Recorded decisions put before other rules. Nothing is written, and no change is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.domain.backtest import Recorded, Turned, loosens, summary, turned
from evoguard.domain.canonical import Json
from evoguard.domain.verdict import findings_json
from evoguard.errors import ConfigError, EvoguardError, InputError
from evoguard.settings import Settings
from evoguard.views import past
from evoguard.wiring.reading import Reading
from evoguard.wiring.rulebook import bundle_in_force
from evoguard.wiring.state import open_state

MOST_EXAMPLES = 200


async def backtest(
    settings: Settings, *, bundle: Path | None, since_ms: int, told: Callable[[int], None] = lambda _: None
) -> dict[str, Json]:
    """Return how every decision since then turns under the rules in `bundle`, by default those that ship.

    `told` is called with the count so far. Raises: ConfigError, IntegrityError; InputError for no decision at all.
    """
    rules, opened = policies(settings, bundle), open_state(settings)
    turns: list[Turned] = []
    try:
        async for one in past.all_since(Reading(opened), since_ms):
            turns.append((await _again(rules, one))[0])
            told(len(turns))
    finally:
        opened.close()
    if not turns:
        raise InputError(
            "policy: no decision was recorded since then, so nothing was tried", code="policy.no_decisions",
            fix="leave --since out, or submit a change first (`evoguard submit --help`)",
        )  # fmt: skip
    return {"bundle": rules.digest, "loosens": loosens(turns), **summary(turns, most=MOST_EXAMPLES)}


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
