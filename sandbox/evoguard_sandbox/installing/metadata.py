"""What a wheel says of itself: it must be the package of the lock's line, list its own files truly, and fit the others.

Installers believe much of this; here it is compared. Nothing of it is run.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.parser import BytesHeaderParser

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from evoguard_sandbox.installing.locks import normal
from evoguard_sandbox.shown import shown
from evoguard_sandbox.types import LayerError

HASHES = ("sha256", "sha384", "sha512")
SIGNATURES = ("RECORD", "RECORD.jws", "RECORD.p7s")
MOST_METADATA_BYTES = 4 << 20
BROUGHT = frozenset({"pytest", "pluggy", "iniconfig", "packaging", "pygments"})
UNLOCKED = frozenset({"pip", "setuptools", "wheel", "distribute"})
"""What lock writers leave out unless they are told otherwise."""
REPAIR = "pin another release of it"


@dataclass(frozen=True, slots=True)
class Told:
    """What one wheel's METADATA says: its name, version, and what it wants."""

    name: str
    version: str
    requires_python: str
    requires: tuple[str, ...]


def check_own(file: str, package: tuple[str, str], members: Sequence[str], contents: Mapping[str, bytes]) -> Told:
    """Return what a wheel says of itself when it is `package` and its RECORD is true.

    `members` are all its files, `contents` those that are used, both by their name in the archive.
    Raises: LayerError `layer.other_package` or `layer.bad_wheel`.
    """
    (info,) = {path.partition("/")[0] for path in members if path.partition("/")[0].endswith(".dist-info")}
    told = _metadata(file, contents.get(f"{info}/METADATA"))
    own = info.removesuffix(".dist-info").rpartition("-")
    for where, name, version in (("METADATA", told.name, told.version), ("its folder", own[0], own[2])):
        if normal(name) != normal(package[0]) or not same_version(version, package[1]):
            text = f"{shown(file)} was refused: {where} says {shown(name)} {shown(version)}, the lock says otherwise"
            raise LayerError("layer.other_package", text, "write the lock again, and look at what changed")
    _check_record(file, info, members, contents)
    return told


def same_version(one: str, other: str) -> bool:
    """Tell whether two versions are one release, however they are spelled."""
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def check_together(told: Sequence[Told], target: str) -> None:
    """Return when the packages of a layer want nothing that is not among them, and this Python.

    `target` is the interpreter in its own words: cache tag, three numbers, platform. What the runner brings and what
    lock writers leave out is not asked for. Raises: LayerError `layer.requires_python` or `layer.unresolved`.
    """
    words = target.split()
    version = ".".join(words[1:4])
    here = {normal(one.name): one.version for one in told}
    setting = {**default_environment(), "python_version": ".".join(words[1:3]), "python_full_version": version}
    for one in told:
        if one.requires_python and not _within(one.requires_python, version):
            text = (
                f"{shown(one.name)} {shown(one.version)} wants Python {shown(one.requires_python)}; here is {version}"
            )
            raise LayerError(
                "layer.requires_python", text, "pin a release for this Python, or run evoguard on that one"
            )
        for wanted in one.requires:
            _check_wanted(one, wanted, here, {**{k: str(v) for k, v in setting.items()}, "extra": ""})


def check_project(pyproject: bytes, version: str) -> None:
    """Return when a project's own `requires-python`, if it has one that can be read, is met by `version`.

    Raises: LayerError `layer.requires_python`.
    """
    try:
        project = tomllib.loads(pyproject.decode("utf-8")).get("project", {})
        wants = str(project.get("requires-python", "")) if isinstance(project, dict) else ""
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return  # whoever builds it complains better
    if wants and not _within(wants, version):
        text = f"the project wants Python {shown(wants)}; its tests run on {version}"
        raise LayerError("layer.requires_python", text, "run evoguard on a Python that the project supports")


def _check_wanted(one: Told, wanted: str, here: Mapping[str, str], setting: dict[str, str]) -> None:
    try:
        need = Requirement(wanted)
        if need.marker is not None and not need.marker.evaluate(setting):
            return
    except (InvalidRequirement, ValueError, LookupError):
        return  # written for another installer; what is missing is seen when it is imported
    name = normal(need.name)
    if name in BROUGHT | UNLOCKED:
        return
    found = here.get(name)
    if found is None or (need.specifier and not _within(str(need.specifier), found)):
        has = f"has {shown(found)}" if found else "has none"
        text = f"the lock does not resolve: {shown(one.name)} wants {shown(wanted, 80)}, the lock {has}"
        raise LayerError("layer.unresolved", text, "write the lock anew from what the project asks for")


def _within(specifier: str, version: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return True


def _metadata(file: str, data: bytes | None) -> Told:
    if data is None or len(data) > MOST_METADATA_BYTES:
        raise LayerError("layer.bad_wheel", f"{shown(file)} was refused: it has no METADATA", REPAIR)
    head = BytesHeaderParser().parsebytes(data)
    names, versions = head.get_all("Name", []), head.get_all("Version", [])
    if len(names) != 1 or len(versions) != 1:
        raise LayerError("layer.bad_wheel", f"{shown(file)} was refused: its METADATA names no one release", REPAIR)
    requires = tuple(str(value) for value in head.get_all("Requires-Dist", []))
    return Told(str(names[0]).strip(), str(versions[0]).strip(), str(head.get("Requires-Python", "")), requires)


def _check_record(file: str, info: str, members: Sequence[str], contents: Mapping[str, bytes]) -> None:
    """Every file is listed once, every listed file is there, and what is used has the hash that the list says."""
    record = contents.get(f"{info}/RECORD")
    if record is None:
        raise LayerError("layer.bad_wheel", f"{shown(file)} was refused: it has no RECORD", REPAIR)
    try:
        rows = [row for row in csv.reader(io.StringIO(record.decode("utf-8"), newline="")) if row]
        listed = {row[0]: row[1] for row in rows}
    except (UnicodeDecodeError, csv.Error, IndexError) as err:
        raise LayerError("layer.bad_wheel", f"{shown(file)} was refused: its RECORD is no list", REPAIR) from err
    signed = {f"{info}/{name}" for name in SIGNATURES}
    present = {path for path in members if not path.endswith("/")}
    wrong = sorted((present ^ listed.keys()) - signed)
    wrong += [path for path, data in contents.items() if path not in signed and not _hashed(listed.get(path, ""), data)]
    if wrong or len(listed) != len(rows):
        what = shown(wrong[0]) if wrong else "a file twice"
        raise LayerError("layer.record_lies", f"{shown(file)} was refused: its RECORD is not true of {what}", REPAIR)


def _hashed(told: str, data: bytes) -> bool:
    kind, _, value = told.partition("=")
    if kind not in HASHES or not re.fullmatch(r"[A-Za-z0-9_-]{20,}", value):
        return False
    return base64.urlsafe_b64encode(hashlib.new(kind, data).digest()).rstrip(b"=").decode() == value
