"""Every setting, with its unit and why it is there. Read once; flags beat environment beats file beats default."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

from evoguard.errors import ConfigError
from evoguard.ports import Pace

FILE = "settings.toml"
MAX_BYTES = 65_536
PACE = "pace."


@dataclass(frozen=True, slots=True)
class Range:
    """What a setting may be: a number, whole or any, from `low` to `high` in `unit`; or a text that long."""

    low: float
    high: int
    unit: str
    kind: Literal["whole", "number", "text"] = "whole"

    def holds(self, value: object) -> bool:
        """Tell whether a TOML value lies within; a boolean, NaN or infinity never does."""
        if self.kind == "text":
            return isinstance(value, str) and self.low <= len(value) <= self.high and value.isprintable()
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (isinstance(value, int) or self.kind == "number") and self.low <= value <= self.high

    def __str__(self) -> str:
        """Return the range for people."""
        if self.kind == "text":
            return f"a text of {self.low} to {self.high:,} characters ({self.unit})"
        return f"a {'whole number' if self.kind == 'whole' else 'number'} from {self.low} to {self.high:,} {self.unit}"


RANGES: Final[Mapping[str, Range]] = {
    "flags_host": Range(1, 60, "a numeric loopback address", "text"),
    "flags_port": Range(1, 65_535, "(a TCP port)"),
    "runsc": Range(0, 4_096, "a path, or empty", "text"),
    "layer": Range(0, 4_096, "a path, or empty", "text"),
    "suite_wall_s": Range(1, 7_200, "s"),
    "sandboxes": Range(1, 256, "suites at the same time"),
    "docker_url": Range(0, 200, "unix:///… or tcp://… of a Docker engine, or empty", "text"),
    "docker_runtime": Range(1, 60, "the engine's name for gVisor's runtime", "text"),
    "opa_url": Range(0, 200, "http(s)://HOST:PORT of an OPA server, or empty", "text"),
    "opa_token_file": Range(0, 4_096, "a path, or empty", "text"),
    "unleash_url": Range(0, 200, "http(s)://HOST:PORT of an Unleash server, or empty", "text"),
    "unleash_token_file": Range(0, 4_096, "a path, or empty", "text"),
    "unleash_project": Range(1, 100, "a project of that server", "text"),
    "unleash_environment": Range(1, 100, "an environment of that server", "text"),
    "warm_sandboxes": Range(0, 256, "sandboxes that stand ready"),
    "held_out": Range(0, 4_096, "a path, or empty", "text"),
    "held_out_a_day": Range(1, 10_000, "submissions of one author in 24 hours"),
    "pace.lease_s": Range(2, 86_400, "s"),
    "pace.dwell_s": Range(0, 2_592_000, "s"),
    "pace.disaster_exposures": Range(1, 1_000_000_000, "units"),
    "pace.evidence_from_percent": Range(1, 100, "%"),
    "pace.tick_s": Range(0.05, 60, "s", "number"),
    "pace.silent_s": Range(1, 86_400, "s"),
}
"""Every setting of the file and what it may be; what each is for stands beside its field. Defaults lie within."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One frozen object; `Settings.load` is the only place that reads the environment."""

    state: Path
    """The state folder (docs/adr/0001-the-spine.md)."""
    flags_host: str = "127.0.0.1"
    """The flag server binds loopback; put a TLS proxy in front for other machines."""
    flags_port: int = 4242
    """Unleash's own default, so that SDK examples work as they are."""
    runsc: str = ""
    """Path of gVisor's runsc; empty: found on PATH, then in the tool cache."""
    layer: str = ""
    """Folder of the sandbox's runner layer; empty: found in the cache."""
    suite_wall_s: int = 600
    """How long a test suite may take in the sandbox; a candidate's at most ten times what the base's took, or 60 s."""
    sandboxes: int = 2
    """Suites that run at the same time; each needs about one core and up to 2 GiB."""
    docker_url: str = ""
    """A Docker engine that starts the sandboxes, with gVisor as a runtime; empty: runsc is run directly."""
    docker_runtime: str = "runsc"
    """Under which name the engine knows gVisor. That it is gVisor is proved from inside each sandbox."""
    warm_sandboxes: int = 8
    """Sandboxes that stand ready for the next suite, each for at most five minutes; about 80 MiB of memory each."""
    opa_url: str = ""
    """An OPA server that judges, with the bundle that `evoguard policy export` writes; empty: judged in process."""
    opa_token_file: str = ""
    """The file of the token that this OPA server wants; empty: it wants none."""
    unleash_url: str = ""
    """An Unleash server that serves the flags as well; a kill reaches its SDKs in 1 to 16 s, not in milliseconds."""
    unleash_token_file: str = ""
    """The file (0600) of an admin token of that server."""
    unleash_project: str = "default"
    """The project of that server in which the guard keeps its flags."""
    unleash_environment: str = "production"
    """The one environment of that server which the guard turns on and off."""
    held_out: str = ""
    """A folder (0700) of tests that no agent can read, one folder a repository; empty: there are none."""
    held_out_a_day: int = 20
    """Submissions of one author to one repository in 24 hours that held-out tests judge; each tells one bit of them."""
    pace: Pace = field(default_factory=Pace)

    @property
    def database(self) -> Path:
        """Return the one SQLite file."""
        return self.state / "evoguard.db"

    @property
    def kill_dir(self) -> Path:
        """Return the folder of kill latches."""
        return self.state / "kill"

    @property
    def way_back_dir(self) -> Path:
        """Return the folder of revert bundles."""
        return self.state / "way-back"

    @property
    def versions_dir(self) -> Path:
        """Return the store of versions, which services read by digest."""
        return self.state / "versions"

    @property
    def repos_dir(self) -> Path:
        """Return the folder of the guard's bare repositories."""
        return self.state / "repos"

    @property
    def advisories_dir(self) -> Path:
        """Return the folder of the imported database of advisories."""
        return self.state / "advisories"

    @property
    def service_key(self) -> Path:
        """Return the service's private key file."""
        return self.state / "keys" / "service.key"

    @property
    def service_pub(self) -> Path:
        """Return the service's public key file."""
        return self.state / "keys" / "service.pub"

    @property
    def flags_url(self) -> str:
        """Return the flag server's address."""
        host = f"[{self.flags_host}]" if ":" in self.flags_host else self.flags_host
        return f"http://{host}:{self.flags_port}"

    @classmethod
    def load(cls, state: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read settings for a state folder.

        Raises: ConfigError for a file that cannot be read, an unknown name, or a value outside of what RANGES allows.
        """
        home = Path(environ.get("HOME", "/"))
        folder = state or Path(environ.get("EVOGUARD_STATE") or home / ".local" / "state" / "evoguard")
        folder = folder.expanduser().absolute()
        doc = _flat(_document(folder / FILE))
        for name, value in doc.items():
            _check(name, value, folder / FILE)
        for name in ("runsc", "layer"):
            if found := environ.get(f"EVOGUARD_{name.upper()}"):
                doc[name] = found
        pace = Pace(**{name.removeprefix(PACE): value for name, value in doc.items() if name.startswith(PACE)})
        if pace.tick_s * 2 > pace.lease_s:
            raise ConfigError(
                f"{FILE}: pace.tick_s ({pace.tick_s:g} s) is more than half of pace.lease_s ({pace.lease_s} s): flags"
                " would go off between two looks",
                code="settings.invalid",
                fix=f"in {folder / FILE}, make pace.lease_s longer or pace.tick_s shorter",
            )
        own = {name: value for name, value in doc.items() if not name.startswith(PACE)}
        return cls(state=folder, pace=pace, **own)


def _document(path: Path) -> dict[str, object]:
    """Return the file as TOML, empty when there is none. Raises: ConfigError."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(file, "rb") as opened:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise _unreadable(path, "it is not a file")
            raw = opened.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise _unreadable(path, f"it is larger than {MAX_BYTES >> 10} KiB")
        return tomllib.loads(raw.decode("utf-8"))
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as err:
        raise _unreadable(path, f"byte {err.start + 1} is not UTF-8") from err
    except OSError as err:
        raise _unreadable(path, err.strerror or type(err).__name__) from err
    except (ValueError, RecursionError) as err:
        raise _unreadable(path, f"not TOML: {str(err)[:200]}") from err


def _unreadable(path: Path, why: str) -> ConfigError:
    return ConfigError(f"{FILE} cannot be read: {why}", code="settings.unreadable", fix=f"mend {path}")


def _flat(doc: dict[str, object]) -> dict[str, Any]:  # Any: TOML values, checked one by one right after
    """Return every setting by its full name, `pace.lease_s` for what stands in the table [pace]."""
    pace = doc.get("pace", {})
    if not isinstance(pace, dict):
        return doc
    rest = {name: value for name, value in doc.items() if name != "pace"}
    return {**rest, **{f"{PACE}{name}": value for name, value in pace.items()}}


def _check(name: str, value: object, path: Path) -> None:
    allowed = RANGES.get(name)
    if allowed is None:
        shown = ascii(name)[1:-1][:60]
        raise ConfigError(
            f"{FILE}: {shown!r} is unknown",
            code="settings.invalid",
            fix=f"in {path}, use one of: {', '.join(RANGES)}",
        )
    if not allowed.holds(value):
        raise ConfigError(
            f"{FILE}: {name} is {_shown(value)}; allowed: {allowed}",
            code="settings.invalid",
            fix=f"in {path}, set {name} to {allowed}, or remove it: the default is {_shown(default(name))}",
        )


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):  # one of many digits is not even turned into text
        return str(value) if abs(value) < 10**20 else "a number of more than 20 digits"
    return str(value) if isinstance(value, float) else ascii(value)[:60]


def default(name: str) -> object:
    """Return what a setting of RANGES is when nobody sets it."""
    kind = Pace if name.startswith(PACE) else Settings
    return next(f.default for f in fields(kind) if f.name == name.removeprefix(PACE))
