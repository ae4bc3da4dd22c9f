"""Whether a rule's own tests would notice if it never fired, and if it always did.

Each test of a rule is run again by OPA with the rule's findings replaced: by nothing at all, and by one that is always
there. A test that was green and turns red needs the rule to fire, or to stay silent. One process asks for all rules, of
each set no further than the first such test.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from evoguard.authoring.modules import RULES
from evoguard.authoring.opa import Opa
from evoguard.authoring.problem import Problem
from evoguard.authoring.structure import Structure, tests_of

PACKAGE = "evoguard_probe"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:/[A-Za-z_][A-Za-z0-9_]*)*")


@dataclass(frozen=True, slots=True)
class Probed:
    """What the tests of one rule need: the sets that must fire in one of them, and that must stay silent in one."""

    code: str
    sets: tuple[str, ...]
    fires: frozenset[str]
    silent: frozenset[str]

    @property
    def whole(self) -> bool:
        """Tell whether the tests would notice both faults in every set of the rule."""
        return bool(self.sets) and {*self.sets} == self.fires == self.silent


def probe(opa: Opa, found: Structure) -> dict[str, Probed]:
    """Return what each rule's tests need. Raises: InputError when the sources do not compile."""
    (opa.home / "probe.rego").write_text("\n".join(_program(found)) + "\n", encoding="utf-8")
    try:
        rego = [flag for path in (*opa.sources.rego(tests=True), "data.json", "probe.rego") for flag in ("-d", path)]
        told = opa.json("eval", "-f", "json", *rego, f"data.{PACKAGE}.told")["result"][0]["expressions"][0]["value"]
    finally:
        (opa.home / "probe.rego").unlink()
    needs: dict[tuple[str, str], set[str]] = defaultdict(set)
    for code, name, what in told:
        needs[code, what].add(name)
    return {
        code: Probed(code, module.sets, frozenset(needs[code, "fires"]), frozenset(needs[code, "silent"]))
        for code, module in found.rules.items()
    }


def problems(probed: dict[str, Probed], found: Structure) -> Iterator[Problem]:
    """Yield a problem for each set that no test of its rule needs to fire, or to stay silent."""
    for code, one in probed.items():
        module = found.rules[code]
        if not tests_of(code, found.tests):
            continue  # that it has no tests is a problem of its own
        for name in one.sets:
            if name not in one.fires:
                text = f"no test of {code} needs its `{name}` to fire: with it left out all stay green"
                fix = f"write a test in which `{name}` holds the code"
                yield Problem(module.path, module.line, "policy.never_fires", text, fix)
            if name not in one.silent:
                text = f"no test of {code} needs its `{name}` to stay silent: with it always there all stay green"
                fix = f"write a test in which `{name}` does not hold the code"
                yield Problem(module.path, module.line, "policy.never_silent", text, fix)


def _program(found: Structure) -> Iterator[str]:
    """Yield a module that tells of each replaced set whether some green test turns red."""
    yield f"package {PACKAGE}\n"
    yield "told contains [] if false"
    for code, module in found.rules.items():
        tests = [test for test in tests_of(code, found.tests) if _NAME.fullmatch(test)]
        for name in module.sets if _NAME.fullmatch(code.replace(".", "/")) else ():
            yield from _cases(code, name, [test.replace("/", ".") for test in tests])


def _cases(code: str, name: str, tests: list[str]) -> Iterator[str]:
    """Yield a rule of one value for each fault: OPA leaves it at the first body that holds, and asks no other test."""
    always = json.dumps({"code": code, "msg": "always", "path": "", "term": ""})
    for what, forced in (("fires", "set()"), ("silent", f"{{{always}}}")) if tests else ():
        needed = f"needed_{code.replace('.', '_')}_{name}_{what}_{sha256(code.encode()).hexdigest()[:8]}"
        yield f'told contains ["{code}", "{name}", "{what}"] if {needed}'
        for test in tests:
            yield (
                f"{needed} if {{\n\tdata.{test} == true\n"
                f"\tnot data.{test} == true with data.{RULES}{code}.{name} as {forced}\n}}"
            )
