"""Answers that are not of the protocol: each must end in tamper, and nothing may run or be believed."""

from __future__ import annotations

import contextlib
import json
import os
import threading

import pytest

from unit.sandbox.splitting import split_link, split_wire

from split_proxy import TamperError  # isort: skip


def framed(frame):
    data = json.dumps(frame).encode()
    return len(data).to_bytes(4, "big") + data


def reply(value, *, kind="r", number=1, classes=(), changes=(), told=()):
    return framed([kind, number, list(classes), list(changes), list(told), value])


def klass(number=5, **over):
    record = {
        "number": number, "name": "C", "qualified": "C", "module": "cand", "bases": [], "special": [], "methods": [],
        "over": [], "abstract": [], "flags": [],
    }  # fmt: skip
    return list((record | over).values())


class Liar:
    """The other side: after each question it sends what it was told to, whatever was asked."""

    def __init__(self, *answers, wait_ms=5000, ends=False):
        self.ends = ends
        asked, ask = os.pipe()
        answered, answer = os.pipe()
        self.fds = [ask, answered]
        self.link = split_link.Link(split_wire.Pipe(answered, ask, wait_ms), ["cand"])
        self.thread = threading.Thread(target=self.lie, args=(asked, answer, answers))
        self.thread.start()

    def lie(self, asked, answer, answers):
        pipe = split_wire.Pipe(asked, answer)
        with contextlib.suppress(split_wire.WireError, BrokenPipeError):
            for data in answers:
                pipe.get()
                view = memoryview(data)
                while view:
                    view = view[os.write(answer, view) :]
            while answers and not self.ends:
                pipe.get()
            if not self.ends:
                pipe.get()
        os.close(asked)
        os.close(answer)

    def __enter__(self):
        return self.link

    def __exit__(self, *_):
        for fd in self.fds:
            os.close(fd)
        self.thread.join()


