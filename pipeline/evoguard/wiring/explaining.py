"""Why each rule spoke or was silent on one change, with the values that it looked at. Nothing is written."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.domain.backtest import Recorded
from evoguard.domain.canonical import Json
from evoguard.domain.verdict import Decision, Finding, findings_json
from evoguard.errors import EvoguardError, InputError
from evoguard.settings import Settings
from evoguard.wiring.askers import policies
from evoguard.wiring.backtest import decided

KINDS = ("deny", "escalate", "notes")
SAYS: Mapping[str, str] = {"deny": "denies", "escalate": "asks people", "notes": "tells"}
MISSING = "(not there)"


async def explain(settings: Settings, change: str, rule: str = "", *, bundle: Path | None = None) -> dict[str, Json]:
    """Return what each rule, or one, says to the questions that were asked about a change, and why.

    Raises: ConfigError, IntegrityError; InputError for no such change or rule, or when nothing was decided yet.
    """
    rules = policies(settings, bundle)
    codes = _chosen(rules, rule)
    decisions = await decided(settings, change)
    data: Json = json.loads(rules.bundle.data)
    return {
        "change": change,
        "bundle": rules.digest,
        "stages": [await _stage(rules, one, codes, data) for one in decisions],
    }


def _chosen(rules: OpaWasmPolicies, rule: str) -> Sequence[str]:
    known = rules.manifest.rules
    if not rule:
        return known
    if rule not in known:
        near = difflib.get_close_matches(rule, known, n=3, cutoff=0.4)
        raise InputError(
            f"policy: there is no rule {rule[:60]!r}", code="policy.no_rule",
            fix=f"did you mean {' or '.join(near)}?" if near else "`evoguard policy show` lists them",
        )  # fmt: skip
    return (rule,)


async def _stage(rules: OpaWasmPolicies, one: Recorded, codes: Sequence[str], data: Json) -> Json:
    decision, why = None, one.why
    if one.question is not None:
        try:
            decision = await rules.decide(one.stage, one.question)
        except EvoguardError as err:
            why = err.message
    known = {"input": one.question, "data": data}
    told = [_rule(rules, code, decision, known) for code in codes] if decision is not None else []
    return {
        "stage": one.stage, "bundle": one.bundle, "why": "" if decision is not None else why, "rules": told,
        "repository": one.repository,
    }  # fmt: skip


def _rule(rules: OpaWasmPolicies, code: str, decision: Decision, known: Mapping[str, Json]) -> dict[str, Json]:
    found: dict[str, list[Finding]] = {k: [f for f in getattr(decision, k) if f.code == code] for k in KINDS}
    about = rules.manifest.codes[code]
    return {
        "code": code,
        "title": about["title"],
        "description": about["description"],
        "severity": about["severity"],
        "says": next((SAYS[kind] for kind in KINDS if found[kind]), "silent"),
        **{kind: findings_json(found[kind]) for kind in KINDS},
        "looked_at": {place: _shown(place, known) for place in rules.manifest.reads.get(code, ())},
    }


def _shown(place: str, known: Mapping[str, Json]) -> str:
    """Return the value at a place as JSON."""
    value: Json = known
    for part in place.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return MISSING
        value = value[part]
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
