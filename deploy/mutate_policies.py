"""Break each rule on purpose, one small edit at a time, and see whether a test of the rules goes red.

    mutate_policies.py                 # every edit of every rule (a few minutes)
    mutate_policies.py --sample 40     # so many of them, drawn by --seed
    mutate_policies.py change/secret   # one rule

Edits, each of one line of a body or head as `opa fmt` lays them out: a condition dropped, a condition turned into its
opposite, a comparison moved by one or turned round, a number one higher, a set of findings renamed. What no longer
compiles is no mutant. Exit status 1 when fewer than 95 % are killed.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from build_policies import POLICIES, find_opa

LEAST_PERCENT = 95.0
TURNED = {" == ": " != ", " != ": " == ", " < ": " <= ", " <= ": " < ", " > ": " >= ", " >= ": " > "}
RENAMED = {
    "deny contains": "notes contains",
    "escalate contains": "notes contains",
    "notes contains": "escalate contains",
}
NUMBER = re.compile(r"(?<![\w.\"])(\d+)(?![\w.\"])")
LEFT_ALONE = ("package ", "import ", "#", "some ", "}", "else", "default ")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edit: the file, the line (from 1), what stood there, what stands there now."""

    path: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.path}:{self.line}: {self.before.strip()}  ->  {self.after.strip() or '(dropped)'}"


def mutants(path: str, text: str) -> Iterator[Mutant]:
    """Yield every edit of a rule's source."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        bare = line.strip()
        if not bare or bare.startswith(LEFT_ALONE):
            continue
        for after in dict.fromkeys(_edits(line, bare)):
            yield Mutant(path, at + 1, line, after)


def _edits(line: str, bare: str) -> Iterator[str]:
    inside = line.startswith("\t") and not bare.endswith(("{", "(", "[", ","))
    if inside and ":=" not in bare and '": "' not in bare:
        yield ""
        yield line.replace(bare, bare.removeprefix("not ") if bare.startswith("not ") else f"not {bare}")
    for old, new in {**TURNED, **RENAMED}.items():
        if old in line:
            yield line.replace(old, new, 1)
    for number in NUMBER.finditer(line):
        yield f"{line[: number.start(1)]}{int(number.group(1)) + 1}{line[number.end(1) :]}"


def every(rules: Collection[str] = ()) -> list[Mutant]:
    """Return every edit of these rules (`area/name`), of all when none is named."""
    paths = [p for p in sorted(POLICIES.rglob("*.rego")) if not p.name.endswith("_test.rego")]
    names = [p.relative_to(POLICIES).as_posix() for p in paths]
    chosen = [name for name in names if not rules or name.removesuffix(".rego") in rules]
    return [mutant for name in chosen for mutant in mutants(name, (POLICIES / name).read_text())]


def judged(opa: Path, mutant: Mutant) -> str:
    """Return `killed`, `survived`, or `invalid` when it does not compile."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "p"
        shutil.copytree(POLICIES, tree, ignore=shutil.ignore_patterns("semgrep", "*.md"))
        lines = (tree / mutant.path).read_text().splitlines()
        lines[mutant.line - 1] = mutant.after
        (tree / mutant.path).write_text("\n".join(lines) + "\n")
        words = ("--schema", "schema/input.json", "--capabilities", "capabilities.json")
        if subprocess.run([opa, "check", *words, "."], cwd=tree, capture_output=True, check=False).returncode:
            return "invalid"
        done = subprocess.run([opa, "test", "."], cwd=tree, capture_output=True, check=False, timeout=120)
        return "killed" if done.returncode else "survived"


def main() -> int:
    """Break the rules and print what survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rules", nargs="*", help="area/name of rules; else all")
    parser.add_argument("--sample", type=int, default=0, help="how many mutants; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    opa, made = find_opa(), every(asked.rules)
    if asked.sample and asked.sample < len(made):
        made = random.Random(asked.seed).sample(made, asked.sample)  # noqa: S311
    with ThreadPoolExecutor(2) as pool:
        told = list(zip(made, pool.map(lambda mutant: judged(opa, mutant), made), strict=True))
    survived = [mutant for mutant, word in told if word == "survived"]
    killed = sum(word == "killed" for _, word in told)
    for mutant in survived:
        print(f"survived {mutant}")
    percent = 100 * killed / max(1, killed + len(survived))
    invalid = len(told) - killed - len(survived)
    print(f"{killed} killed, {len(survived)} survived, {invalid} did not compile: {percent:.1f} %")
    return 0 if killed and percent >= LEAST_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
