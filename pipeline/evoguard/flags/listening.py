"""How the flag server listens: loopback only, a descriptor for each stream, and an end that closes streams in order."""

from __future__ import annotations

import asyncio
import ipaddress
import resource
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from evoguard.errors import ConfigError
from evoguard.flags.bounds import MAX_STREAMS

SWITCH_S = 0.0005
"""The thread that reads latches gets its turn this soon: each call to the kernel would cost it ten times as long."""


class _Server(uvicorn.Server):
    """Ends the streams before it ends: they would keep it waiting."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app

    def end(self) -> None:
        """Let open answers finish."""
        self._app.state.end_streams()
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End as a signal asks."""
        self._app.state.end_streams()
        super().handle_exit(sig, frame)


async def serve(app: Starlette, host: str, port: int, *, ready: Callable[[int], None] | None = None) -> None:
    """Serve on a loopback address until a signal or a cancellation; `ready` is told the port.

    Raises: ConfigError for an address that is not loopback, or a port that is taken.
    """
    listener = _listen(host, port)
    _more_files()
    sys.setswitchinterval(SWITCH_S)
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="on", log_config=None, access_log=False, server_header=False,
        h11_max_incomplete_event_size=16_384, timeout_keep_alive=20, limit_concurrency=MAX_STREAMS + 500, backlog=256,
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    if ready is not None:
        ready(int(listener.getsockname()[1]))
    server = _Server(config, app)
    running = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        server.end()
        await running
        raise
    finally:
        listener.close()


def _more_files() -> None:
    """Let this process hold a descriptor for each stream, as far as its hard limit goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_STREAMS if hard == resource.RLIM_INFINITY else min(hard, 2 * MAX_STREAMS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(host: str, port: int) -> socket.socket:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as err:
        raise ConfigError("the flag server needs a numeric loopback address", code="flags.not_loopback") from err
    if not address.is_loopback:
        raise ConfigError("the flag server binds loopback only", code="flags.not_loopback", fix="use 127.0.0.1")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    # TCP is named, for asyncio sets TCP_NODELAY only then; without it every answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), port))
        listener.listen(256)
    except (OSError, OverflowError) as err:
        listener.close()
        raise ConfigError(f"port {port} cannot be bound", code="flags.port_taken", fix="choose another port") from err
    return listener
