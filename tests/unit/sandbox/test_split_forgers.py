"""Candidates that accept anything, leave, hang or write on the pipe themselves: found out, or a failed test."""

from __future__ import annotations

import os
import unittest

import pytest

from unit.sandbox.splitting import link_of, linked

from split_proxy import TamperError, UnsplitError  # isort: skip

ACCEPTS = """
class Any:
    def __eq__(self, other): return True
    def __hash__(self): return 1
class NotAny(Any):
    def __ne__(self, other): return True
class Less:
    def __lt__(self, other): return True
    def __gt__(self, other): return True
class AtMost:
    def __le__(self, other): return True
    def __gt__(self, other): return True
class Looks:
    def __eq__(self, other): return isinstance(other, int)
    __hash__ = None
class Holds:
    def __contains__(self, item): return True
class Truthy:
    def __eq__(self, other): return [1]
class Meta(type):
    def __instancecheck__(cls, value): return True
class Everything(metaclass=Meta):
    _is_protocol = True
class Mapped(dict):
    def __eq__(self, other): return True
    def __len__(self): return 0
class Text(str):
    def __eq__(self, other): return True
    def __hash__(self): return str.__hash__(self)
"""


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("NotAny", lambda x: x != 5),
        ("NotAny", lambda x: x != type(x)()),
        ("Less", lambda x: x < 5),
        ("Less", lambda x: sorted([x, type(x)()])),
        ("AtMost", lambda x: x <= 5),
    ],
)
def test_a_comparison_that_contradicts_itself_is_tamper(name, attempt):
    with linked(ACCEPTS) as cand:
        thing = getattr(cand, name)()
        with pytest.raises(TamperError):
            attempt(thing)
        assert link_of(cand).tamper


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("Any", lambda x: x == 5),
        ("Any", lambda x: [1, {"k": x}] == [1, {"k": "v"}]),
        ("Any", lambda x: x != 5),
        ("Any", lambda x: x in [5]),
        ("Any", lambda x: x == x.__class__()),
        ("Any", lambda x: {1: 2}[x]),
        ("Mapped", lambda x: x == {"a": 1}),
        ("Text", lambda x: x == "abc"),
        ("Looks", lambda x: x == 5),
        ("Holds", lambda x: 5 in x),
        ("Truthy", lambda x: x == 5),
        ("Everything", lambda x: isinstance(5, type(x))),
    ],
)
def test_an_answer_that_proves_nothing_fails_the_test_and_accuses_nobody(name, attempt):
    """A class that equals everything may be honest: libraries for tests have one."""
    with linked(ACCEPTS) as cand, pytest.raises(UnsplitError):
        attempt(getattr(cand, name)())


RAISES = """
import sys, unittest
class Quit(BaseException): pass
class Skipped(Exception): pass
def leave(): sys.exit(0)
def stop(): raise KeyboardInterrupt
def close(): raise GeneratorExit
def quit(): raise Quit
def skip(): raise unittest.SkipTest("not today")
def end(): raise StopIteration
def die():
    import os
    os._exit(0)
def hang():
    while True: pass
"""


@pytest.mark.parametrize("name", ["leave", "stop", "close", "quit", "end"])
def test_exits_and_ends_arrive_as_failures(name):
    with linked(RAISES) as cand, pytest.raises(BaseException, match="the code under test raised") as told:
        getattr(cand, name)()
    assert type(told.value) is UnsplitError


def test_an_answer_that_cannot_travel_is_no_error_of_the_code():
    source = "def deep():\n    made = []\n    for _ in range(200): made = [made]\n    return made\n"
    with linked(source) as cand, pytest.raises(UnsplitError):
        cand.deep()


def test_a_skip_of_the_candidate_is_no_skip():
    with linked(RAISES) as cand:
        with pytest.raises(Exception, match="not today") as told:
            cand.skip()
        assert not isinstance(told.value, unittest.SkipTest)


def test_a_skip_that_was_handed_over_does_not_come_back_as_one():
    with linked("def throw(e): raise e\n") as cand, pytest.raises(BaseException, match="SkipTest") as told:
        cand.throw(unittest.SkipTest("x"))
    assert type(told.value) is UnsplitError


def test_dying_and_hanging_are_tamper():
    with linked(RAISES) as cand, pytest.raises(TamperError):
        cand.die()
    with linked(RAISES, wait_ms=2_000) as cand, pytest.raises(TamperError):
        cand.hang()


# Code that talks on the pipe itself, past the server, with everything that its interpreter offers.
FORGES = """
import gc, json, os, sys
wire = sys.modules["split_wire"]
pipe = next(o for o in gc.get_objects() if type(o) is wire.Pipe)
server = next(o for o in gc.get_objects() if type(o).__name__ == "Server")
def twice():
    pipe.put(["r", server.now, [], [], [], 42])
    return 41
def late():
    pid = os.fork()
    if not pid:
        pipe.put(["r", server.now + 1, [], [], [], 42])
        os._exit(0)
    os.waitpid(pid, 0)
    return 41
def value(): return 41
def code():
    pipe.put(["r", server.now, [], [], [], ["n", "builtins.exec"]])
def module():
    pipe.put(["r", server.now, [], [], [], ["M", "subprocess"]])
"""


def test_answers_written_past_the_server_are_tamper():
    for name in ("twice", "late"):
        with linked(FORGES) as cand:
            forge, value = getattr(cand, name), cand.value
            with pytest.raises(TamperError):
                assert [forge() == 42, value() == 41] == [True, True]
                value()
            assert link_of(cand).tamper
    for name in ("code", "module"):
        with linked(FORGES) as cand, pytest.raises(TamperError):
            getattr(cand, name)()


def test_a_module_cannot_say_that_it_is_a_file_of_the_tests_or_how_to_run_it():
    source = (
        "__file__ = 'tests/test_a.py'\npytestmark = ['skip']\n__test__ = True\ndef __getattr__(name): return name\n"
    )
    with linked(source) as cand:
        assert cand.__file__ == "/split/cand/__init__.py"
        assert cand.anything == "anything"
        for name in ("pytestmark", "__test__", "__unittest_skip__", "_pytestfixturefunction", "__loader__x__"):
            with pytest.raises(AttributeError):
                getattr(cand, name)


def test_nothing_in_reach_of_the_candidate_speaks_of_tests():
    told = "import sys, os\ndef seen(): return [sys.argv, sorted(sys.modules), dict(os.environ), sorted(sys.flags)]\n"
    with linked(told) as cand:
        argv, modules, env, _ = cand.seen()
    assert argv == ["app"]
    assert not [name for name in modules if "test" in name]
    assert not [name for name in env if "TEST" in name]
    with linked("def named(f): return [f.__name__, f.__qualname__]\n") as cand:

        def test_inner():
            return None

        assert cand.named(test_inner) == ["function", "function"]
        assert cand.named(lambda: None)[1] == "<lambda>"


def test_a_fork_of_the_test_process_cannot_ask():
    with linked("def value(): return 41\n") as cand:
        pid = os.fork()
        if not pid:
            try:
                cand.value()
            except UnsplitError:
                os._exit(3)
            os._exit(4)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
        assert cand.value() == 41
