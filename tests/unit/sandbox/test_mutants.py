"""Mutation canaries: an honest program fails each mutant, a forged all-green passes it, and nothing else changes."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoguard_sandbox.judging.mutants import mutated, sites
from unit.sandbox.assertions import FILES, HONEST, PLAIN, UNITTEST, VALUES, a_file, seeded


@pytest.mark.parametrize("number", range(FILES))
def test_every_kind_of_assertion_has_one_site_of_its_kind(number):
    source, kinds = a_file(number)
    found = sites("test_it.py", source)
    assert {site.test: site.kind for site in found} == kinds
    assert len(found) == len(kinds)


def test_an_honest_program_passes_the_original_and_fails_each_mutant_in_that_very_test(tmp_path):
    (tmp_path / "honest.py").write_text(HONEST)
    green, red = set(), set()
    for number in range(FILES):
        source, kinds = a_file(number)
        (tmp_path / f"test_original_{number}.py").write_bytes(source)
        green.update(f"test_original_{number}.py::{test}" for test in kinds)
        for place, site in enumerate(sites("test_it.py", source)):
            name = f"test_mutant_{number}_{place}.py"
            (tmp_path / name).write_bytes(mutated(source, [site], seeded(number)))
            green.update(f"{name}::{test}" for test in kinds if test != site.test)
            red.add(f"{name}::{site.test}")
    assert len(red) == len(PLAIN) + len(UNITTEST)

    options = ["-q", "-rA", "--tb=no", "--show-capture=no", "-c", os.devnull, f"--rootdir={tmp_path}"]
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "pytest", *options, "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
    found = re.findall(r"^(PASSED|FAILED|ERROR) (\S+)", done.stdout, re.M)
    assert {name for word, name in found if word == "PASSED"} == green
    assert {name for word, name in found if word != "PASSED"} == red


class Agreeable:
    """What a forger returns: equal to everything, holding everything, before and after everything."""

    def __eq__(self, other):
        return True

    __hash__ = None  # type: ignore[assignment]  # equal to everything, so no hash is right

    def __ne__(self, other):
        return False

    def __contains__(self, other):
        return True

    __lt__ = __le__ = __gt__ = __ge__ = __eq__


BY_VALUE = frozenset({"number", "text", "bytes", "flag", "display", "wrapped", "above", "below"})
LOOKED_AT_FIRST = ("len(", "approx(", "for n", "*same", "in [")  # by something other than a comparison


@pytest.mark.parametrize(
    "assertion",
    [text for kind, text in PLAIN if kind in BY_VALUE and not any(word in text for word in LOOKED_AT_FIRST)],
)
def test_an_object_that_agrees_with_everything_passes_the_mutant_too_and_so_is_found_out(assertion):
    source = f"def test_it():\n    {assertion}\n".encode()
    (site,) = sites("t.py", source)
    names: dict[str, object] = {"same": lambda *_: Agreeable(), "Point": lambda x: x}
    exec(mutated(source, [site], seeded(1)), names)  # noqa: S102 (the text is above)
    test = names["test_it"]
    assert callable(test)
    test()


@settings(deadline=None)
@given(st.integers(), st.randoms(use_true_random=False))
def test_a_mutated_number_is_never_off_by_one(value, random):
    source = f"def test_it():\n    assert f() == {value}\n".encode()
    new = mutated(source, sites("t.py", source), random)
    assert abs(ast.literal_eval(new.split(b"==")[1].decode().strip()) - value) > 1


@settings(deadline=None)
@given(st.floats(allow_nan=False), st.randoms(use_true_random=False))
def test_a_mutated_float_is_outside_the_tolerance_of_approx(value, random):
    source = f"def test_it():\n    assert f() == pytest.approx({value!r})\n".encode()
    new = mutated(source, sites("t.py", source), random)
    expected = eval(new.split(b"==")[1], {"pytest": pytest, "inf": float("inf")})  # noqa: S307 (the text is above)
    assert value != expected


@settings(deadline=None)
@given(VALUES, st.randoms(use_true_random=False))
def test_a_mutated_literal_has_another_value_of_the_same_type(value, random):
    source = f"def test_it():\n    assert f() == {value!r}\n".encode()
    found = sites("t.py", source)
    tree = ast.parse(mutated(source, found, random))
    (compared,) = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    new = ast.literal_eval(compared.comparators[0])
    assert new != value
    assert type(new) is type(value) or (isinstance(value, float) and abs(value) > 1e300)


def test_nothing_chosen_changes_nothing():
    source, _ = a_file(0)
    assert mutated(source, [], seeded(1)) == source


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_an_element_that_says_nothing_is_not_the_one_to_be_changed(random):
    source = b"def test_it():\n    assert f() == {1: 2, 1: 3}\n"
    new = mutated(source, sites("t.py", source), random)
    assert ast.literal_eval(new.split(b"==")[1].decode().strip()) != {1: 3}


@pytest.mark.parametrize(
    "text", ["(yield 1)", "(lambda: 1)", "(a := 2)", "(1 if a else 2)", "(a for a in b)", "x\\\n.y"]
)
def test_a_wrapped_expression_keeps_its_bounds(text):
    source = f"def test_it():\n    assert f() == {text}\n".encode()
    tree = ast.parse(mutated(source, sites("t.py", source), seeded(1)))
    (compared,) = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    wrapped = compared.comparators[0]
    assert isinstance(wrapped, ast.Tuple)
    assert ast.dump(wrapped.elts[0]) == ast.dump(ast.parse(text, mode="eval").body)
    assert isinstance(wrapped.elts[1], ast.Constant)
