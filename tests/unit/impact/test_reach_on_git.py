"""What a change reaches, on real repositories: by imports that are written out, by place, by owner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from evoguard.adapters.git.mirror import Fetched
from evoguard.adapters.git.reach import GitImpact
from evoguard.adapters.git.sources import GitSources
from evoguard.adapters.syntax import SyntaxReader
from evoguard.domain.component import parse
from evoguard.domain.reach import Reach
from evoguard.impact.owners import MOST_PATHS, UNREAD
from given_git import Source, a_fetched_change

SHOP: dict[str, str] = {
    "shop/__init__.py": "",
    "shop/price.py": "import decimal\n\ndef net(x):\n    return x\n\ndef gross(x):\n    return net(x) * 2\n",
    "shop/cart.py": "from shop.price import gross\n\ndef total(xs):\n    return sum(map(gross, xs))\n",
    "shop/web.py": "from . import cart\n",
    "shop/unrelated.py": "import json\n",
    "tests/test_cart.py": "from shop.cart import total\n",
    "tests/test_other.py": "import json\n",
}
RULES = b"""version = 1
[component.cart]
paths = ["shop/cart.py"]
flag = "cart"
[component.web]
paths = ["shop/web.py"]
[component.other]
paths = ["shop/unrelated.py"]
flag = "other"
"""


async def reach_of(tmp: Path, change: Mapping[str, str | None], base: Mapping[str, str] = SHOP) -> Reach:
    source = Source(tmp / "source", base)
    source.commit(change, branch="topic")
    return await reach_in(tmp, source)


async def reach_in(tmp: Path, source: Source, reader: SyntaxReader | None = None) -> Reach:
    from evoguard.adapters.git.mirror import Mirror

    fetched = await Mirror(tmp / "repos").fetch(source.path, head="topic", base="main")
    return await asked(GitImpact(tmp / "repos", reader=reader), tmp, fetched)


async def asked(impact: GitImpact, tmp: Path, fetched: Fetched) -> Reach:
    diff = await GitSources(tmp / "repos").diff(fetched.repo, fetched.base, fetched.head)
    return await impact.reach(fetched.repo, fetched.base, fetched.head, diff=diff, rules=parse(RULES))


def paths(reach: Reach) -> dict[str, int]:
    return {one.path: one.distance for one in reach.dependants}


async def test_dependants_are_followed_to_tests_components_and_flags(tmp_path: Path) -> None:
    changed = SHOP["shop/price.py"].replace("net(x) * 2", "net(x) * 3")
    reach = await reach_of(tmp_path, {"shop/price.py": changed})
    assert paths(reach) == {"shop/cart.py": 1, "shop/web.py": 2, "tests/test_cart.py": 2}
    assert reach.symbols == {"shop/price.py": ("gross",)}
    assert reach.dependants[0].names == ("gross",)
    assert reach.tests == ("tests/test_cart.py",)
    assert (reach.components, reach.flags) == (("cart", "web"), ("cart",))
    assert reach.unknown == {}


async def test_a_removed_file_still_has_its_dependants(tmp_path: Path) -> None:
    assert "shop/cart.py" in paths(await reach_of(tmp_path, {"shop/price.py": None}))


async def test_a_new_file_that_takes_the_name_of_a_library_reaches_who_imports_that(tmp_path: Path) -> None:
    reach = await reach_of(tmp_path, {"json.py": "loads = eval\n"})
    assert set(paths(reach)) == {"shop/unrelated.py", "tests/test_other.py"}


async def test_files_that_import_each_other_end(tmp_path: Path) -> None:
    ring = {f"m{n}.py": f"import m{(n + 1) % 50}\n" for n in range(50)}
    assert len(paths(await reach_of(tmp_path, {"m7.py": "import m8, m9\n"}, ring))) == 49


async def test_a_conftest_reaches_the_tests_below_it(tmp_path: Path) -> None:
    base = {**SHOP, "tests/deep/test_x.py": "", "other/test_y.py": "", "tests/conftest.py": "x = 1\n"}
    reach = await reach_of(tmp_path, {"tests/conftest.py": "x = 2\n"}, base)
    assert set(reach.tests) == {
        "tests/conftest.py", "tests/test_cart.py", "tests/test_other.py", "tests/deep/test_x.py",
    }  # fmt: skip


async def test_owners_are_those_of_the_base(tmp_path: Path) -> None:
    owners = "* @all\n/shop/ @shop # us\n*.md @docs\n"
    reach = await reach_of(
        tmp_path,
        {"shop/price.py": "x = 1\n", "a/b.md": "hello\n", "x.go": "package x\n", "CODEOWNERS": "* @mallory\n"},
        {**SHOP, "CODEOWNERS": owners},
    )
    assert reach.owners == {
        "CODEOWNERS": ("@all",), "a/b.md": ("@docs",), "shop/price.py": ("@shop",), "x.go": ("@all",),
    }  # fmt: skip
    assert reach.owner_groups == (("CODEOWNERS", ("@all",)), ("a/b.md", ("@docs",)), ("shop/price.py", ("@shop",)))


@pytest.mark.parametrize(
    "owners",
    ["".join(f"/f{n} @a\n" for n in range(1_001)), "# " + "x" * (2 << 20) + "\n* @a\n"],
    ids=["rules", "bytes"],
)
async def test_owners_that_are_too_many_to_read_are_nobodys_rather_than_none(tmp_path: Path, owners: str) -> None:
    reach = await reach_of(tmp_path, {"shop/price.py": "x = 1\n"}, {**SHOP, "CODEOWNERS": owners})
    assert reach.owner_groups == (("shop/price.py", (UNREAD,)),)


async def test_without_a_file_of_owners_nobody_is_asked(tmp_path: Path) -> None:
    assert (await reach_of(tmp_path, {"shop/price.py": "x = 1\n"}, SHOP)).owner_groups == ()


async def test_what_lies_behind_many_paths_is_not_taken_for_unowned(tmp_path: Path) -> None:
    many = {f"docs/{n:03}.txt": "x\n" for n in range(MOST_PATHS)}
    reach = await reach_of(tmp_path, {**many, "z.py": "x = 1\n"}, {**SHOP, "CODEOWNERS": "z.py @shop\n"})
    assert reach.owner_groups == (("z.py", (UNREAD,)),)


@pytest.mark.parametrize(
    "text",
    [
        "def broken(:\n", "x = " + "-" * 100_000 + "1\n", "x = " + "(" * 50_000 + ")" * 50_000 + "\n",
        "x = " + "a." * 60_000 + "b\n", "x = " + "1+" * 60_000 + "1\n", "x = 1\n" * 200_000, "\0", "x = '\\ud800'\n\0",
        "".join(f"{' ' * n}if x:\n" for n in range(99)) + " " * 99 + "pass\n" * 2 + "import (", "import a\n" * 5_000,
    ],
    ids=["syntax", "unary", "brackets", "attributes", "sum", "huge", "nul", "nul-late", "indent", "imports"],
)  # fmt: skip
async def test_a_file_that_cannot_be_read_is_named_and_reads_no_other_file_away(tmp_path: Path, text: str) -> None:
    reach = await reach_of(tmp_path, {"shop/price.py": text})
    assert "shop/price.py" in reach.unknown
    assert paths(reach)["shop/cart.py"] == 1  # the names of the file are its path's: they need no reading


async def test_an_unread_file_of_the_base_counts_where_it_may_use_the_change(tmp_path: Path) -> None:
    base = {**SHOP, "old/two.py": "print 'two'; import price\n", "old/three.py": "print 'three'; import json\n"}
    reach = await reach_of(tmp_path, {"shop/price.py": "x = 1\n"}, base)
    assert set(reach.unknown) == {"old/two.py"}


async def test_what_there_was_no_time_for_is_unknown(tmp_path: Path) -> None:
    source = Source(tmp_path / "source", SHOP)
    source.commit({"shop/price.py": "x = 1\n"}, branch="topic")
    assert "shop/price.py" in (await reach_in(tmp_path, source, SyntaxReader(wall_s=0))).unknown


async def test_more_python_than_can_be_read_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evoguard.adapters.git.reach.MOST_PYTHON", 5)
    assert "(the tree)" in (await reach_of(tmp_path, {"shop/price.py": "x = 1\n"})).unknown


async def test_names_that_a_change_brings_with_it_lose_nobody(tmp_path: Path) -> None:
    """`src/__init__.py` would make `src` a package, under which nobody imports; packages are those of the base."""
    base = {"src/shop/__init__.py": "", "src/shop/price.py": "x = 1\n", "app.py": "import shop.price\n"}
    reach = await reach_of(tmp_path, {"src/__init__.py": "", "src/shop/price.py": "x = 2\n"}, base)
    assert "app.py" in paths(reach)


async def test_a_file_under_another_name_has_the_users_of_both(tmp_path: Path) -> None:
    source = Source(tmp_path / "source", {**SHOP, "use.py": "import alias\n"})
    (source.path / "alias.py").symlink_to("shop/price.py")
    source.commit({})
    source.commit({"shop/price.py": "x = 1\n"}, branch="topic")
    found = paths(await reach_in(tmp_path, source))
    assert (found["alias.py"], found["use.py"]) == (1, 2)


async def test_a_folder_under_another_name_is_not_known(tmp_path: Path) -> None:
    source = Source(tmp_path / "source", {**SHOP, "use.py": "import store.price\n"})
    (source.path / "store").symlink_to("shop")
    source.commit({})
    source.commit({"shop/price.py": "x = 1\n"}, branch="topic")
    assert "store" in (await reach_in(tmp_path, source)).unknown


async def test_more_text_than_can_be_held_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evoguard.adapters.git.reach.MOST_READ_BYTES", 100)
    reach = await reach_of(tmp_path, {f"new{n}.py": f"x = {n}  # {'y' * 60}\n" for n in range(3)}, {"a.py": "x = 1\n"})
    assert set(reach.unknown) == {"new1.py", "new2.py"}


async def test_an_unread_file_may_use_a_module_whose_name_is_no_ascii(tmp_path: Path) -> None:
    base = {"größe.py": "x = 1\n", "old.py": "print 'x'; import größe\n"}
    assert "old.py" in (await reach_of(tmp_path, {"größe.py": "x = 2\n"}, base)).unknown


async def test_a_second_change_is_told_the_same_from_what_is_kept(tmp_path: Path) -> None:
    _, fetched = await a_fetched_change(tmp_path, {"app.py": "import lib.tool\n", "lib/tool.py": "y = 2\n"})
    impact = GitImpact(tmp_path / "repos")
    assert await asked(impact, tmp_path, fetched) == await asked(impact, tmp_path, fetched)
