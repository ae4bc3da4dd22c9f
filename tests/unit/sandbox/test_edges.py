"""The values at which a change may answer otherwise, and the calls that ask there."""

from __future__ import annotations

from evoguard_sandbox.reviewing.differential_calls import Call
from evoguard_sandbox.reviewing.edges import MOST_EDGES, at_edges, edges
from evoguard_sandbox.trees import Entry


def tree(code: str, name: str = "src/a.py") -> dict[str, Entry]:
    return {name: Entry("file", code.encode())}


def none(_: str) -> bool:
    return False


def test_edges_are_what_the_source_has_more_or_less_of_and_what_is_beside_it():
    base, now = tree("f = 3\nx = 'a'\n"), tree("f = 3\nif q >= 100: x = 'a' + 'b'\n")
    assert sorted(map(str, edges(base, now, none))) == ["100", "101", "99", "b"]
    assert edges(base, now, lambda path: path.endswith("a.py")) == ()
    assert edges(base, base, none) == ()
    assert sorted(edges(tree("x = 2.5\n"), {}, none)) == [1.5, 2.5, 3.5]


def test_edges_are_bounded_and_nothing_unreadable_gives_any():
    many = "\n".join(f"x = {n}" for n in range(0, 1000, 5))
    assert len(edges({}, tree(many), none)) == MOST_EDGES
    for code in ("x = (", "x = 1e999\ny = -1e999 - 1e999\n", f"x = {10**16}\n", f"x = {'a' * 200!r}\n"):
        assert edges({}, tree(code), none) == ()


def test_each_function_is_asked_at_each_edge_of_the_same_type_in_turn():
    calls = [
        Call("m", "f", (1, "a")),
        Call("m", "f", (2, "b")),
        Call("m", "g", (), (("n", 5),)),
        Call("m", "h", (True,)),
    ]
    made = at_edges(calls, (100, "x"), 10)
    assert [call.text() for call in made] == ["m.f(100, 'a')", "m.g(n=100)", "m.f(1, 'x')"]
    assert len(at_edges(calls, (100, "x"), 2)) == 2
