"""Each rule broken on purpose, one small edit at a time: whether a test of the rules goes red.

Edits, each of one line of a body or head as `opa fmt` lays them out: a condition dropped, a condition turned into its
opposite, a comparison moved by one or turned round, a number one higher, a set of findings renamed. What no longer
compiles is no mutant.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from evoguard.authoring.folder import DATA, Sources
from evoguard.authoring.opa import Opa, at_work
from evoguard.authoring.problem import refuse
from evoguard.domain.canonical import Json
from evoguard.errors import InputError, UnavailableError

LEAST_PERMILLE = 950
AT_ONCE = 2
TEST_S = "30s"
RED = 2
"""How `opa test` ends when a test is not green; any other end but 0 is no answer."""
TURNED = {" == ": " != ", " != ": " == ", " < ": " <= ", " <= ": " < ", " > ": " >= ", " >= ": " > "}
RENAMED = {
    "deny contains": "notes contains",
    "escalate contains": "notes contains",
    "notes contains": "escalate contains",
}
NUMBER = re.compile(r"(?<![\w.\"])(\d+)(?![\w.\"])")
PACKAGE = re.compile(r"^package (\S+)$", re.MULTILINE)
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

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        after = self.after.strip()
        return {"file": self.path, "line": self.line, "before": self.before.strip(), "after": after}


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of each mutant: `killed`, `survived`, `invalid` for what does not compile. `made`: before drawing."""

    told: Sequence[tuple[Mutant, str]]
    made: int

    def count(self, word: str, path: str = "") -> int:
        """Return how many mutants ended so, of all files or of one."""
        return sum(one == word and path in ("", mutant.path) for mutant, one in self.told)

    @property
    def permille(self) -> int:
        """Return the share of killed mutants among those that compile, in tenths of a percent, rounded down."""
        killed, survived = self.count("killed"), self.count("survived")
        return 1000 * killed // max(1, killed + survived)

    @property
    def ok(self) -> bool:
        """Tell whether enough were killed; none killed is no pass."""
        return self.count("killed") > 0 and self.permille >= LEAST_PERMILLE

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        paths = sorted(Counter(mutant.path for mutant, _ in self.told))
        rows: list[Json] = [
            {"file": path, **{word: self.count(word, path) for word in ("killed", "survived", "invalid")}}
            for path in paths
        ]
        return {
            "ok": self.ok, "killed": self.count("killed"), "survived": self.count("survived"),
            "invalid": self.count("invalid"), "made": self.made, "judged": len(self.told),
            "killed_permille": self.permille, "least_permille": LEAST_PERMILLE, "files": rows,
            "survivors": [mutant.as_json() for mutant, word in self.told if word == "survived"],
        }  # fmt: skip


def mutants(path: str, text: str) -> Iterator[Mutant]:
    """Yield every edit of a rule's source."""
    for at, line in enumerate(text.splitlines()):
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


def every(sources: Sources, rules: Collection[str] = ()) -> list[Mutant]:
    """Return every edit of these rules (by code), of all files that are no test when none is named.

    Raises: InputError for a code that has no file.
    """
    paths = sources.rego(tests=False)
    wanted = {f"{code.replace('.', '/')}.rego": code for code in rules}
    if lost := sorted(code for path, code in wanted.items() if path not in paths):
        raise InputError(
            f"policy: there is no rule {lost[0][:80]!r}", code="policy.code", fix="as `evoguard policy show` lists them"
        )
    chosen = [path for path in paths if not wanted or path in wanted]
    return [mutant for path in chosen for mutant in mutants(path, sources.texts[path])]


def mutate(
    binary: Path, sources: Sources, *, rules: Collection[str] = (), sample: int = 0, seed: int = 1,
    told: Callable[[int, int, int], None] = lambda *_: None,
) -> Judged:  # fmt: skip
    """Return what the tests say of every edit, or of `sample` of them. `told`: judged so far, of how many, survived.

    Raises: InputError for sources that do not compile, are not green, or have nothing to edit; UnavailableError when
    OPA gives no answer; ConfigError.
    """
    made = every(sources, rules)
    if not made:
        raise InputError("policy: there is nothing to break in these rules", code="policy.no_mutant", fix="name others")
    drawn = random.Random(seed).sample(made, sample) if 0 < sample < len(made) else made  # noqa: S311
    words: dict[Mutant, str] = {}
    with at_work(binary, sources) as opa:
        refuse(opa.check())
        if _red(opa):
            text = "policy: the tests are not green as they stand, so that one goes red proves nothing"
            raise InputError(text, code="policy.tests_failed", fix="`evoguard policy test FOLDER`")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = {pool.submit(judged, binary, sources, mutant): mutant for mutant in drawn}
        try:
            for done in as_completed(asked):
                words[asked[done]] = done.result()
                told(len(words), len(drawn), sum(word == "survived" for word in words.values()))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Judged([(mutant, words[mutant]) for mutant in drawn], len(made))


def judged(binary: Path, sources: Sources, mutant: Mutant) -> str:
    """Return `killed`, `survived`, or `invalid` when it does not compile. Raises: UnavailableError, ConfigError."""
    with at_work(binary, _edited(sources, mutant)) as opa:
        if opa.check():
            return "invalid"
        try:
            # Its own tests see most of it, in a tenth of the time that all take.
            own = own_tests(sources, mutant.path)
            return "killed" if (own and _red(opa, own)) or _red(opa) else "survived"
        except InputError:  # it asks for more memory than a test gets: nobody overlooks that
            return "killed"


def own_tests(sources: Sources, path: str) -> str:
    """Return what finds the tests of the file beside one, as `opa test --run` reads it; empty when there is none."""
    named = PACKAGE.search(sources.texts.get(f"{path.removesuffix('.rego')}_test.rego", ""))
    return rf"{re.escape(named[1])}\." if named else ""


def _red(opa: Opa, only: str = "") -> bool:
    """Tell whether a test is red. Raises: UnavailableError for another end of `opa test`, which would kill them all."""
    chosen = ("--run", only) if only else ()
    done = opa.ask("test", "--timeout", TEST_S, *chosen, *opa.sources.rego(tests=True), DATA)
    if done.returncode not in (0, RED):
        said = (done.stderr + done.stdout).decode("utf-8", "replace").strip()[:300]
        raise UnavailableError("opa", f"`opa test` gave no answer ({done.returncode}): {said}", fix="mend the sources")
    return done.returncode == RED


def _edited(sources: Sources, mutant: Mutant) -> Sources:
    lines = sources.texts[mutant.path].splitlines()
    lines[mutant.line - 1] = mutant.after
    texts: Mapping[str, str] = {**sources.texts, mutant.path: "\n".join(lines) + "\n"}
    return Sources(sources.folder, texts)
