"""A component: the part of a repository that is released behind one flag, as its file at the base commit says."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from evoguard.domain import cases as cases_of
from evoguard.domain.canonical import Json
from evoguard.domain.cases import Declared
from evoguard.domain.kpi import ValueKpi
from evoguard.domain.latch import DRILL_FLAG
from evoguard.domain.owners import people_of
from evoguard.domain.quarantine import Quarantine, quarantines
from evoguard.domain.repository_rules import NamedRules, named_rules
from evoguard.domain.version import VersionFiles, declared
from evoguard.errors import InputError

ASSURANCES = ("visible-only", "split", "held-out")
FILE_NAME = ".evoguard.toml"
_NAME_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(frozen=True, slots=True)
class Pacing:
    """How the component's rollouts end, and the traffic by which their length is foreseen."""

    holdback_percent: int = 2
    """Units that stay on known-good at the last stage, until its bake ends."""
    bake_s: int = 0
    """Least time of the last stage; 0: as any stage."""
    promote_alpha_percent: int = 5
    """Chance that a candidate worse than a margin passes a stage."""
    window_s: int = 0
    """Greatest age of a rollout that is not complete, which is then taken back; 0: none."""
    units_a_day: int = 0
    """New units that are expected; 0: not declared."""
    baseline_ppm: int = 10_000
    """Known-good's expected rate of bad events, in parts of a million."""

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        return {name: getattr(self, name) for name in PACING_RANGES}


