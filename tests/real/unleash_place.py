"""A real Unleash server on a throw-away PostgreSQL, both on loopback, for a whole test session."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

UP_S = 120.0
LAST_SAID = 4_000  # characters
ADMIN, READER = "*:*.marked-fixture-admin", "*:production.marked-fixture-reader"


@dataclass
class Place:
    """A server that can be ended and begun again on the same database."""

    folder: Path
    database: str
    port: int
    said: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def begin(self) -> None:
        env = {
            "PATH": os.environ["PATH"], "PORT": str(self.port), "DATABASE_URL": self.database, "DATABASE_SSL": "false",
            "CHECK_VERSION": "false", "SEND_TELEMETRY": "false", "LOG_LEVEL": "error", "NODE_ENV": "production",
            "INIT_ADMIN_API_TOKENS": ADMIN, "INIT_BACKEND_API_TOKENS": READER, "NODE_NO_WARNINGS": "1",
        }  # fmt: skip
        with self.said.open("ab") as said:
            both = {"stdout": said, "stderr": said}
            self.process = subprocess.Popen(["node", "start.mjs"], cwd=self.folder, env=env, **both)
        _until(self._healthy, self.process)

    def end(self) -> None:
        if self.process is not None:
            died = self.process.poll()
            self.process.kill()
            self.process.wait()
            self.process = None
            if died is not None:  # whoever asked it got refusals that were not the test's doing
                last = self.said.read_text(errors="replace")[-LAST_SAID:]
                raise AssertionError(f"the Unleash server ended by itself ({died}); the last it said:\n{last}")

    def _healthy(self) -> bool:
        with suppress(httpx.HTTPError):
            return "GOOD" in httpx.get(f"{self.url}/health", timeout=2).text
        return False


# Unleash 8.2.0 ends by itself when a flag is deleted while its listener, up to a second later, still writes what
# stage of life that flag is in: the row refers to a flag that is gone. Tests delete a flag each; evoguard never does.
SURVIVES = "ALTER TABLE feature_lifecycles DROP CONSTRAINT feature_lifecycles_feature_fkey"


@contextmanager
def serving(unleash: Path, postgres: Path) -> Iterator[Place]:
    """Serve; both end with the block."""
    with _database(postgres) as url, tempfile.NamedTemporaryFile(prefix="eg-unleash-") as said:
        place = Place(unleash, url, _free_port(), Path(said.name))
        try:
            place.begin()
            subprocess.run([postgres / "psql", "-q", "-c", SURVIVES, url], check=True)
            yield place
        finally:
            place.end()


@contextmanager
def _database(programs: Path) -> Iterator[str]:
    folder, port = Path(tempfile.mkdtemp(prefix="eg-pg-")), _free_port()
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    given = {"cwd": folder, "user": user, "group": user, "extra_groups": [] if user else None, "env": env}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    make = [programs / "initdb", "-D", folder / "data", "-U", "unleash", "-A", "trust", "-E", "UTF8", "--no-sync"]
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off"}
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    try:
        subprocess.run(make, check=True, **given, **quiet)
        process = subprocess.Popen([programs / "postgres", "-D", folder / "data", *words], **given, **quiet)
        ask = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        try:
            _until(lambda: subprocess.run(ask, check=False).returncode == 0, process)
            yield f"postgresql://unleash@127.0.0.1:{port}/postgres"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _until(true, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + UP_S
    while not true():
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError("the server did not come up")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])
