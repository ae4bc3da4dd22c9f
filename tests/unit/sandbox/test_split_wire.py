"""The codec of a split run: what goes in comes out, and hostile bytes build nothing but data."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import json
import math
import os
import pathlib
import re
import types
import uuid
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.sandbox.splitting import split_wire as wire

import split_stock as stock  # isort: skip


class NoSide:
    """A side without objects of its own."""

    level = 0
    unpackers: ClassVar[dict] = {}

    def pack(self, out, value):
        raise AssertionError(f"no plain value: {type(value)}")


def crossed(value):
    packed = json.loads(json.dumps(wire.Pack(NoSide()).value(value)))
    return wire.Unpack(NoSide()).value(packed)


KEYS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.binary(max_size=8))
LEAVES = st.one_of(
    KEYS,
    st.floats(allow_nan=False),
    st.datetimes(timezones=st.just(datetime.UTC)),
    st.dates(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.uuids(),
    st.binary(max_size=8).map(bytearray),
    st.complex_numbers(allow_nan=False),
    st.ranges() if hasattr(st, "ranges") else st.just(range(1, 9, 2)),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
        st.lists(inner, max_size=3).map(collections.deque),
    ),
    max_leaves=12,
)


def kinds(value):
    """Return the type of a value and of all within it."""
    inner = [*value.items()] if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
    return [type(value), *(kinds(part) for part in inner)]


@given(VALUES)
@settings(deadline=None)
def test_a_plain_value_comes_out_as_it_went_in(value):
    assert crossed(value) == value
    assert kinds(crossed(value)) == kinds(value)


@pytest.mark.parametrize(
    "value",
    [
        ...,
        NotImplemented,
        slice(1, None, 2),
        1 << 4000,
        -(1 << 63),
        "\ud800",
        datetime.time(3, 4, 5, 6, fold=1),
        datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2), "X")),
        decimal.Decimal("-0.00"),
        fractions.Fraction(1, 3),
        uuid.UUID(int=7),
        pathlib.PurePosixPath("a/b"),
        pathlib.PurePath("a").joinpath("c"),
        re.compile("a+", re.I),
        re.compile(b"a+"),
        collections.OrderedDict([(2, 1), (1, 2)]),
        collections.Counter("aab"),
        collections.defaultdict(None, {1: [2]}),
        types.MappingProxyType({1: 2}),
    ],
)
def test_rarer_values_cross_too(value):
    got = crossed(value)
    assert got == value
    assert repr(got) == repr(value)


def test_views_of_a_dictionary_cross_as_views():
    rates = {"a": [1], "b": [2]}
    assert crossed(rates.keys()) == rates.keys()
    assert crossed({"a": 1}.items()) == {"a": 1}.items()
    assert list(crossed(rates.values())) == [[1], [2]]
    views = (rates.keys(), rates.values(), rates.items())
    assert [type(view) for view in crossed(views)] == [type(view) for view in views]


def test_signed_zero_infinity_and_nan_survive():
    assert math.copysign(1, crossed(-0.0)) == -1
    assert crossed(math.inf) == math.inf
    assert math.isnan(crossed(math.nan))


def test_a_container_that_is_met_twice_or_holds_itself_stays_one():
    inner: list = [1]
    looped: list = [inner, inner]
    looped.append(looped)
    got = crossed(looped)
    assert got[0] is got[1]
    assert got[2] is got


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.tuples(st.sampled_from(sorted(wire.UNPACKERS)), inner, inner).map(list),
        st.tuples(st.sampled_from(sorted(wire.UNPACKERS)), inner).map(list),
        st.dictionaries(st.text(max_size=3), inner, max_size=2),
    ),
    max_leaves=20,
)


@given(JSON)
@settings(deadline=None, max_examples=500)
def test_no_json_makes_the_reading_fail_in_another_way_or_builds_code(packed):
    try:
        got = wire.Unpack(NoSide()).value(packed)
    except (wire.WireError, *wire.BROKEN):
        return
    assert not callable(got)


@pytest.mark.parametrize(
    "packed",
    [
        [],
        {},
        {"n": 1},
        ["Q"],
        ["exec", "1"],
        [["l"]],
        ["r", 0],
        ["r", -1],
        ["r", True],
        ["a", 0],
        ["a", -1],
        ["b", "not base64!"],
        ["i", 5],
        ["l", None, 5],
        ["l", None],
        ["d", None, [1]],
        ["s", None, [["l", None, []]]],
        ["fr", 1, 0],
        ["dt", 0, 0, 0, 0, 0, 0, 0, None, 0],
        ["re", "(", 0],
        ["re", 5, 0],
        ["dd", 5, []],
        ["mp", "ab"],
    ],
)
def test_what_is_not_of_the_wire_is_refused(packed):
    with pytest.raises((wire.WireError, *wire.BROKEN)):
        wire.Unpack(NoSide()).value(packed)


def test_depth_is_bounded_both_ways():
    deep: list = []
    for _ in range(wire.MOST_DEPTH + 1):
        deep = [deep]
    with pytest.raises(wire.DepthError):
        wire.Pack(NoSide()).value(deep)
    packed: list = ["t"]
    for _ in range(wire.MOST_DEPTH + 1):
        packed = ["t", packed]
    with pytest.raises(wire.WireError):
        wire.Unpack(NoSide()).value(packed)


def test_a_pattern_never_prints_its_own_debug_output(capsys):
    wire.Unpack(NoSide()).value(["re", "a", int(re.DEBUG)])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff" + b"x" * 10,
        b"\0\0\0\x05hello",
        b"\0\0\0\x02{}",
        b"\0\0\0\x02[]",
        b"\0\0\0\x09[1",
        (200_000).to_bytes(4, "big") + b"[" * 200_000,
        b"",
    ],
)
def test_a_stream_that_is_no_frame_is_refused(data):
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read_fd)
        while data:
            data = data[os.write(write_fd, data) :]
        os._exit(0)
    os.close(write_fd)
    try:
        with pytest.raises(wire.WireError):
            wire.Pipe(read_fd, read_fd).get()
    finally:
        os.close(read_fd)
        os.waitpid(pid, 0)


def test_a_frame_over_the_bound_is_refused_before_it_is_read():
    read_fd, write_fd = os.pipe()
    os.write(write_fd, (wire.MOST_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(wire.WireError, match="over the bound"):
        wire.Pipe(read_fd, write_fd, 100).get()
    os.close(read_fd)
    os.close(write_fd)


RUNS_CODE = {
    "exec",
    "eval",
    "compile",
    "__import__",
    "open",
    "type",
    "getattr",
    "setattr",
    "delattr",
    "vars",
    "globals",
}
RUNS_CODE |= {
    "locals",
    "input",
    "breakpoint",
    "exit",
    "quit",
    "print",
    "super",
    "classmethod",
    "staticmethod",
    "memoryview",
}


def test_nothing_that_runs_code_or_ends_a_process_has_a_name_on_the_wire():
    names = {name.partition(".")[2] for name in stock.NAMED}
    assert not names & RUNS_CODE
    assert not names & {"SystemExit", "KeyboardInterrupt", "GeneratorExit", "attrgetter", "methodcaller", "itemgetter"}
    homes = {name.partition(".")[0] for name in stock.NAMED}
    assert not homes & {
        "os",
        "sys",
        "subprocess",
        "importlib",
        "pickle",
        "marshal",
        "ctypes",
        "unittest",
        "shutil",
        "io",
    }
