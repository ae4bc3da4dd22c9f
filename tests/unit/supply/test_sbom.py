"""Bills of material: the same tree, the same bytes; what two of them differ in; licences as choices."""

from __future__ import annotations

import json
import re

import pytest

from evoguard.domain.canonical import canonical
from evoguard.supply import sbom
from evoguard.supply.inspection import Inspection
from evoguard.supply.licences import choices
from unit.supply.given_trees import HASH, Told, looked_at

LOCK = {
    "lockfileVersion": 3,
    "packages": {"node_modules/@a/b": {"version": "1.0.0", "license": "(MIT OR Apache-2.0)", "integrity": "sha512-x"}},
}
TREE = {
    "requirements.txt": f"evil==1 {HASH}\nother>=1\ngit+https://a.example/x.git#egg=third\n--index-url https://a.example\n",
    "package-lock.json": json.dumps(LOCK), "Dockerfile": "FROM python:3.11@sha256:" + "a" * 64 + "\n",
    "package.json": '{"scripts": {"postinstall": "x"}}',
}  # fmt: skip


def bills(base: Told, head: Told) -> Inspection:
    return looked_at(base, head)


def test_the_same_tree_gives_the_same_bytes() -> None:
    one, other = bills({}, TREE).head, bills({}, dict(reversed(TREE.items()))).head
    assert one is not None
    assert other is not None
    assert canonical(one) == canonical(other)
    assert bills(TREE, TREE).base != bills(TREE, TREE).head  # another commit is another document


def test_what_a_bill_holds() -> None:
    bill = bills({}, TREE).head
    assert bill is not None
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(bill["serialNumber"]))
    rows = {row["purl"]: row for row in bill["components"]}  # type: ignore[union-attr, index, call-overload]  # our own JSON
    assert set(rows) == {
        "pkg:pypi/evil@1", "pkg:pypi/other", "pkg:pypi/third", "pkg:npm/%40a/b@1.0.0",
        "pkg:docker/python@sha256%3A" + "a" * 64,
    }  # fmt: skip
    assert rows["pkg:pypi/evil@1"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert rows["pkg:npm/%40a/b@1.0.0"]["licenses"] == [{"expression": "(MIT OR Apache-2.0)"}]


def test_a_bill_of_what_could_not_be_read_says_so() -> None:
    bill = bills({}, {"requirements.txt": "a b c\n"}).head
    assert bill is not None
    assert bill["compositions"] == [{"aggregate": "incomplete"}]


def test_what_two_bills_differ_in() -> None:
    found = bills({"requirements.txt": "a==1\nb==1\nc==1\n"}, {"requirements.txt": "a==1\nb==2\nd==1\n"})
    assert found.base is not None
    assert found.head is not None
    assert sbom.difference(found.base, found.head) == {
        "added": [{"package": "pkg:pypi/d", "after": ["1"]}],
        "removed": [{"package": "pkg:pypi/c", "before": ["1"]}],
        "changed": [{"package": "pkg:pypi/b", "before": ["1"], "after": ["2"]}],
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("MIT", (("MIT",),)), ("MIT OR Apache-2.0", (("MIT",), ("Apache-2.0",))),
        ("MIT AND BSD-3-Clause", (("BSD-3-Clause", "MIT"),)),
        ("MIT OR (ISC AND Zlib)", (("MIT",), ("ISC", "Zlib"))),
        ("(MIT OR ISC) AND Zlib", (("MIT", "Zlib"), ("ISC", "Zlib"))),
        ("GPL-2.0-only WITH Classpath-exception-2.0", (("GPL-2.0-only WITH Classpath-exception-2.0",),)),
        ("", ()), ("SEE LICENSE IN x", ()), ("MIT OR", ()), ("(MIT", ()), ("MIT)", ()), ("MIT, ISC", ()), ("AND", ()),
        ("a OR " * 60 + "a", ()), ("(" * 150, ()), (" AND ".join(["(a OR b OR c)"] * 4), ()), ("MIT WITH", ()),
    ],
)  # fmt: skip
def test_licence_expressions(text: str, told: tuple[tuple[str, ...], ...]) -> None:
    assert choices(text) == told
