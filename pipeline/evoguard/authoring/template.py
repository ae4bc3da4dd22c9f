"""A new rule with its test: it builds, is formatted, and its tests are green before a word of it is changed."""

from __future__ import annotations

import json
import re

from evoguard import bundle
from evoguard.authoring.folder import DATA, Sources, put
from evoguard.authoring.structure import CODE, SEVERITIES, data_of
from evoguard.errors import InputError

SETS = {"deny": "deny", "escalate": "escalate", "note": "notes"}
"""Severity → the set that holds the rule's findings."""
MOST_CHARS = 80
_LIST = re.compile(r'("rules":\s*)\[[^\[\]{}]*\]')
RULE = """# METADATA
# title: {title}
# description: Say why this must hold, and what a person should do when it does not.
# custom: {{code: {code}, severity: {severity}, source: "policies/README.md#{area}"}}
# authors: [evoguard]
package evoguard.rules.{code}

import data.evoguard.lib

# An example to replace: `lib.at` makes a field that is missing null, so that a lost field never silences the rule.
{set} contains lib.finding("{code}", "the component has no name", "", lib.at(["component", "name"])) if nameless

nameless if lib.at(["component", "name"]) in {{"", null}}
"""
TEST_DENY = """package evoguard_test.{code}_test

import data.evoguard_test.given

code := "{code}"

test_named if given.allows(given.reviewed({{}}))

test_nameless if given.denies(given.reviewed({{"component": {{"name": ""}}}}), code)

test_without_field if given.denies(given.judged_at_review(json.remove(given.review, ["component/name"])), code)
"""
TEST_TOLD = """package evoguard_test.{code}_test

import data.evoguard_test.given

told(decision) if {{
	some finding in decision.{set}
	finding.code == "{code}"
}}

test_named if not told(given.reviewed({{}}))

test_nameless if told(given.reviewed({{"component": {{"name": ""}}}}))

test_without_field if told(given.judged_at_review(json.remove(given.review, ["component/name"])))
"""


def add(sources: Sources, code: str, severity: str) -> list[str]:
    """Write a rule, its test and its line in data.json; return their paths. Raises: InputError, with nothing written.

    A constitution is the shipped bundle's alone: no rule of that severity is made.
    """
    _refuse_bad(code, severity)
    rule = f"{code.replace('.', '/')}.rego"
    test = rule.replace(".rego", "_test.rego")
    data = data_of(sources)
    listed = data.get("rules")
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise InputError(f"policy: {DATA} has no list `rules` of codes", code="policy.rules", fix="add the list")
    there = [path for path in (rule, test) if path in sources.texts or (sources.folder / path).exists()]
    if code in listed or there:
        where = there[0] if there else f"{DATA}, `rules`"
        raise InputError(
            f"policy: the code {code} is taken: {where}", code="policy.code_taken", fix="choose another code"
        )
    area, _, name = code.partition(".")
    words = {"code": code, "severity": severity, "area": area, "set": SETS[severity]}
    title = name.replace("_", " ").capitalize()
    put(sources, rule, RULE.format(title=title, **words), new=True)
    put(sources, test, (TEST_DENY if severity == "deny" else TEST_TOLD).format(**words), new=True)
    put(sources, DATA, listing(sources.texts[DATA], [*listed, code]), new=False)
    return [rule, test, DATA]


def listing(text: str, codes: list[str]) -> str:
    """Return data.json with these codes as `rules`, sorted; what else stands there keeps its layout where it can."""
    rows = ",\n    ".join(json.dumps(code, ensure_ascii=False) for code in sorted({*codes}))
    wanted = {**json.loads(text), "rules": sorted({*codes})}
    laid = _LIST.sub(lambda found: f"{found[1]}[\n    {rows}\n  ]", text, count=1)
    try:
        if json.loads(laid) == wanted:
            return laid
    except ValueError:
        pass
    return json.dumps(wanted, indent=2, ensure_ascii=False) + "\n"


def _refuse_bad(code: str, severity: str) -> None:
    if severity == "constitution":
        raise InputError(
            "policy: a constitution is the shipped bundle's alone; it holds over every other bundle",
            code="policy.constitution", fix="--severity deny",
        )  # fmt: skip
    if severity not in SETS:
        known = ", ".join(sorted(SEVERITIES - {"constitution"}))
        raise InputError(
            f"policy: {severity[:40]!r} is no severity", code="policy.severity", fix=f"--severity is one of {known}"
        )
    area, _, name = code.partition(".")
    reads_otherwise = name.endswith("_test") or not bundle.is_source(f"{area}/{name}.rego")
    if not CODE.fullmatch(code) or len(code) > MOST_CHARS or reads_otherwise:
        raise InputError(
            f"policy: {code[:100]!r} is no code: it reads area.name, each of small letters and `_`, at most"
            f" {MOST_CHARS} letters, and does not end in _test",
            code="policy.code", fix="for example: change.too_late",
        )  # fmt: skip
