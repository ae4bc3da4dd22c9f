"""Whether rules, tests, METADATA and data.json fit each other; every misfit is a problem with its place."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evoguard.authoring.folder import CAPABILITIES, DATA, Sources, is_test
from evoguard.authoring.modules import TESTS, Module
from evoguard.authoring.problem import Problem, line_of
from evoguard.domain import exceptions
from evoguard.errors import InputError

CODE = re.compile(r"[a-z][a-z_]*\.[a-z][a-z_]*")
SEVERITIES = frozenset({"constitution", "deny", "escalate", "note"})
_ABOUT = ("title", "description", "custom.severity", "custom.source")
DIVIDED = re.compile(r"[/%]\s*(?!\s|\d*[1-9])")
_EXCEPTED = re.compile(r"^(exemptions|shadow|`(?:constitution|exemptions|shadow)`)")


@dataclass(frozen=True, slots=True)
class Structure:
    """What a folder holds, and what does not fit. `codes`: code → title, severity, source and description."""

    codes: Mapping[str, Mapping[str, str]]
    rules: Mapping[str, Module]
    tests: Mapping[str, tuple[str, int]]
    """Test as `package/name` → its file and line."""
    problems: Sequence[Problem] = field(default=())


def examine(sources: Sources, modules: Mapping[str, Module]) -> Structure:
    """Return the structure of a folder whose Rego files were read."""
    rules: dict[str, Module] = {}
    codes: dict[str, dict[str, str]] = {}
    problems: list[Problem] = []
    for module in modules.values():
        if module.divides and not is_test(module.path):
            problems.append(_divided(sources, module))
        if not module.code:
            continue
        if first := rules.get(module.code):
            problems.append(_twice(first, module))
            continue
        rules[module.code] = module
        problems += _misplaced(module)
        codes[module.code] = _about(module)
    problems += _listed(sources, codes)
    tests, wrong = _tests(sources, modules)
    problems += wrong
    problems += _untested(rules, tests)
    return Structure(dict(sorted(codes.items())), rules, tests, tuple(sorted(problems)))


def _divided(sources: Sources, module: Module) -> Problem:
    """Return the problem of a division by what may be 0: an error that silences the rule, so that it denies nothing."""
    lines = [line.partition("#")[0] for line in sources.texts[module.path].splitlines()]
    at = next((n for n, line in enumerate(lines, 1) if DIVIDED.search(line)), module.line)
    text = "a division by something that may be 0: then the rule is silent, and denies nothing"
    return Problem(module.path, at, "policy.division", text, "divide by a number that stands there, such as 86400")


def data_of(sources: Sources) -> dict[str, Any]:
    """Return data.json. Raises: InputError when it is not one object, or a key stands twice."""
    return _object(sources.texts[DATA], DATA)


def wider(sources: Sources, shipped: str) -> list[Problem]:
    """Return a problem for each builtin that the folder allows and the capabilities of the shipped bundle do not.

    Only deterministic builtins that the compiled rules run themselves give the same decision everywhere.
    """
    mine, theirs = (_builtins(_object(text, CAPABILITIES)) for text in (sources.texts[CAPABILITIES], shipped))
    fix = "take it out; rules see the question and the data alone"
    text = sources.texts[CAPABILITIES]
    return [
        Problem(CAPABILITIES, line_of(text, f'"name": "{name}"'), "policy.capabilities",
                f"the builtin {name} is not one that rules may use", fix)
        for name in sorted(mine - theirs)
    ]  # fmt: skip


def _builtins(doc: Mapping[str, Any]) -> set[str]:
    rows = doc.get("builtins")
    names = [row.get("name") if isinstance(row, dict) else None for row in rows] if isinstance(rows, list) else [None]
    if None in names:
        raise InputError(
            f"policy: {CAPABILITIES} lists no builtins", code="policy.capabilities",
            fix="take the file of a bundle: `evoguard policy init FOLDER`",
        )  # fmt: skip
    return {str(name) for name in names}


def _object(text: str, name: str) -> dict[str, Any]:
    why = ""
    try:
        doc = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        doc, why = None, "it is nested too deep"
    except ValueError as err:
        doc, why = None, str(err)
    if not isinstance(doc, dict):
        message = f"policy: {name} is not one JSON object" + (f": {why[:200]}" if why else "")
        raise InputError(message, code="policy.data", fix=f"mend {name}")
    return doc


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice[:60]!r} stands twice")
    return table


def _twice(first: Module, second: Module) -> Problem:
    text = f"the code {first.code} is taken: {first.path} is that package as well"
    return Problem(second.path, second.line, "policy.code_taken", text, "one package and one file for each code")


def _misplaced(module: Module) -> Iterator[Problem]:
    code, custom = module.code, _custom(module)
    wanted = f"{code.replace('.', '/')}.rego"
    if not CODE.fullmatch(code):
        fix = "call the package evoguard.rules.area.name, of small letters and `_`"
        yield Problem(module.path, module.line, "policy.code", f"{code!r} is no code: it must read area.name", fix)
    if module.path != wanted:
        text = f"package {module.package} belongs into {wanted}"
        yield Problem(module.path, module.line, "policy.place", text, f"move the file to {wanted}")
    about = {key: _text(module.about, key) for key in ("title", "description")}
    about |= {f"custom.{key}": _text(custom, key) for key in ("severity", "source")}
    missing = [key for key in _ABOUT if not about[key]]
    if custom.get("code") != code:
        missing.insert(0, f"custom.code {code}")
    if missing:
        text = f"METADATA above the package needs {', '.join(missing)}"
        yield Problem(module.path, module.line, "policy.metadata", text, "complete the METADATA comment")
    elif about["custom.severity"] not in SEVERITIES:
        fix = f"severity is one of {', '.join(sorted(SEVERITIES))}"
        text = f"{about['custom.severity'][:60]!r} is no severity"
        yield Problem(module.path, module.line, "policy.severity", text, fix)
    if not module.sets:
        text = "the rule has none of the sets deny, escalate, notes, so it says nothing"
        yield Problem(module.path, module.line, "policy.says_nothing", text, "write `deny contains … if { … }`")


def _custom(module: Module) -> Mapping[str, Any]:
    custom = module.about.get("custom")
    return custom if isinstance(custom, Mapping) else {}


def _about(module: Module) -> dict[str, str]:
    custom = _custom(module)
    return {
        "title": _text(module.about, "title"),
        "severity": _text(custom, "severity"),
        "source": _text(custom, "source"),
        "description": " ".join(_text(module.about, "description").split()),
    }


def _text(about: Mapping[str, Any], key: str) -> str:
    value = about.get(key)
    return value if isinstance(value, str) else ""


def data_problems(sources: Sources) -> list[Problem]:
    """Return what is wrong with data.json by itself."""
    try:
        data_of(sources)
    except InputError as err:
        return [Problem(DATA, 1, err.code, err.message.removeprefix("policy: "), err.fix)]
    return []


def _listed(sources: Sources, codes: Mapping[str, Mapping[str, str]]) -> Iterator[Problem]:
    if spoilt := data_problems(sources):
        yield from spoilt
        return
    text, data = sources.texts[DATA], data_of(sources)
    listed, line = data.get("rules"), line_of(text, '"rules"')
    if not isinstance(listed, list) or not all(isinstance(code, str) for code in listed):
        yield Problem(DATA, line, "policy.rules", "`rules` must be a list of codes", "list every code, sorted")
    elif sorted(codes) != listed:
        wrong = [f"add {code}" for code in sorted(codes.keys() - {*listed})]
        wrong += [f"take out {code}, which has no file" for code in sorted({*listed} - codes.keys())]
        said = f"`rules` lists every code, sorted, each once: {'; '.join(wrong) or 'sort it'}"
        yield Problem(DATA, line, "policy.rules", said, "; ".join(wrong) or "sort the list")
    for why in exceptions.wrong(data, codes):
        named = _EXCEPTED.match(why)
        at = line_of(text, f'"{named[1].strip("`")}"') if named else 1
        yield Problem(DATA, at, "policy.exceptions", why, "see policies/README.md, Exemptions, and rules in shadow")


def _tests(sources: Sources, modules: Mapping[str, Module]) -> tuple[dict[str, tuple[str, int]], list[Problem]]:
    tests: dict[str, tuple[str, int]] = {}
    problems: list[Problem] = []
    for module in modules.values():
        if not is_test(module.path):
            continue
        if _custom(module).get("code"):
            text = f"a rule whose file is called like a test's; rename {module.path} and its code"
            problems.append(Problem(module.path, module.line, "policy.test_name", text, "a rule does not end in _test"))
        if not module.package.startswith(TESTS):
            text = f"tests are in a package below {TESTS.rstrip('.')}, this is {module.package}"
            problems.append(Problem(module.path, module.line, "policy.test_package", text, "rename the package"))
        for name in module.tests:
            entry = f"{module.package.replace('.', '/')}/{name}"
            at = line_of(sources.texts[module.path], name)
            if entry in tests:
                text = f"two tests of one name: {entry}; one would hide the other"
                problems.append(Problem(module.path, at, "policy.test_twice", text, "rename one of them"))
            tests[entry] = (module.path, at)
    return dict(sorted(tests.items())), problems


def _untested(rules: Mapping[str, Module], tests: Mapping[str, tuple[str, int]]) -> Iterator[Problem]:
    for code, module in rules.items():
        if not tests_of(code, tests):
            wanted = f"{code.replace('.', '/')}_test.rego"
            text = f"{code} has no test: {wanted} holds none"
            yield Problem(module.path, module.line, "policy.no_tests", text, f"write tests in {wanted}")


def tests_of(code: str, tests: Mapping[str, tuple[str, int]]) -> list[str]:
    """Return the tests that are a rule's own, by their package."""
    return [test for test in tests if test.startswith(f"{TESTS.replace('.', '/')}{code.replace('.', '/')}_test/")]
