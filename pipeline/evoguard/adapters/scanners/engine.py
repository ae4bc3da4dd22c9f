"""Semgrep's native engine: which one it is, believed by its content only, and the one command that it is started with.

A cache of native code that somebody else can write to owns the guard. So the folder's digest is pinned here; its first
use in a process hashes every byte, each later one compares sizes, times and inodes with those.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from evoguard.domain.canonical import Digest, Json, digest_of
from evoguard.errors import IntegrityError
from evoguard_sandbox import Job, Limits

NAME = "semgrep 1.182.0"
PINNED: Mapping[str, str] = {
    "x86_64": "sha256:a7083af33c312ec2c987c2fa06eb6b55edcc4505351709b3d9de12ce60880e71",
    "aarch64": "sha256:a46ee597f2ac6b1073f0026f99f5ce71282231d96b4bc9dbe07de3883fec9709",
}
"""Machine → digest of {path: SHA-256} of what deploy/tools/semgrep-layer.sh takes out of the wheel."""
PROGRAM, RULES, ANCHOR = "/opt/deps/0/osemgrep", "rules.json", "anchor.pem"
LIMITS = Limits(wall_s=60, memory_bytes=3 << 30, address_bytes=6 << 30, output_bytes=16 << 20)
HEAP = "s=4M,d=4"
"""The engine's OCaml runtime: 32 MiB that are collected apart, for at most four domains. With the 2 MiB of its default
the domains wait for each other so often that a scan in gVisor takes more than twice as long."""
RULE_S = 5
"""How long one rule may take on one file; what took longer was not read."""
NOBODY = """-----BEGIN CERTIFICATE-----
MIIBDTCBtaADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBm5vYm9keTAe
Fw0yMDAxMDEwMDAwMDBaFw0yMDAxMDIwMDAwMDBaMBExDzANBgNVBAMMBm5vYm9k
eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNqxVCmBJF7hac/Urhw4dfqHDjjo
fRHxKhlCcThyVGFub0HtK8ogwVIqhkcaCB2Tld2X6+bLHTtzuG1Zux9SMzkwCgYI
KoZIzj0EAwIDRwAwRAIgYA0xUKE6qk0ANWmHVLTuF7jPZerXThNO2GcTtgC1/J0C
IAgniMATv9x2Maed1RA7MTIOtw1B5Po5DqpZxfNEyAvC
-----END CERTIFICATE-----
"""
"""The engine does not start without a trust anchor. This one has run out, its key is gone, and there is no network."""
_KNOWN: dict[Path, tuple[str, Digest]] = {}
_HASHING = threading.Lock()


def job(layer: Path, files: Mapping[str, tuple[int, bytes]], rules: bytes, trees: Sequence[str]) -> Job:
    """Return the scan of `trees`, folders of `files`, as a job: no file can switch a rule or a look at itself off."""
    asked = {**files, RULES: (0o100644, rules), ANCHOR: (0o100644, NOBODY.encode())}
    words = ("--metrics=off", "--disable-version-check", "--disable-nosem", "--x-ignore-semgrepignore-files")
    bounds = ("--no-git-ignore", "--max-target-bytes=0", f"--timeout={RULE_S}", "--timeout-threshold=0", "--jobs=2")
    env = ("/usr/bin/env", f"SSL_CERT_FILE={ANCHOR}", f"OCAMLRUNPARAM={HEAP}", "SEMGREP_SETTINGS_FILE=/tmp/semgrep.yml")
    start = (*env, PROGRAM, "scan", "--experimental", "--json", "--quiet")
    return Job((*start, *words, *bounds, "--config", RULES, *trees), asked, (layer,))


def told(stdout: bytes) -> Mapping[str, Json] | None:
    """Return the engine's answer, or None when it is not one."""
    try:
        doc = json.loads(stdout)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(doc, dict) and all(isinstance(doc.get(name), list) for name in ("results", "errors"))
    return doc if whole and isinstance(doc.get("paths"), dict) else None


def verify(layer: Path, pinned: str | None = None) -> Digest:
    """Return the digest of the engine in `layer`. Raises: IntegrityError when it is not the pinned one."""
    wanted = PINNED.get(platform.machine(), "") if pinned is None else pinned
    with _HASHING:
        try:
            seen = digest_of([list(row) for row in _rows(layer)])
            known = _KNOWN.get(layer)
            found = known[1] if known and known[0] == seen else _hashed(layer)
        except OSError as err:
            raise _changed(layer, "cannot be read") from err
        if found != wanted:
            raise _changed(layer, "holds another engine than the one that is pinned")
        _KNOWN[layer] = (seen, found)
        return found


def _hashed(layer: Path) -> Digest:
    sums: dict[str, Json] = {}
    for path, *_ in _rows(layer):
        with open(layer / path, "rb") as file:
            sums[path] = hashlib.file_digest(file, "sha256").hexdigest()
    return digest_of(sums)


def _rows(layer: Path) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield every file with what the kernel tells of it. Raises: IntegrityError for what is no plain file of ours."""
    for folder, folders, names in os.walk(layer):
        folders.sort()
        for name in (*folders, *sorted(names)):
            path = Path(folder, name)
            seen = path.lstat()
            if seen.st_uid not in (0, os.geteuid()) or seen.st_mode & 0o022:
                raise _changed(layer, f"{name} can be written by others")
            if stat.S_ISREG(seen.st_mode):
                yield str(path.relative_to(layer)), seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino
            elif not stat.S_ISDIR(seen.st_mode):
                raise _changed(layer, f"{name} is no plain file")


def _changed(layer: Path, why: str) -> IntegrityError:
    return IntegrityError(
        f"semgrep's engine in {layer}: {why}", code="scan.tool_changed",
        fix="remove the folder, find out who wrote to it, and run `make setup` again",
    )  # fmt: skip
