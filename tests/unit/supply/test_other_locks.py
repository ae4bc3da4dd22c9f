"""Locks of cargo, yarn and pnpm: what they hold, what is another's content, and what nobody can read."""

from __future__ import annotations

import pytest

from evoguard.supply import cargo, sbom, tree, yarn
from evoguard.supply.inspection import inspect
from unit.supply.given_trees import File, brought, looked_at

INDEX = "registry+https://index.example.org/crates"
SUM, OTHER = "a" * 64, "b" * 64
INTEGRITY = "sha512-" + "A" * 86 + "=="


def crate(name: str = "serde", version: str = "1.0.1", source: str = INDEX, checksum: str = SUM) -> str:
    return f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = "{source}"\nchecksum = "{checksum}"\n'


def entry(name: str = "left-pad", version: str = "1.3.0", host: str = "packages.example.org", held: str = "") -> str:
    at = f"https://{host}/{held or name}/-/{held or name}-{version}.tgz"
    return f'{name}@^1.0.0:\n  version "{version}"\n  resolved "{at}#abc"\n  integrity {INTEGRITY}\n\n'


def pnpm(name: str = "left-pad@1.3.0", resolution: str = f"{{integrity: {INTEGRITY}}}") -> str:
    return f"lockfileVersion: '9.0'\npackages:\n  {name}:\n    resolution: {resolution}\n"


def test_a_crate_is_held_by_its_checksum() -> None:
    (one,) = cargo.lock("Cargo.lock", crate().encode()).dependencies
    assert (one.ecosystem, one.name, one.version, one.pinned, one.origin) == (
        "crates.io", "serde", "1.0.1", "digest", "index",
    )  # fmt: skip
    assert one.digests == (f"sha256:{SUM}",)


def test_other_content_under_a_crates_version_is_rehashed() -> None:
    assert brought({"Cargo.lock": crate()}, {"Cargo.lock": crate(checksum=OTHER)}) == {"serde": "rehashed"}


def test_a_crate_of_another_index_stands_out() -> None:
    text = crate() + crate("rand") + crate("evil", source="registry+https://other.example.net/crates")
    seen = {one.name: one.origin for one in cargo.lock("Cargo.lock", text.encode()).dependencies}
    assert seen == {"serde": "index", "rand": "index", "evil": "other-index"}


def test_a_manifest_tells_patches_git_and_its_build_script() -> None:
    text = (
        '[package]\nname = "a"\nversion = "1.0.0"\nbuild = "build.rs"\n[dependencies]\nserde = "1"\n'
        'b = {git = "https://a.example/b"}\n[patch.x]\nc = {path = "c"}\n[target.y.dependencies]\nd = "=1.0.0"\n'
    )
    seen = {
        one.name: (one.origin, one.pinned, one.scripts)
        for one in cargo.manifest("Cargo.toml", text.encode()).dependencies
    }
    assert seen == {
        "serde": ("index", "floating", False), "b": ("git", "floating", False), "c": ("path", "digest", False),
        "d": ("index", "version", False), "build script build.rs": ("index", "digest", True),
    }  # fmt: skip


@pytest.mark.parametrize("text", ["[[package]]\nname = 3\n", "package = 3\n", "[[package", crate(version="one"),
                                  crate(checksum="short"), crate(name="../a")])  # fmt: skip
def test_a_cargo_lock_that_is_none_is_a_fault(text: str) -> None:
    assert looked_at({}, {"Cargo.lock": text}).faults


def test_yarn_holds_a_package_by_its_integrity() -> None:
    (one,) = yarn.yarn("yarn.lock", entry().encode()).dependencies
    assert (one.name, one.version, one.pinned, one.origin, one.digests) == (
        "left-pad", "1.3.0", "digest", "index", (INTEGRITY,),
    )  # fmt: skip


def test_yarn_from_elsewhere_or_of_another_package_stands_out() -> None:
    text = entry() + entry("right-pad") + entry("a-b", host="files.example.net") + entry("c-d", held="evil")
    seen = {one.name: one.origin for one in yarn.yarn("yarn.lock", text.encode()).dependencies}
    assert seen == {"left-pad": "index", "right-pad": "index", "a-b": "other-index", "c-d": "mismatch"}


def test_a_later_yarn_tells_its_aliases_and_ways() -> None:
    text = (
        "__metadata:\n  version: 8\n"
        f'"a@npm:^1":\n  version: 1.0.0\n  resolution: "a@npm:1.0.0"\n  checksum: 10c0/{"c" * 128}\n'
        '"b@git+https://x.example/b":\n  version: 1.0.0\n'
        f'  resolution: "b@https://x.example/b.git#commit={"d" * 40}"\n'
        '"w@workspace:.":\n  version: 0.0.0-use.local\n  resolution: "w@workspace:."\n  linkType: soft\n'
    )
    read = yarn.yarn("yarn.lock", text.encode())
    assert read.faults == ()
    assert {one.name: (one.origin, one.pinned) for one in read.dependencies} == {
        "a": ("index", "digest"), "b": ("git", "digest"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [entry() + entry(), "left-pad@^1\n", entry(version="one"), "\tx:\n", " a b\n", '../x@1:\n  version "1.0.0"\n',
     entry().replace("  resolved", '  version "2.0.0"\n  resolved')],
)  # fmt: skip
def test_a_yarn_lock_that_is_none_is_a_fault(text: str) -> None:
    assert looked_at({}, {"yarn.lock": text}).faults


@pytest.mark.parametrize(
    "name", ["left-pad@1.3.0", "/left-pad@1.3.0", "/left-pad/1.3.0", "'left-pad@1.3.0(react@1.0.0)'"]
)
def test_pnpm_holds_a_package_under_each_way_to_write_it(name: str) -> None:
    (one,) = yarn.pnpm("pnpm-lock.yaml", pnpm(name).encode()).dependencies
    assert (one.name, one.version, one.pinned, one.origin) == ("left-pad", "1.3.0", "digest", "index")


def test_pnpm_from_a_tarball_of_another_package_stands_out() -> None:
    odd = "{tarball: https://files.example.net/evil/-/evil-1.3.0.tgz}"
    (one,) = yarn.pnpm("pnpm-lock.yaml", pnpm(resolution=odd).encode()).dependencies
    assert one.origin == "mismatch"


@pytest.mark.parametrize("text", [pnpm() + "packages: {}\n", "packages: 3\n", "packages: &a {x: *a}\n", "{",
                                  pnpm("'../x@1'"),
                                  pnpm("left-pad@one")])  # fmt: skip
def test_a_pnpm_lock_that_is_none_is_a_fault(text: str) -> None:
    assert looked_at({}, {"pnpm-lock.yaml": text}).faults


def test_crates_stand_in_the_bill_and_are_looked_up() -> None:
    files = {"Cargo.lock": File(crate().encode())}
    bill = sbom.document(tree.read(files, {}), name="a", commit="b")
    assert "pkg:cargo/serde@1.0.1" in str(bill)
    rows = [{"path": "Cargo.lock", "old_path": "", "status": "added"}]
    assert ("crates.io", "serde") in inspect({}, files, rows, {"repo": "a", "base": "b", "head": "c"}).asked()
