"""One `serve` a state: what it must hold before it starts a process, and what a worker leaves tidy at its end."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evoguard.adapters import loopback
from evoguard.errors import ConfigError
from evoguard.settings import Settings

PATIENCE_S = 8.0
"""A `serve` that was killed outright leaves processes that still end; longer than that, somebody runs them."""
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def serving(settings: Settings, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold this state's right to serve; worker and port are free when the block starts.

    Raises: ConfigError (`serve.running`, at once; `worker.running`, `flags.port_taken`, `flags.not_loopback`).
    """
    lock = os.open(settings.state / "serve.lock", _LOCK, 0o600)
    try:
        if not _locked(lock):
            raise ConfigError(
                f"another `evoguard serve` runs on this state{_by(settings.state / 'serve.lock')}",
                code="serve.running",
                fix="use that one, or stop it first",
            )
        until = time.monotonic() + patience_s
        while (why := _in_use(settings)) is not None:
            if time.monotonic() >= until:
                raise why
            time.sleep(0.1)
        yield
    finally:
        os.close(lock)


def remove_socket_folder(settings: Settings) -> None:
    """Remove the folder under /tmp that a sandbox uses for sockets when the state's path is too long for them.

    Only an empty folder of our own goes; one with a socket in it belongs to a run, and the next worker sweeps it.
    """
    with suppress(OSError, ValueError):
        name = (settings.state / "sandbox" / "installation").read_text(encoding="ascii").strip()
        if not name.isalnum():
            return
        folder = Path("/tmp") / f"eg-{os.geteuid()}-{name}"  # noqa: S108  (the sandbox's own name for it)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            folder.rmdir()


def _in_use(settings: Settings) -> ConfigError | None:
    return _worker(settings.state / "worker.lock") or _port(settings)


def _worker(path: Path) -> ConfigError | None:
    """Tell whether a worker runs. Its lock is tried: a worker that starts this very moment would be the second one."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if _locked(lock):
            return None
    finally:
        os.close(lock)
    return ConfigError(
        f"another worker runs on this state{_by(path)}", code="worker.running", fix="stop it first, then serve"
    )


def _port(settings: Settings) -> ConfigError | None:
    host, port = settings.flags_host, settings.flags_port
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise ConfigError(
            f"flags_host is {host!a}: the flag server binds a numeric loopback address only",
            code="flags.not_loopback",
            fix="set flags_host to 127.0.0.1 in settings.toml",
        )
    with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((str(address), port))
        except OSError as err:
            who = "by another flag server of evoguard" if _is_ours(settings) else f"({err.strerror})"
            fix = "stop what listens there, or set flags_port in settings.toml"
            return ConfigError(f"port {port} is taken {who}", code="flags.port_taken", fix=fix)
    return None


def _is_ours(settings: Settings) -> bool:
    with suppress(OSError, ValueError):
        doc = json.loads(loopback.get(f"{settings.flags_url}/health", wait_s=3.0, most=4_096))
        return isinstance(doc, dict) and {"status", "rows", "database"} <= set(doc)
    return False


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _by(path: Path) -> str:
    from evoguard.wiring.doctor import lock_holder  # it loads every part; only who is refused pays for that

    holder = lock_holder(path)
    return f" (process {holder})" if holder else ""
