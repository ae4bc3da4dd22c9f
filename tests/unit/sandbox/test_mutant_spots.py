"""What is a site: only an assertion that an honest program surely runs, in a test that stands alone."""

from __future__ import annotations

from random import Random

import pytest

from evoguard_sandbox.judging.mutants import mutated, sites


def kinds_in(body: str) -> list[str]:
    """Return the kinds of the sites in a test with this body."""
    text = "def test_it(given):\n" + "".join(f"    {line}\n" for line in body.split("\n"))
    return [site.kind for site in sites("t.py", text.encode())]


def names_in(text: str) -> list[str]:
    return [site.test for site in sites("t.py", text.encode())]


@pytest.mark.parametrize(
    "body",
    [
        "assert True",
        "assert 0, 'never'",
        "assert ANY == f()",
        "assert mock.ANY == f()",
        "return\nassert f()",
        "raise ValueError\nassert f()",
        "pytest.skip('no')\nassert f()",
        "self.skipTest('no')\nassert f()",
        "def inner():\n    assert f()",
        "async def inner():\n    assert f()",
        "class Inner:\n    assert f()",
        "try:\n    assert f()\nexcept:\n    pass",
        "try:\n    assert f()\nexcept AssertionError:\n    pass",
        "try:\n    assert f()\nexcept (ValueError, Exception):\n    pass",
        "try:\n    try:\n        assert f()\n    except KeyError:\n        pass\nexcept Exception:\n    pass",
        "try:\n    for x in y:\n        assert f()\nexcept ERRORS:\n    pass",
        "try:\n    self.assertEqual(f(), 3)\nexcept self.failureException:\n    pass",
        "try:\n    with pytest.raises(KeyError):\n        f()\nexcept ValueError:\n    pass",
        "with pytest.raises(Exception):\n    assert f()",
        "with pytest.raises(BaseException):\n    f()",
        "with pytest.raises(BufferError):\n    f()",
        "with pytest.raises((KeyError, Exception)):\n    f()",
        "with pytest.raises(KeyboardInterrupt):\n    f()",
        "with pytest.raises(pytest.skip.Exception):\n    f()",
        "with pytest.raises(asyncio.CancelledError):\n    f()",
        "with pytest.raises(kind):\n    f()",
        "with pytest.raises(make_error()):\n    f()",
        "with pytest.raises():\n    f()",
        "with pytest.raises(KeyError), suppress(ValueError):\n    f()",
        "with contextlib.suppress(KeyError):\n    assert f()",
        "with given:\n    assert f()",
        "with (a if b else c):\n    assert f()",
        "pytest.raises(KeyError)",
        "self.assertEqual(*pair)",
        "self.assertEqual(first=1, second=2)",
        "f().assertEqual(1, 2)",
        "self.assertOwnThing(1, 2)",
        "print('assert x == 3')",
    ],
)
def test_what_an_honest_program_might_pass_is_no_site(body):
    assert kinds_in(body) == []


def test_a_class_of_the_forbidden_name_takes_the_raises_from_the_file():
    text = "BufferError = KeyError\ndef test_it():\n    with raises(KeyError): f()\n    assert f()\n"
    assert [site.kind for site in sites("t.py", text.encode())] == ["negated"]


@pytest.mark.parametrize(
    "body",
    [
        "if a:\n    assert f()\nelse:\n    assert g()",
        "for a in b:\n    assert f()\nelse:\n    assert g()",
        "async for a in b:\n    assert f()\nassert g()",
        "while a:\n    assert f()\nassert g()",
        "with a() as b, c:\n    assert f()\nassert g()",
        "async with a:\n    assert f()\n    assert g()",
        "with pytest.warns(Old):\n    assert f()\nassert g()",
        "try:\n    assert f()\nfinally:\n    assert g()",
        "try:\n    assert f()\nexcept KeyError:\n    assert g()",
        "try:\n    pass\nexcept Exception:\n    assert f()\nelse:\n    assert g()",
        "try:\n    assert f()\nexcept* KeyError:\n    assert g()",
        "match a:\n    case 1:\n        assert f()\n    case _:\n        assert g()",
        "assert f(); assert g()",
    ],
)
def test_nested_bodies_are_looked_into(body):
    assert kinds_in(body) == ["negated", "negated"]


