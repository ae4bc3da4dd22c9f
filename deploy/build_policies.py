"""Compile policies/ into pipeline/evoguard/bundle: the rules, their tests, and the manifest that names both.

    build_policies.py                 # rebuild the shipped bundle
    build_policies.py --out FOLDER    # build beside it, to compare
    build_policies.py --capabilities  # after an OPA upgrade: refresh the declarations of the builtins that are allowed

The result depends on the sources and on OPA's version only, byte for byte.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from scan_rules import scan_rules

from evoguard import bundle
from evoguard.domain import exceptions
from evoguard.domain.canonical import digest_of

ROOT = Path(__file__).resolve().parent.parent
POLICIES = ROOT / "policies"
SHIPPED = ROOT / "pipeline" / "evoguard" / "bundle"
ENTRYPOINTS = ("evoguard/admit", "evoguard/review")
RULES = "evoguard.rules."
AT, NAME = re.compile(r"lib\.at\(\[([^\]]*)\]\)"), r'"([^"]+)"'
"""How a rule reads a field that may be missing; OPA does not follow such a path by itself."""
SEVERITIES = frozenset({"constitution", "deny", "escalate", "note"})


class Builder:
    """One OPA and one folder of policies."""

    def __init__(self, opa: Path, policies: Path) -> None:
        self.opa, self.policies = opa, policies

    def run(self, *args: str) -> bytes:
        """Return what OPA prints, run in the policies' folder so that no path of this machine gets into the result."""
        done = subprocess.run([str(self.opa), *args], cwd=self.policies, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"opa {args[0]}: {(done.stderr + done.stdout).decode(errors='replace').strip()[-3000:]}")
        return done.stdout

    def sources(self, *, tests: bool) -> list[str]:
        """Return the Rego files below the folder, sorted; with or without the tests."""
        found = sorted(path.relative_to(self.policies).as_posix() for path in self.policies.rglob("*.rego"))
        return [path for path in found if tests or not path.endswith("_test.rego")]

    def check(self) -> None:
        """Refuse sources with a typo in a field, a builtin that is not allowed, or another format."""
        files = self.sources(tests=True)
        self.run("check", "--strict", "--schema", "schema/input.json", "--capabilities", "capabilities.json", *files)
        if unformatted := self.run("fmt", "--list", *files).decode().split():
            raise SystemExit(f"opa fmt --write policies: {' '.join(unformatted)}")

    def wasm(self, entrypoints: list[str] | tuple[str, ...], *, tests: bool) -> bytes:
        """Return the compiled module with these entry points."""
        entries = [flag for entry in entrypoints for flag in ("-e", entry)]
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "bundle.tar.gz"
            self.run(
                *("build", "-t", "wasm", "--capabilities", "capabilities.json", "-o", str(out)),
                *(*entries, *self.sources(tests=tests), "data.json"),
            )
            with tarfile.open(fileobj=io.BytesIO(out.read_bytes())) as tar:
                member = tar.extractfile("/policy.wasm")
                if member is None:
                    raise SystemExit("opa build: no policy.wasm in the bundle")
                return member.read()

    def packages(self, path: str) -> tuple[str, list[str], dict[str, Any]]:
        """Return a file's package, the names of its rules and its metadata."""
        module = json.loads(self.run("parse", "--format", "json", path))
        package = ".".join(str(part["value"]) for part in module["package"]["path"][1:])
        names = [str(rule["head"]["ref"][0]["value"]) for rule in module["rules"]]
        about = [note for note in module.get("annotations", []) if note["scope"] == "package"]
        return package, names, about[0] if about else {}

    def codes(self) -> dict[str, dict[str, str]]:
        """Return code → title, severity, source; refuse a rule whose metadata does not fit its package."""
        codes: dict[str, dict[str, str]] = {}
        for path in self.sources(tests=False):
            package, _, about = self.packages(path)
            if not package.startswith(RULES):
                continue
            code, custom = package.removeprefix(RULES), about.get("custom", {})
            texts = {"title": about.get("title"), "severity": custom.get("severity"), "source": custom.get("source")}
            texts["description"] = " ".join(str(about.get("description") or "").split())
            if custom.get("code") != code or path != f"{code.replace('.', '/')}.rego" or not all(texts.values()):
                raise SystemExit(f"{path}: METADATA needs title, description, custom.code {code}, severity, source")
            if texts["severity"] not in SEVERITIES:
                raise SystemExit(f"{path}: METADATA needs one of {sorted(SEVERITIES)}")
            codes[code] = {key: str(value) for key, value in texts.items()}
        data = json.loads((self.policies / "data.json").read_text())
        listed = data["rules"]
        if sorted(codes) != listed:
            wrong = [f"add {code}" for code in sorted(codes.keys() - {*listed})]
            wrong += [f"take out {code}, which has no file" for code in sorted({*listed} - codes.keys())]
            raise SystemExit(f"data.json: `rules` lists every code, sorted, each once: {'; '.join(wrong) or 'sort it'}")
        if why := exceptions.wrong(data, codes):
            raise SystemExit("data.json: " + "; ".join(why))
        return codes

    def reads(self, code: str) -> list[str]:
        """Return what of question and data a rule looks at, by itself or through what it calls, as OPA tells it."""
        rules = [flag for path in self.sources(tests=False) for flag in ("-d", path)]
        told = json.loads(self.run("deps", *rules, "-f", "json", f"data.{RULES}{code}"))
        found = {".".join(str(part["value"]) for part in ref) for ref in told["base"]}
        text = (self.policies / f"{code.replace('.', '/')}.rego").read_text()
        found |= {f"input.{'.'.join(re.findall(NAME, path))}" for path in AT.findall(text)}
        return sorted(found - {"input", "data"})

    def tests(self) -> list[str]:
        """Return the entry point of every test rule; refuse two of one name in a file, for one would hide the other."""
        found: list[str] = []
        for path in self.sources(tests=True):
            if path.endswith("_test.rego"):
                package, names, about = self.packages(path)
                if about.get("custom", {}).get("code"):
                    raise SystemExit(f"{path}: a rule whose file is called like a test's; rename {path} and its code")
                found += [f"{package.replace('.', '/')}/{name}" for name in names if name.startswith("test_")]
        if len(set(found)) != len(found):
            raise SystemExit(f"two tests of one name: {sorted(name for name in found if found.count(name) > 1)[0]}")
        return sorted(found)

    def files(self) -> dict[str, bytes]:
        """Return the bundle: file name → bytes."""
        self.check()
        codes, tests = self.codes(), self.tests()
        version = re.search(rb"^Version: (\S+)$", self.run("version"), re.MULTILINE)
        parts = {
            bundle.WASM: self.wasm(ENTRYPOINTS, tests=False),
            bundle.TESTS: self.wasm(tests, tests=True),
            bundle.DATA: (self.policies / "data.json").read_bytes(),
            bundle.SCAN: scan_rules(self.policies / "semgrep"),
        }
        doc: dict[str, Any] = {
            "opa_version": version.group(1).decode() if version else "",
            "sources": bundle.source_digests(self.policies),
            "wasm": digest_of(parts[bundle.WASM]),
            "tests_wasm": digest_of(parts[bundle.TESTS]),
            "data": digest_of(parts[bundle.DATA]),
            "scan": digest_of(parts[bundle.SCAN]),
            "rules": sorted(codes),
            "codes": codes,
            "reads": {code: self.reads(code) for code in sorted(codes)},
            "entrypoints": list(ENTRYPOINTS),
            "tests": tests,
        }
        doc["digest"] = bundle.identity(doc)
        return {**parts, bundle.MANIFEST: (json.dumps(doc, indent=1, sort_keys=True) + "\n").encode()}


