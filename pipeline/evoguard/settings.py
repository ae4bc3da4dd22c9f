"""Every setting, with its unit and why it is there. Read once; flags beat environment beats file beats default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from evoguard.errors import ConfigError
from evoguard.ports import Pace

FILE = "settings.toml"


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
    suite_wall_s: int = 120
    """How long a candidate's test suite may take in the sandbox."""
    sandboxes: int = 2
    """Suites that run at the same time; each needs about one core and up to 2 GiB."""
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
    def repos_dir(self) -> Path:
        """Return the folder of the guard's bare repositories."""
        return self.state / "repos"

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
        return f"http://{self.flags_host}:{self.flags_port}"

    @classmethod
    def load(cls, state: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read settings for a state folder. Raises: ConfigError for a file that cannot be read or an unknown name."""
        home = Path(environ.get("HOME", "/"))
        folder = state or Path(environ.get("EVOGUARD_STATE") or home / ".local" / "state" / "evoguard")
        folder = folder.expanduser().absolute()
        try:
            doc = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            doc = {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
            raise ConfigError(
                f"{FILE} cannot be read: {err}", code="settings.unreadable", fix=f"mend {folder / FILE}"
            ) from err
        pace = _typed(Pace, doc.pop("pace", {}))  # Any: TOML values, typed right there
        for name in ("runsc", "layer"):
            if found := environ.get(f"EVOGUARD_{name.upper()}"):
                doc[name] = found
        return cls(state=folder, pace=Pace(**pace), **_typed(cls, doc, without=("state", "pace")))


def _typed(kind: type, doc: object, without: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(doc, dict):
        raise ConfigError(f"{FILE}: a table is expected", code="settings.invalid", fix=f"correct {FILE}")
    known = {f.name: f.type for f in fields(kind) if f.name not in without}
    for name, value in doc.items():
        wanted = {"int": (int,), "float": (int, float), "str": (str,)}.get(str(known.get(name, "")))
        if wanted is None or not isinstance(value, wanted) or isinstance(value, bool):
            raise ConfigError(
                f"{FILE}: {name!r} is unknown or of the wrong type", code="settings.invalid", fix=f"correct {FILE}"
            )
        if not isinstance(value, str) and value < 0:
            raise ConfigError(f"{FILE}: {name!r} is negative", code="settings.invalid", fix=f"correct {FILE}")
    return dict(doc)