PACING_RANGES: Mapping[str, tuple[int, int]] = {
    "holdback_percent": (1, 5), "bake_s": (0, 2_592_000), "promote_alpha_percent": (1, 20),
    "window_s": (0, 31_536_000), "units_a_day": (0, 10**12), "baseline_ppm": (1, 500_000),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Component:
    """What may be changed together, and how it is released. The default one has no flag and no KPI."""

    name: str = ""
    paths: tuple[str, ...] = ()
    flag: str = ""
    release_branch: str = ""
    quorum: int = 1
    stages: tuple[int, ...] = (1, 10, 50, 100)
    lock: str = ""
    """The requirements file, pinned and hashed, whose packages the tests are given; empty: `requirements.lock`."""
    kpis: Mapping[str, int] = field(default_factory=dict)
    """KPI name → margin in percent: 200 means "not worse than twice the known-good rate"."""
    values: Mapping[str, ValueKpi] = field(default_factory=dict)
    """KPIs of values (`kind = "value"`): latency, cost, tokens."""
    pacing: Pacing = field(default_factory=Pacing)
    version: VersionFiles | None = None
    """What is rolled out, when it is not the commit itself: a prompt, a model or a configuration."""
    cases: Declared | None = None
    """Requests that base and candidate must answer alike; no part of the rollout that people approve."""

    def as_json(self) -> dict[str, Json]:
        """Return the component as plain JSON; its digest is part of what people approve."""
        return {
            "name": self.name,
            "paths": list(self.paths),
            "flag": self.flag,
            "release_branch": self.release_branch,
            "quorum": self.quorum,
            "stages": list(self.stages),
            "lock": self.lock,
            "kpis": dict(self.kpis),
            "values": {name: kpi.as_json() for name, kpi in self.values.items()},
            "pacing": self.pacing.as_json(),
            **({"version": self.version.as_json()} if self.version else {}),
        }


@dataclass(frozen=True, slots=True)
class ComponentFile:
    """All components of a repository, plus limits that may only tighten the policies'."""

    components: tuple[Component, ...] = ()
    guard: tuple[str, ...] = ()
    max_files: int = 0
    max_lines: int = 0
    quorum: int = 0
    assurance: str = ""
    seats: int = 0
    """Agents that must have reviewed a change, beside people; they count apart."""
    split_percent: int = 0
    """From this share of tests apart from the code on, a verdict counts as `split` here; 0: as the sandbox says."""
    quarantine: tuple[Quarantine, ...] = ()
    owners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name in CODEOWNERS → the registered people behind it."""
    rules: NamedRules | None = None
    """Rules of the repository's own, asked beside those in force; they can only refuse."""

    def tighten(self) -> dict[str, Json]:
        """Return the tighten-only data that policies read; 0, "" and [] mean "no tightening"."""
        return {
            "guard": [*self.guard, *([f"{self.rules.path}/**"] if self.rules else []), *(c.file for c in self.cases())],
            "max_files": self.max_files,
            "max_lines": self.max_lines,
            "quorum": self.quorum,
            "seats": self.seats,
            "assurance": self.assurance,
            "split_percent": self.split_percent,
        }

    def cases(self) -> list[Declared]:
        """Return what the components declare; all of it is asked, whatever a change touches."""
        return [component.cases for component in self.components if component.cases is not None]

    def covering(self, paths: Iterable[str]) -> Component:
        """Return the one component whose paths cover every touched path, else the default component."""
        touched = tuple(paths)
        for component in self.components:
            if touched and all(any(matches(path, glob) for glob in component.paths) for path in touched):
                return component
        return Component()


def matches(path: str, glob: str) -> bool:
    """Tell whether a `/`-separated path matches a glob; `**` crosses folders, `folder/**` covers its inside."""
    if glob.endswith("/**"):
        return path.startswith(glob[:-2]) or path == glob[:-3]
    if "**" not in glob and glob.count("/") != path.count("/"):
        return False
    return fnmatchcase(path, glob.replace("**/", "*"))


def parse(raw: bytes | None) -> ComponentFile:
    """Read `.evoguard.toml`; a missing file (None) gives safe defaults.

    Raises: InputError (`component.invalid`) naming the table and the mend, for every unknown or out-of-range value.
    """
    if raw is None:
        return ComponentFile()
    if len(raw) > 65_536:
        raise _bad("the file is larger than 64 KiB")
    try:
        doc = tomllib.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise _bad(f"not TOML: {str(err)[:120]}") from err
    if doc.get("version") != 1:
        raise _bad("`version = 1` is missing, or a newer evoguard wrote it")
    _only(doc, {"version", "component", "policy"}, "the top level")
    table = doc.get("component", {})
    if not isinstance(table, dict) or len(table) > 100:
        raise _bad("`component` must be a table of at most 100 components")
    components = tuple(_component(name, body) for name, body in sorted(table.items()))
    flags = [c.flag for c in components if c.flag]
    if len(set(flags)) != len(flags):
        raise _bad("two components claim one flag")
    branches = [c.release_branch for c in components]
    if len(set(branches)) != len(branches):
        raise _bad("two components claim one release branch")
    return _with_policy(components, doc.get("policy", {}))


def _with_policy(components: tuple[Component, ...], policy: object) -> ComponentFile:
    if not isinstance(policy, dict):
        raise _bad("`policy` must be a table")
    known = {"guard", "max_files", "max_lines", "quorum", "seats", "assurance", "split_percent", "quarantine", "owners",
             "rules"}  # fmt: skip
    _only(policy, known, "[policy]")
    if policy.get("assurance", "") not in ("", *ASSURANCES):
        raise _bad(f"policy.assurance is one of {', '.join(ASSURANCES)}")
    try:
        quarantine = quarantines(policy.get("quarantine", []))
        owners = people_of(policy.get("owners", {}))
        rules = named_rules(policy.get("rules"))
    except ValueError as err:
        raise _bad(str(err)) from err
    return ComponentFile(
        components=components,
        guard=_globs(policy.get("guard", [])),
        max_files=_number(policy.get("max_files", 0), "policy.max_files", 0, 100_000),
        max_lines=_number(policy.get("max_lines", 0), "policy.max_lines", 0, 10_000_000),
        quorum=_number(policy.get("quorum", 0), "policy.quorum", 0, 20),
        seats=_number(policy.get("seats", 0), "policy.seats", 0, 20),
        assurance=str(policy.get("assurance", "")),
        split_percent=_number(policy.get("split_percent", 0), "policy.split_percent", 0, 100),
        quarantine=quarantine,
        owners=owners,
        rules=rules,
    )


def _asked_for(body: Mapping[str, object], name: str, where: str) -> tuple[VersionFiles | None, Declared | None]:
    """Return what is rolled out, and what it is asked before, each None unless declared. Raises: InputError."""
    try:
        version = declared(body.get("version"))
    except ValueError as err:
        raise _bad(f"{where}: {err}") from err
    try:
        return version, cases_of.declared(name, body.get("cases"))
    except ValueError as err:
        raise _bad(str(err)) from err


def _component(name: str, body: object) -> Component:
    where = f"[component.{name[:40]}]"
    if not name or len(name) > 60 or set(name) - _NAME_CHARS:
        raise _bad(f"{where}: a name is 1-60 of a-z, 0-9, - and _")
    if not isinstance(body, dict):
        raise _bad(f"{where} must be a table")
    _only(
        body,
        {"paths", "flag", "release_branch", "quorum", "stages", "kpi", "lock", "version", "cases", *PACING_RANGES},
        where,
    )
    flag = body.get("flag", "")
    if not isinstance(flag, str) or len(flag) > 100 or set(flag) - _NAME_CHARS - {"."}:
        raise _bad(f"{where}: flag is at most 100 of a-z, 0-9, -, _ and .")
    if flag.startswith(DRILL_FLAG):
        raise _bad(f"{where}: flags that begin with {DRILL_FLAG!r} are those of rehearsals")
    branch = body.get("release_branch", f"release/{name}")
    if not isinstance(branch, str) or not branch or set(branch) - _NAME_CHARS - {"/", "."} or ".." in branch:
        raise _bad(f"{where}: release_branch is a plain branch name")
    lock = body.get("lock", "")
    if not isinstance(lock, str) or len(lock) > 200 or lock.startswith("/") or ".." in lock.split("/"):
        raise _bad(f"{where}: lock is the path of a requirements file in the repository")
    pacing = Pacing(**{
        key: _number(body.get(key, getattr(Pacing(), key)), f"{where} {key}", *limits)
        for key, limits in PACING_RANGES.items()
    })  # fmt: skip
    stages = _stages(body.get("stages", [1, 10, 50, 100]), where)
    if len(stages) > 1 and stages[-2] >= 100 - pacing.holdback_percent:
        raise _bad(f"{where}: a stage before the last leaves more than holdback_percent on known-good")
    kpis, values = _kpis(body.get("kpi", {}), where)
    version, cases = _asked_for(body, name, where)
    return Component(
        name=name,
        paths=_texts(body.get("paths", []), f"{where} paths"),
        flag=flag,
        release_branch=branch,
        quorum=_number(body.get("quorum", 1), f"{where} quorum", 1, 20),
        stages=stages,
        lock=lock,
        kpis=kpis,
        values=values,
        pacing=pacing,
        version=version,
        cases=cases,
    )


def _stages(value: object, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 20:
        raise _bad(f"{where}: stages is a list of 1 to 20 whole percents")
    stages = tuple(_number(v, f"{where} stages", 1, 100) for v in value)
    if list(stages) != sorted(set(stages)) or stages[-1] != 100:
        raise _bad(f"{where}: stages rise and end at 100")
    return stages


def _kpis(value: object, where: str) -> tuple[dict[str, int], dict[str, ValueKpi]]:
    """Return the KPIs of events, and those of values."""
    if not isinstance(value, dict) or len(value) > 10:
        raise _bad(f"{where}: kpi is a table of at most 10 KPIs")
    kpis: dict[str, int] = {}
    values: dict[str, ValueKpi] = {}
    for name, body in value.items():
        if not isinstance(body, dict) or not name or len(name) > 60 or set(name) - _NAME_CHARS:
            raise _bad(f"{where}: kpi.{name[:40]} is a table, its name 1-60 of a-z, 0-9, - and _")
        what, kind = f"{where} kpi.{name}", body.get("kind", "event")
        if kind == "value":
            values[name] = _value_kpi(body, what)
        elif kind == "event":
            _only(body, {"kind", "margin_percent"}, what)
            kpis[name] = _number(body.get("margin_percent", 200), what, 101, 1000)
        else:
            raise _bad(f"{what}: kind is event or value")
    return kpis, values


def _value_kpi(body: Mapping[str, object], where: str) -> ValueKpi:
    usual = ValueKpi()
    _only(body, {"kind", *usual.as_json()}, where)
    found = ValueKpi(
        tolerance_percent=_number(body.get("tolerance_percent", usual.tolerance_percent), where, 0, 100),
        margin_percent=_number(body.get("margin_percent", usual.margin_percent), where, 105, 1000),
        spread_percent=_number(body.get("spread_percent", usual.spread_percent), where, 5, 500),
    )
    if found.margin_percent <= 100 + found.tolerance_percent:
        raise _bad(f"{where}: margin_percent is above 100 + tolerance_percent")
    return found


def _texts(value: object, where: str) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or len(value) > 200
        or not all(isinstance(v, str) and 0 < len(v) <= 200 for v in value)
    ):
        raise _bad(f"{where} is a list of at most 200 short texts")
    return tuple(value)


def _globs(value: object) -> tuple[str, ...]:
    """Guard globs in the dialect that every policy engine reads alike: `**`, `*`, `?` and `{a,b}`."""
    globs = _texts(value, "policy.guard")
    for glob in globs:
        if set(glob) & set("\\()|$[]^!") or glob.count("{") != glob.count("}"):
            raise _bad(f"policy.guard: {glob[:40]!r} uses more than **, *, ? and {{a,b}}")
    return globs


def _number(value: object, where: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _bad(f"{where} is a whole number from {low} to {high}")
    return value


def _only(table: Mapping[str, object], known: set[str], where: str) -> None:
    if unknown := sorted(set(table) - known):
        raise _bad(f"{where} has an unknown key: {unknown[0][:40]}")


def _bad(message: str) -> InputError:
    return InputError(
        f"{FILE_NAME}: {message}", code="component.invalid", fix=f"correct {FILE_NAME} on the base branch"
    )
