"""npm's manifest and lock say what npm installs; where they disagree, or could be read two ways, is a fault."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evoguard.supply.semver import parse, satisfies
from unit.supply.given_trees import brought, faults, looked_at

HOST = "https://registry.example"
OTHER, BARE = HOST.replace("registry", "other"), HOST.replace("https", "http")


def entry(name: str, version: str = "1.0.0", **more: Any) -> dict[str, Any]:  # noqa: ANN401  (JSON)
    bare = name.rpartition("/")[2]
    return {
        "version": version, "resolved": f"{HOST}/{name}/-/{bare}-{version}.tgz",
        "integrity": "sha512-" + "A" * 86 + "==", "license": "MIT", **more,
    }  # fmt: skip


def lock(asked: dict[str, str], **packages: Any) -> str:  # noqa: ANN401  (JSON)
    rows = {"": {"dependencies": asked}, "node_modules/lodash": entry("lodash", "4.17.21")}
    rows |= {f"node_modules/{name}": about for name, about in packages.items()}
    return json.dumps({"lockfileVersion": 3, "packages": rows})


def tree(asked: dict[str, str], **packages: Any) -> dict[str, str]:  # noqa: ANN401  (JSON)
    return {"package.json": json.dumps({"dependencies": asked}), "package-lock.json": lock(asked, **packages)}


BASE = tree({"lodash": "^4.17.0"})


def test_a_new_package_is_one_row_with_licence_and_pin() -> None:
    asked = {"lodash": "^4.17.0", "evil": "^1.0.0"}
    (one,) = looked_at(BASE, tree(asked, evil=entry("evil", hasInstallScript=True))).brought
    told = one.dependency
    assert (told.name, one.change, told.pinned, told.licence, told.scripts) == ("evil", "added", "digest", "MIT", True)
    assert told.origin == "index"


def test_a_transitive_package_is_seen() -> None:
    head = tree({"lodash": "^4.17.0"}, **{"lodash/node_modules/evil": entry("evil")})
    assert brought(BASE, head) == {"evil": "added"}


@pytest.mark.parametrize(
    ("about", "origin"),
    [
        ({"resolved": f"{OTHER}/evil/-/evil-1.0.0.tgz"}, "other-index"),
        ({"resolved": f"{HOST}/other/-/other-1.0.0.tgz"}, "mismatch"),
        ({"resolved": f"{HOST}/evil/-/evil-2.0.0.tgz"}, "mismatch"),
        ({"resolved": f"{BARE}/evil/-/evil-1.0.0.tgz"}, "insecure"),
        ({"resolved": "git+ssh://git@a.example/evil.git#" + "a" * 40}, "git"),
        ({"resolved": "file:../evil"}, "path"),
    ],
)  # fmt: skip
def test_where_an_entry_comes_from(about: dict[str, str], origin: str) -> None:
    (one,) = looked_at(BASE, tree({"lodash": "^4.17.0"}, evil=entry("evil", **about))).brought
    assert one.dependency.origin == origin


@pytest.mark.parametrize(
    ("spec", "origin", "pinned"),
    [
        ("^1.0.0", "index", "floating"), ("1.0.0", "index", "version"), ("latest", "index", "floating"),
        ("user/repo", "git", "floating"), ("git+https://a.example/x.git#" + "a" * 40, "git", "digest"),
        ("https://a.example/x.tgz", "url", "floating"), ("http://a.example/x.tgz", "insecure", "floating"),
        ("file:../x", "path", "floating"), ("", "index", "floating"),
    ],
)  # fmt: skip
def test_a_manifest_without_a_lock(spec: str, origin: str, pinned: str) -> None:
    (one,) = looked_at({}, {"package.json": json.dumps({"dependencies": {"evil": spec}})}).brought
    assert (one.dependency.origin, one.dependency.pinned) == (origin, pinned)


def test_an_alias_is_told_under_both_names() -> None:
    (one,) = looked_at({}, {"package.json": json.dumps({"dependencies": {"lodash": "npm:evil@1.0.0"}})}).brought
    assert (one.change, one.dependency.name, one.dependency.alias) == ("renamed", "evil", "lodash")


@pytest.mark.parametrize("table", ["overrides", "resolutions", "peerDependencies", "optionalDependencies"])
def test_no_table_is_forgotten(table: str) -> None:
    assert "evil" in brought({}, {"package.json": json.dumps({table: {"evil": "1.0.0"}})})


def test_an_override_inside_another_is_seen() -> None:
    head = {"package.json": json.dumps({"overrides": {"a": {".": "1.0.0", "b": {"evil": "1.0.0"}}}})}
    assert set(brought({}, head)) == {"a", "evil"}


@pytest.mark.parametrize("hook", ["preinstall", "install", "postinstall", "prepare"])
def test_a_script_that_runs_at_installation(hook: str) -> None:
    (one,) = looked_at(
        BASE, {**BASE, "package.json": BASE["package.json"][:-1] + f', "scripts": {{"{hook}": "x"}}}}'}
    ).brought
    assert (one.dependency.scripts, one.dependency.own) == (True, True)


@pytest.mark.parametrize(
    "text",
    [
        '{"dependencies": {"evil": "1.0.0", "evil": "2.0.0"}}', '{"dependencies": {}, "dependencies": {"evil": "1"}}',
        '{"dependencies": []}', "[]", "{", '{"dependencies": {"evil": 7}}', "NaN", '{"x": Infinity}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_manifest_that_readers_take_differently_is_a_fault(text: str) -> None:
    assert faults({"package.json": text})


@pytest.mark.parametrize(
    "text",
    [
        "{}", '{"lockfileVersion": 9, "packages": {}}', '{"lockfileVersion": true, "packages": {}}',
        '{"lockfileVersion": 3}', '{"lockfileVersion": 3, "packages": {"node_modules/x": 7}}',
        '{"lockfileVersion": 3, "packages": {"node_modules/x": {"version": 7}}}',
        '{"lockfileVersion": 3, "packages": {"node_modules/x": {}}}',
        '{"lockfileVersion": 3, "packages": {"node_modules/x y": {"version": "1.0.0"}}}',
        '{"lockfileVersion": 1, "dependencies": []}',
    ],
)  # fmt: skip
def test_a_lock_that_is_none_is_a_fault(text: str) -> None:
    assert faults({"package-lock.json": text})


@pytest.mark.parametrize(
    "head",
    [
        {**BASE, "package.json": json.dumps({"dependencies": {"lodash": "^5.0.0"}})},
        {**BASE, "package.json": json.dumps({"dependencies": {"lodash": "^4.17.0", "evil": "1.0.0"}})},
        tree({"lodash": "^5.0.0"}),
        tree({"lodash": "^4.17.0", "absent": "1.0.0"}),
    ],
)
def test_a_lock_that_its_manifest_contradicts_is_a_fault(head: dict[str, str]) -> None:
    assert faults(head, BASE)


def test_the_two_tables_of_a_lock_must_agree() -> None:
    doc = json.loads(BASE["package-lock.json"])
    doc |= {"lockfileVersion": 2, "dependencies": {"lodash": {"version": "4.17.21"}, "evil": {"version": "1.0.0"}}}
    assert faults({**BASE, "package-lock.json": json.dumps(doc)}, BASE)


def test_a_lock_by_another_name_is_read() -> None:
    text = lock({"lodash": "^4.17.0"}, evil=entry("evil"))
    assert brought(BASE, {"package.json": BASE["package.json"], "deps.json": text}) == {
        "evil": "added",
        "lodash": "changed",
    }


def test_an_old_lock_is_read() -> None:
    old = {"lockfileVersion": 1, "dependencies": {"a": {**entry("a"), "dependencies": {"evil": entry("evil")}}}}
    assert set(brought({}, {"package-lock.json": json.dumps(old)})) == {"a", "evil"}


def test_a_byte_order_mark_and_line_ends_hide_nothing() -> None:
    text = json.dumps({"dependencies": {"evil": "1.0.0"}}, indent=1).replace("\n", "\r\n")
    assert "evil" in brought({}, {"package.json": b"\xef\xbb\xbf" + text.encode()})


@pytest.mark.parametrize(
    ("version", "spec", "told"),
    [
        ("1.2.3", "^1.0.0", True), ("2.0.0", "^1.0.0", False), ("0.2.5", "^0.2.3", True), ("0.3.0", "^0.2.3", False),
        ("0.0.4", "^0.0.3", False), ("1.2.9", "~1.2.3", True), ("1.3.0", "~1.2.3", False), ("1.5.0", "1.x", True),
        ("1.5.0", "1.2.0 - 1.9", True), ("1.2.3", ">=1.2.3 <2", True), ("2.0.0", "<2 || >=2.0.0", True),
        ("1.10.0", ">=1.9.0", True), ("1.0.0-beta", "^1.0.0", False), ("1.0.0-beta.2", ">=1.0.0-beta.1", True),
        ("1.2.3", "latest", None), ("nonsense", "^1", None), ("3.0.0", "*", True), ("1.3.0", ">1.2", True),
        ("1.2.9", "<=1.2", True), ("1.0.0", "", True), ("1.2.3", "git://x", None),
    ],
)  # fmt: skip
def test_ranges(version: str, spec: str, told: bool | None) -> None:
    assert satisfies(version, spec) is told


def test_versions_in_order() -> None:
    order = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"]
    keys = [parse(version) for version in order]
    assert None not in keys
    assert keys == sorted(keys)  # type: ignore[type-var]  # none is None
