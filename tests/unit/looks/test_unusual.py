"""All looks at a change come through one door, which is bounded, reads each file once and never fails open."""

from __future__ import annotations

from evoguard.domain.scan import Hit
from evoguard.looks import unusual as door
from evoguard.looks.trees import pruned
from evoguard.looks.unusual import MOST_OF_ONE, SETTINGS, UNREAD, unusual

CODE = "def keep(x):\n    return x\n\n\ndef may(user):\n    return user.is_admin\n"


def told(old: str, new: str, path: str = "src/a.py") -> list[str]:
    return [hit.rule for hit in unusual({path: old.encode()}, {path: new.encode()}, [(path, path)])]


def test_every_look_is_asked() -> None:
    old = "MAX_A = 1\n@admin\ndef f(user, x):\n    store.keep(x)\n"
    new = "MAX_A = 2\ndef f(user, x):\n    print(user.password)\n"
    assert told(old, new) == ["guard.decorator_gone", "limit.loosened", "leak.named_secret", "turn.effect_gone"]
    assert told(CODE, CODE.replace("is_admin", "name")) == ["guard.changed"]
    assert told("a = urandom(3)\n", "a = b\n") == ["guard.fewer_checks", "guard.changed"]


def test_settings_of_package_managers_are_told_where_they_change() -> None:
    assert told("a\n", "registry=b\n", "web/.npmrc") == [SETTINGS]
    assert told("", "[source]\n", ".cargo/config.toml") == [SETTINGS]
    assert told("a\n", "a\n", ".npmrc") == []


def test_of_one_rule_only_so_many_are_told() -> None:
    many = "".join(f"MAX_A{n} = 1\n" for n in range(50))
    assert told(many, many.replace("= 1", "= 2")) == ["limit.loosened"] * MOST_OF_ONE


def test_what_is_too_deep_is_told() -> None:
    deep = "def f(a):\n    if " + "-" * 3_000 + "a:\n        return 1\n    return 2\n"
    chain = "def f(a):\n    if " + " + ".join(["a"] * 3_000) + " > 4:\n        return 1\n    g()\n    return 2\n"
    assert told("", deep)
    assert told("def f(a):\n    g()\n    return 2\n", chain)


def test_a_function_that_did_not_change_is_not_read_again_unless_what_changed_calls_it() -> None:
    new = CODE.replace("is_admin", "name")
    trees = pruned({"a.py": CODE.encode()}, {"a.py": new.encode()}, [("a.py", "a.py")])
    assert {owner for _, owner in trees.head.nodes("a.py", b"")} == {"", "may"}
    new = new.replace("user.name", "keep(user)")
    trees = pruned({"a.py": CODE.encode()}, {"a.py": new.encode()}, [("a.py", "a.py")])
    assert any(owner == "keep" for _, owner in trees.head.nodes("a.py", b""))


def test_a_look_that_fails_is_no_pass(monkeypatch: object) -> None:
    def fails(*_: object) -> list[Hit]:
        raise RecursionError

    monkeypatch.setattr(door, "turns", fails)  # type: ignore[attr-defined]  # pytest's own type is not needed here
    assert told("x = 1\n", "x = 2\n") == [UNREAD]
