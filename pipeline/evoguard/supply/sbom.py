"""Bills of material in CycloneDX 1.5 JSON, of one tree, and what two of them differ in.

The same tree gives the same bytes: no time, no random serial number; what the document is about is named by its digest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from evoguard.domain.canonical import Json, canonical, digest_of
from evoguard.supply.licences import choices
from evoguard.supply.tree import Tree
from evoguard.supply.types import Dependency, short

SPEC = "1.5"
_TYPES = {
    "PyPI": "pypi",
    "npm": "npm",
    "Go": "golang",
    "crates.io": "cargo",
    "GitHub Actions": "github",
    "docker": "docker",
}
_HEX = re.compile(r"(sha256|sha384|sha512):([0-9a-f]{64,128})\Z")
_NAMES = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}
_SPDX = re.compile(r"[A-Za-z0-9.+-]+\Z")
MOST_HASHES = 20


def document(tree: Tree, *, name: str, commit: str) -> Mapping[str, Json]:
    """Return the bill of one tree: each package once by name and version, with where each was named."""
    rows: dict[str, list[Dependency]] = {}
    for one in sorted(tree.dependencies, key=lambda d: (d.ecosystem, d.name, d.version, d.path, d.line)):
        if not one.own and not (one.origin == "other-index" and one.said.startswith(("-", "tool."))):
            rows.setdefault(purl(one), []).append(one)
    components: list[Json] = [_component(ref, found) for ref, found in sorted(rows.items())]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX", "specVersion": SPEC, "version": 1,
        "serialNumber": _serial(name, commit, components),
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "evoguard"}]},
            "component": {"type": "application", "bom-ref": "subject", "name": name, "version": commit},
        },
        "components": components,
        "compositions": [{"aggregate": "incomplete" if tree.faults or tree.bounded else "complete"}],
    }  # fmt: skip


def difference(base: Mapping[str, Json], head: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return what was added, removed and changed between two bills, by package without its version."""
    old, new = _versions(base), _versions(head)
    changed: list[Json] = [
        {"package": one, "before": [*old[one]], "after": [*new[one]]} for one in sorted(old.keys() & new.keys())
        if old[one] != new[one]
    ]  # fmt: skip
    return {
        "added": [{"package": one, "after": [*new[one]]} for one in sorted(new.keys() - old.keys())],
        "removed": [{"package": one, "before": [*old[one]]} for one in sorted(old.keys() - new.keys())],
        "changed": changed,
    }


def purl(one: Dependency) -> str:
    """Return a package URL. Source: package-url specification, types pypi, npm, golang, github and docker."""
    kind = _TYPES[one.ecosystem]
    name = quote(one.name, safe="/") if one.ecosystem != "npm" else quote(one.name, safe="/").replace("@", "%40")
    version = one.version or (one.spec.rpartition("@")[2] if one.ecosystem in ("docker", "GitHub Actions") else "")
    return f"pkg:{kind}/{name}" + (f"@{quote(version, safe='')}" if version else "")


def _component(ref: str, rows: Sequence[Dependency]) -> Mapping[str, Json]:
    first = rows[0]
    told = next((one.licence for one in rows if one.licence), "")
    hashes = _hashes([digest for one in rows for digest in one.digests])
    places: list[Json] = [
        {"name": "evoguard:named-in", "value": short(f"{one.path}:{one.line}")} for one in rows[:MOST_HASHES]
    ]
    return {
        "type": "container" if first.ecosystem == "docker" else "library", "bom-ref": ref, "name": short(first.said),
        **({"version": short(first.version)} if first.version else {}), "purl": ref,
        **({"hashes": hashes} if hashes else {}), **({"licenses": _licences(told)} if told else {}),
        "properties": [*places, {"name": "evoguard:origin", "value": first.origin},
                       {"name": "evoguard:pinned", "value": first.pinned}],
    }  # fmt: skip


def _licences(told: str) -> list[Json]:
    """Return an expression where it is one; what is none is told as a name, for nobody may take it for an id."""
    return [{"expression": told}] if choices(told) and _SPDX.match(told) is None else [{"license": {"name": told}}]


def _hashes(digests: Sequence[str]) -> Sequence[Json]:
    found = [match for digest in sorted(set(digests)) if (match := _HEX.match(digest))]
    return [
        {"alg": _NAMES[one.group(1)], "content": one.group(2)} for one in found
        if len(one.group(2)) == _LENGTH[one.group(1)]
    ][:MOST_HASHES]  # fmt: skip


def _versions(bill: Mapping[str, Json]) -> dict[str, list[str]]:
    rows, found = bill.get("components"), dict[str, set[str]]()
    for row in rows if isinstance(rows, Sequence) and not isinstance(rows, str) else ():
        if isinstance(row, Mapping):
            package = str(row.get("purl", "")).partition("@")[0]
            found.setdefault(package, set()).add(str(row.get("purl", "")).partition("@")[2])
    return {package: sorted(versions) for package, versions in found.items()}


def _serial(name: str, commit: str, components: Sequence[Json]) -> str:
    """Return a serial number made of the content: a UUID of version 8 (RFC 9562), whose bits are ours to choose."""
    digest = digest_of(canonical([name, commit, components])).removeprefix("sha256:")
    return f"urn:uuid:{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
