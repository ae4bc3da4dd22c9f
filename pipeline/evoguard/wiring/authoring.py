"""The author's verbs put together: which OPA, which bundle, which state. Nothing here is activated."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from evoguard import bundle
from evoguard.adapters import bundles, keys, tool_cache
from evoguard.authoring import (
    builder,
    catalogue,
    editor,
    folder,
    formatting,
    lint,
    modules,
    mutating,
    structure,
    template,
    testing,
)
from evoguard.authoring.opa import MEND, at_work
from evoguard.authoring.problem import refuse
from evoguard.domain.canonical import Json
from evoguard.errors import ConfigError, InputError

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


def opa_path(named: Path | None = None) -> Path:
    """Return OPA: the one named, EVOGUARD_OPA's, the newest of the tool cache, PATH's. Raises: ConfigError."""
    said = named or (Path(os.environ["EVOGUARD_OPA"]) if os.environ.get("EVOGUARD_OPA") else None)
    if said is not None:
        if said.is_file() and os.access(said, os.X_OK):
            return said
        raise ConfigError(f"policy: {said} is no program", code="policy.opa", fix=MEND)
    cached = (path for path in (tool_cache.cache() / "tools").glob("opa-*/opa") if os.access(path, os.X_OK))
    newest = max(cached, key=lambda path: (_version(path), path.stat().st_mtime), default=None)
    found = newest or shutil.which("opa")
    if found is None:
        raise ConfigError("policy: OPA is missing; it checks, compiles and tests rules", code="policy.opa", fix=MEND)
    return Path(found)


def docs(place: Path | None, source: Path | None, opa: Path | None) -> str:
    """Return the catalogue page of a policy folder, else of a bundle, by default the one that ships.

    Raises: InputError, ConfigError, IntegrityError.
    """
    if place is None:
        manifest = bundle.load(bundle_folder(source)).manifest
        return catalogue.page(manifest.codes, manifest.reads, manifest.digest)
    sources = folder.read(place)
    with at_work(opa_path(opa), sources) as asked:
        refuse(asked.check())
        found = structure.examine(sources, modules.read(asked))
        refuse(found.problems)
        return catalogue.page(found.codes, {code: builder.reads(asked, code) for code in found.codes})


def bundle_folder(path: Path | None) -> Path | None:
    """Return a bundle's folder as it is named, None for the shipped one. Raises: InputError when it is none."""
    if path is not None and not (path / bundle.MANIFEST).is_file():
        raise InputError(
            f"policy: {path} is not a folder with a bundle", code="policy.bundle",
            fix="`evoguard policy build SOURCES --out FOLDER` builds one",
        )  # fmt: skip
    return path


def init(place: Path, source: Path | None) -> dict[str, Json]:
    """Write the sources of a bundle, by default the one that ships, into a new folder.

    Raises: InputError when the folder is not empty; IntegrityError when the bundle does not hold.
    """
    home = bundle_folder(source)
    texts = bundle.sources(home)
    if strange := [path for path in texts if not bundle.is_source(path)]:
        raise InputError(
            f"policy: the bundle has a source that is none: {strange[0][:200]!r}", code="policy.path",
            fix="start from a bundle that you trust",
        )  # fmt: skip
    written = folder.make(place, {**texts, **editor.files()})
    return {"folder": str(place), "from": bundle.load(home).manifest.digest, "files": [*written]}


def new(code: str, place: Path, severity: str) -> dict[str, Json]:
    """Write a rule and its test from a template and list its code. Raises: InputError; then nothing is written."""
    return {"code": code, "severity": severity, "files": [*template.add(folder.read(place), code, severity)]}


def fmt(place: Path, opa: Path | None, *, check: bool) -> dict[str, Json]:
    """Lay the Rego files out as `opa fmt` does, or only tell which ones are not. Raises: InputError, ConfigError."""
    found = formatting.laid_out(opa_path(opa), folder.read(place), write=not check)
    return {"folder": str(place), "files": [*found], "written": not check}


def linted(place: Path, opa: Path | None) -> lint.Linted:
    """Return every problem of a policy folder. Raises: InputError, ConfigError."""
    regal = lint.find_regal(tool_cache.cache() / "tools")
    return lint.lint(opa_path(opa), folder.read(place), capabilities=_capabilities(), regal=regal)


def tested(place: Path, opa: Path | None) -> testing.Tested:
    """Return what the tests of a policy folder say and cover. Raises: InputError, ConfigError."""
    return testing.run(opa_path(opa), folder.read(place))


def mutated(
    place: Path | None, opa: Path | None, *, rules: Collection[str], sample: int, seed: int,
    told: Callable[[int, int, int], None] = lambda *_: None,
) -> mutating.Judged:  # fmt: skip
    """Return what the tests say of rules broken on purpose; without a folder, of the sources that ship.

    Raises: InputError, ConfigError, UnavailableError.
    """
    binary = opa_path(opa)
    sources = folder.Sources(Path(), bundle.sources()) if place is None else folder.read(place)
    return mutating.mutate(binary, sources, rules=rules, sample=sample, seed=seed, told=told)


def build(place: Path, out: Path, opa: Path | None, *, sign_with: Path | None = None) -> dict[str, Json]:
    """Compile a policy folder to a bundle in another folder, and sign its digest with a private key where one is named.

    Raises: InputError with the place of what is wrong first, ConfigError without OPA; then nothing is written.
    """
    key = keys.load_private(sign_with) if sign_with is not None else None
    made = builder.Builder(opa_path(opa), place)
    refuse(structure.wider(made.sources, _capabilities()))
    files = made.files()
    builder.write(files, out)
    if key is not None:
        digest = bundle.load(out).manifest.digest
        (out / bundle.SIGNATURE).write_bytes(bundles.signature(digest, key))
    doc = json.loads(files[bundle.MANIFEST])
    return {
        "bundle": str(doc["digest"]), "folder": str(out), "rules": len(doc["rules"]), "tests": len(doc["tests"]),
        "opa": str(doc["opa_version"]),
        "signed_with": keys.fingerprint(key.public_key()) if key is not None else "",
        "bytes": {name: len(raw) for name, raw in sorted(files.items())},
    }  # fmt: skip


def verify(place: Path, public_pem: bytes) -> dict[str, Json]:
    """Return the bundle that a key signed, proved file by file and by its signature.

    Raises: IntegrityError, AuthError; InputError for a folder without a bundle or without a signature, or for no key.
    """
    key = keys.load_public(public_pem)
    bundle_folder(place)
    digest, raw = bundle.load(place).manifest.digest, bundles.signature_in(place)
    bundle.sources(place)
    if raw is None:
        raise InputError(
            f"policy: {place} is not signed", code="policy.unsigned", fix="`evoguard policy build … --sign-with KEY`"
        )
    bundles.signed_by(raw, digest, {"": key})
    return {"verified": True, "bundle": digest, "key": keys.fingerprint(key)}


def _capabilities() -> str:
    return bundle.sources()[folder.CAPABILITIES]


def _version(path: Path) -> tuple[int, ...]:
    found = _VERSION.search(path.parent.name)
    return tuple(int(part) for part in found.groups()) if found else ()