LIES = {
    "exec as a class": reply(["n", "builtins.exec"]),
    "eval": reply(["n", "builtins.eval"]),
    "type": reply(["n", "builtins.type"]),
    "a name of the library": reply(["n", "os.system"]),
    "a name with a colon": reply(["n", "builtins:exec"]),
    "a foreign module": reply(["M", "subprocess"]),
    "a module by prefix": reply(["M", "candid"]),
    "a module that is no name": reply(["M", "cand./etc"]),
    "an unknown tag": reply(["Q", 1]),
    "an object of JSON": reply({"n": 1}),
    "an object that only the other tag knows": reply(["P", 0]),
    "a lent thing never lent": reply(["L", 0]),
    "a lent thing by negative index": reply(["L", -1]),
    "a class never given": reply(["K", 7]),
    "an object of a class never given": reply(["O", 1, 7]),
    "an object numbered by text": reply(["O", "1", 5], classes=[klass()]),
    "a negative number": reply(["O", -1, 5], classes=[klass()]),
    "an int without a value": reply(["O", 1, 5], classes=[klass(bases=["builtins.int"])]),
    "an int with a text": reply(["V", 1, 5, "x"], classes=[klass(bases=["builtins.int"])]),
    "a plain class with a value": reply(["V", 1, 5, 5], classes=[klass()]),
    "an error without its parts": reply(["X", 1], kind="e"),
    "an error that is a value": reply(5, kind="e"),
    "an error of no error class": reply(["X", None, ["n", "builtins.int"], [], None, []], kind="e"),
    "an exit as an error class": reply(["X", None, ["n", "builtins.SystemExit"], [], None, []], kind="e"),
    "a base that runs code": reply(["K", 5], classes=[klass(bases=["builtins.type"])]),
    "a base that is a function": reply(["K", 5], classes=[klass(bases=["builtins.len"])]),
    "a base that exits": reply(["K", 5], classes=[klass(bases=["builtins.SystemExit"])]),
    "a class twice": reply(["K", 5], classes=[klass(), klass()]),
    "a class with a special method of its own": reply(["K", 5], classes=[klass(special=["__del__"])]),
    "a class with __getattribute__": reply(["K", 5], classes=[klass(special=["__getattribute__"])]),
    "a class of parts missing": reply(["K", 5], classes=[[5, "C"]]),
    "a class with a name of bytes": reply(["K", 5], classes=[klass(name=5)]),
    "a class with a null in its name": reply(["K", 5], classes=[klass(name="a\0b")]),
    "an abstract type that is none": reply(["K", 5], classes=[klass(abstract=["builtins.int"])]),
    "mutation of nothing": reply(None, changes=[[0, []]]),
    "mutation by negative index": reply(None, changes=[[-1, []]]),
    "an argument never given": reply(["a", 0]),
    "a warning of no warning": reply(None, told=[[["n", "builtins.ValueError"], "x"]]),
    "a warning without text": reply(None, told=[[["n", "builtins.UserWarning"], 5]]),
    "an answer to the next question": reply(1, number=2),
    "an answer numbered true": reply(1, number=True),
    "another kind": reply(1, kind="q"),
    "parts missing": framed(["r", 1]),
    "no list": framed({"r": 1}),
    "too deep": reply(json.loads("[" * 300 + "]" * 300)),
    "too long": (1 << 30).to_bytes(4, "big"),
    "no JSON": b"\0\0\0\x02zz",
    "a callback into nothing": framed(["c", 1, [], "du", 0, "__call__", [], []]),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_an_answer_that_is_not_of_the_protocol_is_tamper(lie):
    with Liar(lie, wait_ms=300) as link:
        with pytest.raises(TamperError):
            _ = link.module("cand").thing
        assert link.tamper
        first = link.tamper
        with pytest.raises(TamperError):
            _ = link.module("cand").other
        assert link.tamper == first


def test_a_truthful_liar_is_believed():
    with Liar(reply(7)) as link:
        assert link.module("cand").thing == 7
        assert link.tamper == ""


def test_a_second_answer_to_one_question_is_tamper():
    with Liar(reply(1) + reply(2, number=2)) as link:
        assert link.module("cand").thing == 1
        with pytest.raises(TamperError):
            _ = link.module("cand").thing
        assert "nobody asked" in link.tamper


def test_an_argument_cannot_change_twice_nor_one_that_was_not_given():
    for changes in ([[0, []], [0, []]], [[1, []]]):
        with Liar(reply(None, changes=changes)) as link:
            given = [1, 2]
            with pytest.raises(TamperError):
                link.ask("import", given)


HALF = b"\0\0\0\x20[1"


@pytest.mark.parametrize(
    ("answers", "ends", "says"), [([b""], False, "silent"), ([], False, "ended"), ([HALF], True, "ended")]
)
def test_silence_and_the_end_are_no_forgery_but_nothing_that_asks_ran_split_any_more(answers, ends, says):
    with Liar(*answers, wait_ms=200, ends=ends) as link:
        for times in (1, 2):
            with pytest.raises(TamperError):  # which is no Exception: no test can catch it by the way
                _ = link.module("cand").thing
            assert (link.tamper, link.unsplit, says in link.gone) == ("", times, True)


def test_one_that_ends_between_two_questions_has_not_answered_unasked():
    with Liar(reply(1), ends=True) as link:
        assert link.module("cand").thing == 1
        assert link.pipe.readable.poll(5000)  # it is closed
        with pytest.raises(TamperError):
            _ = link.module("cand").thing
        assert (link.tamper, link.gone) == ("", "the other side has ended")


def test_a_question_that_nobody_reads_ends_the_split_run_and_accuses_nobody():
    read_fd, write_fd = os.pipe()
    link = split_link.Link(split_wire.Pipe(read_fd, write_fd, 100), ["cand"])
    with pytest.raises(TamperError):
        link.ask("import", "x" * 1_000_000)
    assert (link.tamper, link.gone) == ("", "the other side stopped reading")
    os.close(read_fd)
    os.close(write_fd)


@pytest.mark.parametrize(
    "call",
    [
        ["du", 0, "__getattribute__", ["__globals__"], []],
        ["du", 0, "__len__", [], []],
        ["du", True, "__call__", [], []],
        ["run", 0, "__call__", [], []],
        ["du", 0, ["__call__"], [], []],
        ["du", 0, "__call__", [], [5, 6]],
        ["du", 0, "__call__", [["n", "builtins.exec"]], []],
    ],
)
def test_only_what_was_offered_of_a_lent_function_can_be_done(call):
    seen: list = []
    with Liar(framed(["c", 1, [], *call]), wait_ms=300) as link:
        with pytest.raises(TamperError):
            link.ask("import", lambda *args: seen.append(args))
        assert seen == []


def test_an_endless_stream_of_callbacks_ends_the_run_apart_and_no_more(monkeypatch):
    monkeypatch.setattr(split_link, "MOST_CALLBACKS", 50)
    seen: list = []
    calls = framed(["c", 1, [], "du", 0, "__call__", [], []]) * 60
    with Liar(calls) as link:
        for told in (1, 2):
            with pytest.raises(TamperError):
                link.ask("import", lambda: seen.append(1))
            assert (link.gone, link.tamper, link.unsplit) == ("more callbacks than a run may have", "", told)
    assert len(seen) == 50


@pytest.mark.parametrize("name", ["__globals__", "__code__", "__closure__", "__self__", "__dict__", "__class__"])
def test_the_inside_of_a_lent_function_stays_here(name):
    with Liar(framed(["c", 1, [], "get", 0, name, [], []]), reply(1)) as link:
        assert link.ask("import", lambda: None) == 1
        assert link.tamper == ""
