"""The codec of the supervisor's stream, and the reading of the runner's reports."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoguard_sandbox.judging.facts import read
from evoguard_sandbox.rooms import frames
from evoguard_sandbox.rooms.box import Seen
from evoguard_sandbox.shown import shown

KEY = "k" * 32


@given(st.lists(st.tuples(st.sampled_from(sorted(frames.KINDS)), st.binary(max_size=200))), st.integers(1, 64))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(sent, step):
    stream = b"".join(frames.pack(kind, payload) for kind, payload in sent)
    reader = frames.FrameReader()
    got = [frame for n in range(0, len(stream), step) for frame in reader.feed(stream[n : n + step])]
    assert got == sent
    assert reader.left_bytes == 0


@pytest.mark.parametrize("bad", [b"Z\0\0\0\0", b"R\xff\xff\xff\xff", b"hello"])
def test_a_stream_that_is_not_the_supervisors_is_refused(bad):
    with pytest.raises(frames.FrameError):
        list(frames.FrameReader().feed(bad))


@pytest.mark.parametrize(("kind", "size"), [(b"Z", 1), (b"R", frames.MAX_FRAME_BYTES + 1)])
def test_a_frame_that_could_not_be_read_is_not_written(kind, size):
    with pytest.raises(frames.FrameError):
        frames.pack(kind, b"x" * size)


def reports(*values, key=KEY):
    return [json.dumps({**value, "n": n, "key": key}).encode() for n, value in enumerate(values)]


TEST = {"k": "test", "id": "t.py::a", "o": "passed", "ms": 1, "why": ""}
END = {"k": "end", "status": 0}


def facts(payloads):
    return read(Seen(outcome="finished", exit_status=0, reports=payloads), KEY)


def test_true_reports_are_read_and_the_run_came_to_its_end():
    seen = facts(reports({"k": "found", "count": 1}, TEST, END))
    assert (seen.forged, seen.found, seen.ended_early) == ("", 1, False)
    assert seen.outcome_of() == {"t.py::a": "passed"}


def test_the_test_that_had_been_begun_is_known_without_a_report_of_its_own():
    begun = {"k": "found", "count": 2, "next": "t.py::a"}
    assert facts(reports(begun)).running == "t.py::a"
    assert facts(reports(begun, {**TEST, "next": "t.py::b"})).running == "t.py::b"
    assert facts(reports(begun, {**TEST, "next": ""}, END)).running == ""
    assert facts(reports({**TEST, "next": "\x1b[2J"})).running.isprintable()


@pytest.mark.parametrize(
    ("payloads", "says"),
    [
        (reports(TEST, END, key="guess"), "without this run's key"),
        (reports(TEST, TEST, END), "two reports of one test"),
        (reports(END, TEST), "after the last one"),
        (reports(TEST)[:1] * 2, "out of sequence"),
        (reports({**TEST, "o": "splendid"}), "does not have"),
        (reports({"k": "other"}), "unknown kind"),
        (reports({"k": "test"}), "no report"),
        ([b"[1]"], "without this run's key"),
        ([b"\xff\xfe"], "no report"),
        ([b"[" * 50_000], "no report"),
        ([b"null"], "without this run's key"),
    ],
)
def test_a_report_that_cannot_be_true_is_called_forged(payloads, says):
    assert says in facts(payloads).forged


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_bytes_make_the_reading_fail(payloads):
    assert facts(payloads).tests == ()


@pytest.mark.parametrize(("end", "status", "early"), [(None, 0, True), (1, 0, True), (0, 1, True), (0, 0, False)])
def test_only_an_end_that_the_kernel_confirms_is_an_end(end, status, early):
    payloads = reports(TEST, *([] if end is None else [{"k": "end", "status": end}]))
    assert read(Seen(outcome="finished", exit_status=status, reports=payloads), KEY).ended_early is early


@given(st.text())
def test_shown_text_is_bounded_and_acts_on_no_terminal(text):
    out = shown(text, 40)
    assert len(out) <= 40
    assert out.isprintable()