BODY = "    assert f()\n"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (f"async def test_it():\n{BODY}", ["test_it"]),
        (f"@pytest.mark.parametrize('a', [1, 2])\ndef test_it(a):\n{BODY}", ["test_it"]),
        (f"class TestA:\n class TestB:\n  def test_it(self):\n{BODY}", ["TestA::TestB::test_it"]),
        (f"if a:\n  def test_it():\n{BODY}", ["test_it"]),
        (f"@pytest.mark.xfail(a, reason='')\ndef test_it():\n{BODY}", ["test_it"]),
        (f"@pytest.mark.xfail\ndef test_it():\n{BODY}", []),
        (f"@pytest.mark.skip('no')\ndef test_it():\n{BODY}", []),
        (f"@unittest.expectedFailure\ndef test_it():\n{BODY}", []),
        (f"@pytest.mark.xfail(reason='')\nclass TestA:\n def test_it():\n{BODY}", []),
        (f"@pytest.fixture()\ndef test_it():\n{BODY}", []),
        (f"def helper():\n{BODY}", []),
        (f"if a:\n  def test_it():\n{BODY}else:\n  def test_it():\n{BODY}", []),
        (f"class TestA:\n def test_it(self):\n{BODY}class TestA:\n def test_other(self):\n{BODY}", []),
        (f"def test_it():\n{BODY}test_same = test_it\n", []),
        (f"class TestA:\n def test_it(self):\n{BODY}class TestB(TestA):\n def test_other(s):\n{BODY}",
         ["TestB::test_other"]),
        ("class TestA:\n def assertEqual(self, a, b): ...\n def test_it(self):\n  self.assertEqual(1, 2)\n", []),
        ("def test_it(:\n", []),
        ("def test_it():\n    assert f(\0)\n", []),
        ("# coding: nonsense\ndef test_it(): assert f()\n", []),
        ("", []),
    ],
)  # fmt: skip
def test_only_tests_that_stand_alone_have_sites(text, names):
    assert names_in(text) == names


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        ("who.hear.assert_called_once_with('news')", "text"),
        ("who.assert_called_with(x)", "wrapped"),
        ("who.assert_any_call(ANY, 3)", "number"),
        ("who.assert_called_with(key=3)", "number"),
        ("who.assert_called_with(*given)", "uncalled"),
        ("who.assert_called_with(mock.ANY)", "uncalled"),
        ("who.assert_called_once_with()", "uncalled"),
        ("f().assert_called()", "uncalled"),
        ("who.assert_not_called()", "called"),
        ("who.assert_awaited_once()", "unawaited"),
        ("who.assert_awaited_with(3)", "number"),
        ("who.assert_has_calls([call(1), call(2)])", "list"),
        ("who.assert_has_calls(wanted, any_order=True)", "list"),
    ],
)
def test_a_check_of_a_mock_is_told_something_else_or_asked_of_another_mock(check, kind):
    assert kinds_in(check) == [kind]
    assert kinds_in(f"try:\n    {check}\nexcept AssertionError:\n    pass") == []


MOCK_TESTS = """
import asyncio
from unittest import mock
from unittest.mock import ANY, AsyncMock, Mock, call

def heard(*words, **more):
    who = Mock()
    who(*words, **more)
    return who

def test_a(): heard('news').assert_called_once_with('news')
def test_b(): heard(1, 2).assert_called_with(ANY, 2)
def test_c(): heard(key=3).assert_any_call(key=3)
def test_d(): heard().assert_called_once_with()
def test_e(): heard().assert_called()
def test_f(): heard().assert_called_once()
def test_g(): Mock().assert_not_called()
def test_h(): heard(1).assert_has_calls([call(1)])
def test_i():
    who = AsyncMock()
    asyncio.run(who(1))
    who.assert_awaited_once_with(1)
def test_j():
    who = AsyncMock()
    asyncio.run(who())
    who.assert_awaited()
"""


def test_each_of_those_mutants_fails_where_the_check_itself_passes():
    source = MOCK_TESTS.encode()
    found = {site.test: site for site in sites("t.py", source)}
    assert sorted(found) == [f"test_{letter}" for letter in "abcdefghij"]
    for name, site in found.items():
        for text, fails in ((source, False), (mutated(source, [site], Random(7)), True)):  # noqa: S311
            space: dict[str, object] = {}
            exec(compile(text, "t.py", "exec"), space)  # noqa: S102 (the text is above)
            try:
                space[name]()
                failed = False
            except AssertionError:
                failed = True
            assert failed is fails, (name, text)
