"""False values that look like true ones: still false, still on their lines, and of no form of their own."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoguard_sandbox.judging.held_out import SEEN_BY_FORM
from evoguard_sandbox.judging.mutant_alike import ERRORS, Alike
from evoguard_sandbox.judging.mutants import mutated, sites
from unit.sandbox.assertions import FILES, HONEST, VALUES, a_file, seeded

FORM = re.compile(rb"['\"] b?['\"][a-z]{8,12}['\"]|\b\d{6,9}\b|BufferError|\(not \(|\(\(")
"""What `mutant_words` writes, and next to nobody else."""
A_FILE = b"""
def test_it():
    assert f(12, 7) == 345
    assert f("a tool at home") == "Each TOOL costs 19-20"
    assert f() == {}
"""


def alike(seed: int, source: bytes = A_FILE) -> Alike:
    return Alike(ast.parse(source), seeded(seed))


@settings(deadline=None, max_examples=500)
@given(VALUES, st.randoms(use_true_random=False))
def test_a_literal_is_still_false_and_of_its_type(value, random):
    source = f"def test_it():\n    assert f() == {value!r}\n".encode()
    tree = ast.parse(mutated(source, sites("t.py", source), random, alike=True))
    (compared,) = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    new = ast.literal_eval(compared.comparators[0])
    assert new != value
    assert type(new) is type(value) or (isinstance(value, float) and abs(value) > 1e300)


@pytest.mark.parametrize("number", range(FILES))
def test_no_form_tells_unless_the_site_is_one_of_the_last_choice(number):
    source, _ = a_file(number)
    told = 0
    for seed, site in enumerate(sites("t.py", source)):
        if site.kind in SEEN_BY_FORM:
            continue
        new = mutated(source, [site], seeded(seed), alike=True)
        assert new.count(b"\n") == source.count(b"\n")
        was = source.splitlines()
        told += any(FORM.search(line) for at, line in enumerate(new.splitlines()) if line != was[at])
    assert told <= 1  # a number beyond what floats hold, or with exponents


def test_next_to_every_one_fails_an_honest_program(tmp_path):
    (tmp_path / "honest.py").write_text(HONEST)
    made = 0
    for number in range(FILES):
        source, _ = a_file(number)
        for place, site in enumerate(sites("t.py", source)):
            new = mutated(source, [site], seeded(place), alike=True)
            (tmp_path / f"test_{number}_{place}.py").write_bytes(new)
            made += 1
    options = ["-q", "--tb=no", "--show-capture=no", "-c", os.devnull, "-p", "no:cacheprovider"]
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", *options, f"--rootdir={tmp_path}", "."]
    done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
    failed = int(re.search(r"(\d+) failed", done.stdout)[1])
    assert made * 0.9 < failed <= made


def test_words_and_numbers_are_those_of_the_file_in_the_shape_of_what_was_there():
    words = {"a", "tool", "at", "home", "each", "costs"}
    for seed in range(200):
        new = ast.literal_eval(alike(seed).text('"Each TOOL costs 19-20"'))
        found = re.fullmatch(r"([A-Z][a-z]+) ([A-Z]+) ([a-z]+) (\d\d)-(\d\d)", new)
        assert found, new
        assert {found[1].lower(), found[2].lower(), found[3]} <= words
        assert new != "Each TOOL costs 19-20"


def test_numbers_keep_sign_and_are_often_close_or_of_the_file():
    drawn = [int(alike(seed).number("-200") or 0) for seed in range(400)]
    assert all(-1000 < number < 0 and abs(number + 200) > 1 for number in drawn)
    assert sum(abs(number + 200) < 40 for number in drawn) > 120
    whole = [int(alike(seed).number("40") or 0) for seed in range(400)]
    assert {12, 7, 345} <= set(whole)
    assert all(abs(number - 40) > 1 for number in whole)


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("a is None", "a is not None"), ("a is  not b", "a is b"), ("'z' not in x", "'z' in x"), ("not f(x)", "f(x)"),
        ("f(x)", "not f(x)"), ("a.b", "not a.b"), ("(a) < (b)", "(a) >= (b)"), ("a != 'x'", "a == 'x'"),
        ("a and b", "not (a and b)"), ("1 < a < 3", "not (1 < a < 3)"), ("(\na  # why\n)", "not ((\na  # why\n))"),
        ("é is b", "not (é is b)"), ("(a := 2)", "not ((a := 2))"), ("a and not b", "not (a and not b)"),
    ],
)  # fmt: skip
def test_an_expression_is_turned_round_as_one_would_write_it(text, new):
    assert alike(1).rewritten("negated", text) == new


@pytest.mark.parametrize("text", ["0xFF", "1_000", "1e999", "1j", "2.5e3"])
def test_a_number_of_another_form_is_left_to_the_other_way(text):
    assert alike(1).rewritten("number", text) is None


@pytest.mark.parametrize("kind", ["list", "dict", "words", "uncalled", "renamed", "display"])
def test_what_has_no_natural_form_is_left_to_the_other_way(kind):
    assert alike(1).rewritten(kind, "x") is None


def test_another_error_is_a_usual_one_and_not_among_those_expected():
    for seed in range(50):
        new = alike(seed).error("(ValueError, KeyError)")
        assert new in ERRORS
        assert new not in ("ValueError", "KeyError")


def test_a_file_without_words_or_numbers_gives_letters_and_digits():
    empty = alike(3, b"assert f() == ''\n")
    assert re.fullmatch(r"'[a-z]+'", empty.text("''") or "")
    assert int(empty.number("0") or 0) > 1
