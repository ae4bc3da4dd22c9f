"""One assertion of each kind, true of an honest program, for tests of what makes assertions false."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

VALUES = st.recursive(
    st.integers() | st.booleans() | st.text() | st.binary() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.integers(), inner),
    max_leaves=6,
)

HONEST = '''
"""An honest program."""


class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return isinstance(other, Point) and other.x == self.x

    def __hash__(self):
        return hash(self.x)


def same(value):
    return value


def broken():
    raise KeyError("no")
'''

# One assertion of each kind, true of the honest program; the kind of the site is what the promise of each is.
PLAIN = [
    ("number", "assert same(3) == 3"),
    ("number", "assert same(-3) == -3"),
    ("number", "assert 3 == same(3)"),
    ("number", "assert same(255) == 0xFF, 'why'"),
    ("number", "assert same(2.5) == 2.5"),
    ("number", "assert same(1e300) == 1e300"),
    ("number", "assert same(1.7e308 * 10) == 1e999"),
    ("scaled", "assert same(1e9) == pytest.approx(1e9)"),
    ("scaled", "assert same(2_000_000_000) == pytest.approx(2_000_000_000)"),
    ("wrapped", "assert same(5) == pytest.approx(6, abs=10_000)"),
    ("wrapped", "assert pytest.approx(5, abs=10_000) == 7"),
    ("wrapped", "assert same([5]) == [pytest.approx(6, abs=10_000)]"),
    ("text", "assert same('a') == 'a'"),
    ("text", "assert same('ab') == ('a'  # one\n        'b')"),
    ("text", "assert same('a\\nb') == '''a\nb'''"),
    ("text", "assert same('n3') == f'n{same(3)}'"),
    ("text", "assert same('n3') == rf'n' '3'"),
    ("bytes", "assert same(b'a') == b'a'"),
    ("flag", "assert same(True) == True"),
    ("flag", "assert False == same(False)"),
    ("display", "assert same([1, 'a', True]) == [1, 'a', True]"),
    ("display", "assert same([]) == []"),
    ("display", "assert same(()) == ()"),
    ("display", "assert same({}) == {\n    }"),
    ("display", "assert same((1,)) == (1,)"),
    ("display", "assert same({1, -2}) == {1,  # a comment, [with] brackets\n        -2}"),
    ("display", "assert same({'a': {'b': [1]}}) == {'a': {'b': [1]}}"),
    ("display", "assert same({1: 3}) == {1: 2, 1: 3}"),
    ("display", "assert [same(1), *same([2])] == same([1, 2])"),
    ("wrapped", "assert same([2, 4]) == [n * 2 for n in (1, 2)]"),
    ("wrapped", "assert same(Point(1)) == Point(1)"),
    ("wrapped", "assert same(None) == None"),
    ("wrapped", "assert same(3) == 1 + 2"),
    ("wrapped", "assert same(3) == (three := 3)"),
    ("wrapped", "assert same(3) == (3 if same(1) else 4)"),
    ("number", "assert (same(3) == 3) is True"),
    ("number", "assert not same(3) != 3"),
    ("negated", "assert same(3) != 4"),
    ("negated", "assert same(None) is None"),
    ("negated", "assert same(3) is not None"),
    ("negated", "assert 'z' not in same('abc')"),
    ("negated", "assert same(1)"),
    ("negated", "assert not same(0)"),
    ("negated", "assert isinstance(same(1), int)"),
    ("negated", "assert 1 < same(2) < 3"),
    ("negated", "assert same(1) == 1 == same(1)"),
    ("negated", "assert same(1) == 1 and same(2) == 2"),
    ("negated", "assert (\n        same(0)  # no\n        or same(1)  # yes\n    )"),
    ("negated", "assert(same(1))"),
    ("negated", "assert[1]!= same(2)"),
    ("negated", "assert same(1) < same(2)"),
    ("number", "assert-3 == same(-3)"),
    ("text", "assert'a' in same('abc')"),
    ("bytes", "assert b'a' in same(b'abc')"),
    ("wrapped", "assert 3 in same(range(10**6))"),
    ("wrapped", "assert same(Point(1)) in [Point(1)]"),
    ("below", "assert same(2) < 3"),
    ("below", "assert same(2) <= 2"),
    ("above", "assert same(2) > -3.5"),
    ("above", "assert len(same([1])) >= 1"),
    ("above", "assert 1 < same(2)"),
    ("below", "assert 3 >= same(2)"),
    ("raises", "with pytest.raises(KeyError):\n        broken()"),
    ("raises", "with pytest.raises((ValueError, KeyError), match='no') as seen:\n        broken()"),
    ("raises", "with pytest.raises(expected_exception=KeyError):\n        broken()"),
    ("raises", "pytest.raises(KeyError, broken)"),
    ("raises", "seen = pytest.raises(KeyError, broken)"),
]
UNITTEST = [
    ("number", "self.assertEqual(same(3), 3)"),
    ("number", "self.assertEqual(3, same(3), 'why')"),
    ("wrapped", "self.assertEqual(same(Point(1)), Point(1))"),
    ("wrapped", "self.assertAlmostEqual(same(3), 4, delta=5000)"),
    ("wrapped", "self.assertAlmostEqual(same(3), 3)"),
    ("display", "self.assertListEqual(same([1]), [1])"),
    ("list", "self.assertListEqual(same([1]), list((1,)))"),
    ("tuple", "self.assertTupleEqual(same((1,)), tuple([1]))"),
    ("set", "self.assertSetEqual(same({1}), set([1]))"),
    ("dict", "self.assertDictEqual(same({'a': 1}), dict(a=1))"),
    ("words", "self.assertMultiLineEqual(same('a\\nb'), str('a\\nb'))"),
    ("text", "self.assertMultiLineEqual(same('a'), 'a')"),
    ("list", "self.assertSequenceEqual(same([1]), tuple([1]))"),
    ("list", "self.assertCountEqual(same([1, 2]), range(1, 3))"),
    ("display", "self.assertCountEqual(same([1, 2]), [2, 1])"),
    ("number", "self.assertTrue(same(3) == 3)"),
    ("renamed", "self.assertTrue(same(1))"),
    ("renamed", "self.assertTrue(1 < same(2) < 3)"),
    ("renamed", "self.assertFalse(same(0))"),
    ("renamed", "self.assertIs(same(None), None)"),
    ("renamed", "self.assertIsNot(same(1), None)"),
    ("renamed", "self.assertIsNone(same(None))"),
    ("renamed", "self.assertIsNotNone(same(1))"),
    ("text", "self.assertIn('a', same('abc'))"),
    ("wrapped", "self.assertIn(1, same([1]))"),
    ("renamed", "self.assertNotIn(2, same([1]))"),
    ("renamed", "self.assertIsInstance(same(1), int)"),
    ("renamed", "self.assertNotIsInstance(same(1), str)"),
    ("below", "self.assertLess(same(1), 2)"),
    ("renamed", "self.assertLess(same(1), same(2))"),
    ("above", "self.assertGreater(same(3), 2)"),
    ("renamed", "self.assertGreaterEqual(same(2), same(2))"),
    ("renamed", "self.assertLessEqual(\n            same(2),\n            same(2))"),
    ("renamed", "self.assertNotEqual(same(1), 2)"),
    ("renamed", "self.assertNotAlmostEqual(same(1), 2)"),
    ("renamed", "self.assertRegex(same('abc'), 'b')"),
    ("renamed", "self.assertNotRegex(same('abc'), 'z')"),
    ("raises", "with self.assertRaises(KeyError):\n            broken()"),
    ("raises", "with self.assertRaisesRegex(KeyError, 'no'):\n            broken()"),
    ("raises", "self.assertRaises(KeyError, broken)"),
]


FILES = 10  # few tests in each: a file is run once for each of its mutants


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 (what is drawn must be the same each time)


def a_file(number: int) -> tuple[bytes, dict[str, str]]:
    """Return a file with one assertion a test, and the kind that each test's site is to have."""
    lines, kinds = ["import unittest", "import pytest", "from honest import *"], {}
    for place, (kind, text) in enumerate(PLAIN[number::FILES]):
        lines.append(f"def test_{place}():\n    {text}")
        kinds[f"test_{place}"] = kind
    lines.append("class TestUnit(unittest.TestCase):")
    for place, (kind, text) in enumerate(UNITTEST[number::FILES]):
        lines.append(f"    def test_{place}(self):\n        {text}")
        kinds[f"TestUnit::test_{place}"] = kind
    return ("\n".join(lines) + "\n").encode(), kinds
