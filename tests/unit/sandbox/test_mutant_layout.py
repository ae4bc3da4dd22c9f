"""A mutant is its original but for the chosen spans, in files of any encoding, line end and indent."""

from __future__ import annotations

import ast
import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoguard_sandbox.judging.mutant_words import Layout
from evoguard_sandbox.judging.mutants import Site, mutated, sites


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 (what is drawn must be the same each time)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"# coding: latin-1\ndef test_it():\n    '\xfc\xdf'; assert 3 == f('\xfc')\n", b"3"),
        (b"\xef\xbb\xbfdef test_it(): assert 3 == f('\xc3\xbc')\n", b"3"),
        (b"def test_it():\r\n\t'\xf0\x9f\x8d\x8f'; assert 3 == f()\r\n", b"3"),
        (b"'''\x0c\xe2\x80\xa8\x0b'''\rdef test_it():\r\tassert 3 == f()\r", b"3"),
        (b"\x0c\ndef test_it():\n  \x0c  assert 3 == f() # \x1c 3\n", b"3"),
        (b"def test_it():\n    assert \\\n      3 == f()", b"3"),
    ],
)
def test_only_the_span_changes_whatever_surrounds_it(before, after):
    (site,) = sites("t.py", before)
    new = mutated(before, [site], seeded(3))
    at = before.index(b"assert") + before[before.index(b"assert") :].index(after)
    rest = before[at + len(after) :]
    assert new[:at] == before[:at]
    assert new[len(new) - len(rest) :] == rest
    assert abs(int(new[at : len(new) - len(rest)]) - 3) > 1


def test_an_offset_that_the_parser_counts_otherwise_is_no_site():
    # Python looks for a cookie in two lines, `tokenize` in what lies before two line feeds.
    source = b"#\r#\r# coding: latin-1\rdef test_it():\r    '\xc3\xbc'; assert f() ==   3333333\r"
    assert "ü" in ast.dump(ast.parse(source))
    assert sites("t.py", source) == ()


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_replacement_does_not_grow_together_with_the_word_before_it(random):
    source = b"def test_it():\n    assert-3 == f()\n"
    tree = ast.parse(mutated(source, sites("t.py", source), random))
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))


def test_spans_that_overlap_are_refused():
    with pytest.raises(ValueError, match="overlap"):
        Layout(b"abc").replaced([((1, 0), (1, 2), "x"), ((1, 1), (1, 3), "y")])


def test_text_that_does_not_lead_back_to_its_bytes_has_no_site():
    assert sites("t.py", b"# coding: utf-7\ndef test_it():\n    assert f('+AGE-') == 3\n") == ()


def test_a_site_of_another_source_is_refused():
    source = b"def test_it():\n    assert f() == 3\n"
    (site,) = sites("t.py", source)
    with pytest.raises(ValueError, match="does not have"):
        mutated(source.replace(b"f()", b"ff()"), [site], seeded(1))
    with pytest.raises(ValueError, match="does not have"):
        mutated(source, [Site("t.py", "test_it", "negated", site.start, site.end)], seeded(1))


EXPRESSIONS = st.sampled_from(
    ["f()", "3", "-2.5", "'ü'", "b'a'", "(1,\n  2)", "[  # ü ]\n 'ü', True]", "{}", "{1: 'a', **b}", "x.y",
     "'''a\nü'''", "f'{x}ü'", "(yield)", "(lambda: 1)", "(a := 2)", "(1 if a else 2)", "pytest.approx(2.0)",
     "[i for i in 'ü']", "()", "(  3  # three\n  )", "None", "0x1F", "1_000", "not_", "('a'\n   'b')",
     "{'k': [1, (2, {3})]}"]
)  # fmt: skip
SHAPES = st.sampled_from(
    ["assert {} == {}", "assert {} != {}", "assert {} < {}", "assert {} in {}", "assert {} not in {}, 'ü'",
     "assert ({} and\n   {})", "assert not {} or {}", "assert {} == {} == 1", "assert({}=={})", "assert {} is {}",
     "self.assertEqual({}, {})", "self.assertListEqual({}, {})", "self.assertTrue({}, {})", "self.assertLess({}, {})",
     "self.assertIn({},\n  {})", "pytest.raises(KeyError, {}, {})", "a = {}; b = {}", "'ü'; assert {} >= {}  # ü"]
)  # fmt: skip
LINES = st.builds(lambda shape, left, right: shape.format(left, right), SHAPES, EXPRESSIONS, EXPRESSIONS)
HOLDERS = st.sampled_from(
    ["", "if x:", "for x in 'ü':", "with a as b:", "with raises(KeyError):", "async with a:", "while f('ü'):"]
)