def find_opa() -> Path:
    """Return the pinned OPA, building it when it is not in the tool cache."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "deploy/tools/get.py"), "opa"], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode or not done.stdout.strip():
        raise SystemExit("build_policies: OPA could not be built; is Go on PATH?")
    return Path(done.stdout.strip())


def refresh_capabilities(builder: Builder) -> None:
    """Rewrite capabilities.json from OPA's own list, keeping exactly the builtins that it allows now."""
    path = builder.policies / "capabilities.json"
    allowed = {one["name"] for one in json.loads(path.read_text())["builtins"]}
    new = json.loads(builder.run("capabilities", "--current"))
    new["builtins"] = sorted((one for one in new["builtins"] if one["name"] in allowed), key=lambda one: one["name"])
    if lost := allowed - {one["name"] for one in new["builtins"]}:
        raise SystemExit(f"this OPA lacks {sorted(lost)}")
    path.write_text(json.dumps({**new, "allow_net": [], "future_keywords": []}, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Build, write, and print the digest that names the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opa", type=Path, help="an OPA binary instead of the pinned one")
    parser.add_argument("--policies", type=Path, default=POLICIES)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--capabilities", action="store_true")
    args = parser.parse_args()
    builder = Builder(args.opa or find_opa(), args.policies)
    if args.capabilities:
        refresh_capabilities(builder)
        return
    files = builder.files()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (args.out / name).write_bytes(raw)
    doc = json.loads(files[bundle.MANIFEST])
    sizes = ", ".join(f"{name} {len(raw):,} bytes" for name, raw in files.items())
    print(f"{doc['digest']}\n{len(doc['rules'])} rules, {len(doc['tests'])} tests; {sizes}")


if __name__ == "__main__":
    main()