@st.composite
def sources(draw) -> bytes:
    """Build test files of odd layout: tabs, all line ends, a BOM or a cookie, non-ASCII text before an assertion."""
    indent, lines = draw(st.sampled_from(["\t", " ", "    "])), []
    for number in range(draw(st.integers(1, 4))):
        inside = draw(st.booleans())
        lines += [f"class TestÜ{number}:"] if inside else []
        outer = indent * inside
        lines.append(f"{outer}async def test_{number}(self):")
        for _ in range(draw(st.integers(1, 3))):
            holder = draw(HOLDERS)
            lines += [f"{outer}{indent}{holder}"] if holder else []
            lines.append(f"{outer}{indent}{indent if holder else ''}{draw(LINES)}")
    text = "\n".join([draw(st.sampled_from(["", "# ü"])), *lines, ""])
    head, encoding = draw(st.sampled_from([("", "utf-8"), ("", "utf-8-sig"), ("# coding: latin-1", "latin-1")]))
    return (head + text).replace("\n", draw(st.sampled_from(["\n", "\r\n", "\r"]))).encode(encoding)


def decoded(source: bytes) -> bytes:
    """Return the file in UTF-8, in which the parser counts columns."""
    return source.decode("latin-1" if b"latin-1" in source else "utf-8-sig").encode()


def offsets(data: bytes, site: Site) -> tuple[int, int]:
    starts = [0, *(found.end() for found in re.finditer(rb"\r\n|\r|\n", data))]
    return starts[site.start[0] - 1] + site.start[1], starts[site.end[0] - 1] + site.end[1]


def skeleton(tree: ast.Module, hollow: set[int]) -> str:
    """Return the tree with the insides of some statements, by number, left out; lines stay."""
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    for number in hollow:
        node, nothing = statements[number], ast.Constant(None)
        if isinstance(node, ast.Assert):
            node.test = nothing
        elif isinstance(node, ast.Expr | ast.Assign):
            node.value = nothing
        elif isinstance(node, ast.With | ast.AsyncWith):
            node.items = []
    return str([node.lineno for node in statements]) + ast.dump(tree)


def holding(tree: ast.Module, site: Site) -> int:
    """Return the number of the innermost statement that a site is in."""
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    around = [
        number
        for number, node in enumerate(statements)
        if (node.lineno, node.col_offset) <= site.start and site.end <= (node.end_lineno or 0, node.end_col_offset or 0)
    ]
    return max(around, key=lambda number: (statements[number].lineno, statements[number].col_offset))


@settings(deadline=None)
@given(sources(), st.data(), st.integers(0, 2**64))
def test_only_the_chosen_spans_change_and_the_rest_of_the_tree_is_the_same(source, data, seed):
    found = sites("t.py", source)
    chosen = data.draw(st.lists(st.sampled_from(found), unique=True)) if found else []
    new = mutated(source, chosen, seeded(seed))
    assert new == mutated(source, reversed(chosen), seeded(seed))

    before, after, at, outside = decoded(source), decoded(new), 0, []
    for start, end in sorted(offsets(before, site) for site in chosen):
        outside.append(before[at:start])
        at = end
    outside.append(before[at:])
    assert re.fullmatch(rb".+?".join(re.escape(part) for part in outside), after, re.S)

    hollow = {holding(ast.parse(source), site) for site in chosen}
    assert skeleton(ast.parse(new), hollow) == skeleton(ast.parse(source), hollow)
    for site in chosen:
        alone = mutated(source, [site], seeded(seed))
        assert ast.dump(ast.parse(alone)) != ast.dump(ast.parse(source))
