"""The way to a Docker engine: where it is, what it says of itself, and a container's standard streams."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from evoguard_sandbox.types import SandboxError

UNSAFE = "unsafe-"
ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}
FIX = "look at the engine and at the setting that names it"
STDOUT = 1
TAIL_BYTES = 8192
TLS_PORT = 2376
OLDEST_API = "1.40"
ASK_S, CARRY_S = 60, 900


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine. `tls_dir` holds ca.pem, cert.pem and key.pem; an engine over TCP must be spoken to by TLS.

    `runtime` is the name under which the engine knows gVisor; that it is gVisor is proved from inside each sandbox.
    `unsafe-NAME` asks for the runtime NAME and says that no isolation is expected of it.
    """

    url: str = "unix:///var/run/docker.sock"
    runtime: str = "runsc"
    tls_dir: Path | None = None

    @property
    def isolation(self) -> str:
        """Return what its sandboxes may be called: "gvisor", or the unsafe name as it was set."""
        return self.runtime if self.runtime.startswith(UNSAFE) else "gvisor"


class Client(Protocol):
    """What is used of the Docker SDK's low-level client."""

    trust_env: bool

    def version(self, *, api_version: bool) -> dict[str, Any]:
        """Return what the engine is."""

    def info(self) -> dict[str, Any]:
        """Return how it is set up."""

    def load_image(self, data: Iterator[bytes]) -> Iterator[dict[str, Any]]:
        """Load an archive of images, telling how it goes."""

    def inspect_image(self, image: str) -> dict[str, Any]:
        """Return what an image is made of."""

    def create_host_config(self, **words: object) -> dict[str, Any]:
        """Return the engine's side of a container."""

    def create_container(self, image: str, **words: object) -> dict[str, Any]:
        """Make a container."""

    def start(self, container: str) -> None:
        """Start a container."""

    def inspect_container(self, container: str) -> dict[str, Any]:
        """Return what became of a container."""

    def stats(self, container: str, *, stream: bool, one_shot: bool) -> dict[str, Any]:
        """Return what a container takes now."""

    def remove_container(self, container: str, *, v: bool, force: bool) -> None:
        """End and remove a container."""

    def containers(self, *, all: bool, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
        """List containers."""

    def close(self) -> None:
        """Close every connection."""


class Link:
    """An engine that answered. `error` and `absent` are what its client raises: any failure, and "no such thing"."""

    def __init__(self, engine: Engine) -> None:
        """Ask the engine what it is. Raises: SandboxError when it is not there or not of use."""
        try:
            from docker import errors  # type: ignore[import-untyped]  # the SDK has no types
        except ImportError as err:
            raise SandboxError(
                "sandbox.engine_missing", "the Docker SDK is missing", "install evoguard[docker]"
            ) from err
        from requests.exceptions import RequestException

        self.engine = engine
        self.error: tuple[type[Exception], ...] = (errors.DockerException, RequestException, OSError)
        self.absent: tuple[type[Exception], ...] = (errors.NotFound,)
        where = urlsplit(engine.url)
        if where.scheme not in ("unix", "tcp") or (where.scheme == "tcp" and engine.tls_dir is None):
            raise SandboxError("sandbox.engine_url", f"{engine.url!r} is neither unix:// nor tcp:// with TLS", FIX)
        try:
            told = self._first_word()
        except self.error as err:
            raise self._silent() from err
        self.api_version = str(told["ApiVersion"])
        self.client = self._client(ASK_S, self.api_version)
        try:
            self._check(told, self.client.info())
        except self.error as err:
            self.client.close()
            raise self._silent() from err
        except SandboxError:
            self.client.close()
            raise
        self.version = f"docker {told['Version']}, runtime {engine.runtime}"[:80]

    def _first_word(self) -> dict[str, Any]:
        """Return what the engine is, asked without a version of its interface."""
        where = urlsplit(self.engine.url)
        if where.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as door:  # the SDK leaves its own socket open when nobody answers
                door.settimeout(ASK_S)
                door.connect(where.path)
        client = self._client(ASK_S, OLDEST_API)
        try:
            return client.version(api_version=False)
        finally:
            client.close()

    def _silent(self) -> SandboxError:
        return SandboxError("sandbox.engine_missing", f"no Docker engine answers at {self.engine.url}", FIX)

    @property
    def runtime(self) -> str:
        """Return the runtime's name as the engine knows it."""
        return self.engine.runtime.removeprefix(UNSAFE)

    def _client(self, timeout_s: int, api_version: str) -> Client:
        import docker

        tls: Any = False
        if (keys := self.engine.tls_dir) is not None:
            pair = (str(keys / "cert.pem"), str(keys / "key.pem"))
            tls = docker.tls.TLSConfig(client_cert=pair, ca_cert=str(keys / "ca.pem"), verify=True)
        client: Client = docker.APIClient(self.engine.url, version=api_version, timeout=timeout_s, tls=tls)
        client.trust_env = False  # else a variable names another authority, or a proxy that reads along
        return client

    def _check(self, told: dict[str, Any], info: dict[str, Any]) -> None:
        here = ARCHES.get(platform.machine(), platform.machine())
        if (told.get("Os"), told.get("Arch")) != ("linux", here):
            what = f"the engine runs {told.get('Os')} on {told.get('Arch')}, and our programs are for linux on {here}"
            raise SandboxError("sandbox.engine_arch", what, FIX)
        self.runtimes: dict[str, Any] = info.get("Runtimes") or {}
        named = self.runtime in self.runtimes or self.runtime.startswith("io.containerd.")
        if not named:
            raise SandboxError(
                "sandbox.runtime_missing",
                f"the engine has no runtime called {self.runtime!r}",
                "add gVisor's runsc to the engine's runtimes",
            )

    def load(self, archive: Iterator[bytes]) -> None:
        """Give the engine an image. Raises: SandboxError when it does not take it."""
        carrier = self._client(CARRY_S, self.api_version)
        try:
            refused = [str(word["error"]) for word in carrier.load_image(archive) if "error" in word]
        except self.error as err:
            raise SandboxError("sandbox.image", f"the engine did not take the image: {err}"[:300], FIX) from err
        finally:
            carrier.close()
        if refused:
            raise SandboxError("sandbox.image", f"the engine refused the image: {refused[0]}"[:300], FIX)

    async def attach(self, container: str) -> tuple[Input, Streams]:
        """Return a container's standard input and output. To be asked before it starts, so that no byte is lost.

        The SDK's own attach gives a socket that asyncio cannot take when it is TLS.
        Raises: OSError when the engine refuses.
        """
        loop, where = asyncio.get_running_loop(), urlsplit(self.engine.url)
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        if where.scheme == "unix":
            transport, _ = await loop.create_unix_connection(lambda: protocol, where.path)
        else:
            port = where.port or TLS_PORT
            transport, _ = await loop.create_connection(lambda: protocol, where.hostname or "", port, ssl=self._trust())
        writer = Input(transport, protocol, reader, loop)
        writer.told = asyncio.Event()
        path = f"/v{self.api_version}/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        head = (
            f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
        )
        try:
            writer.write(head.encode())
            told = await reader.readuntil(b"\r\n\r\n")
            if told[:12] not in (b"HTTP/1.1 101", b"HTTP/1.1 200"):
                raise OSError(f"the engine did not attach: {told[:80]!r}")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as err:
            await writer.hang_up()
            raise OSError("the engine broke off") from err
        except BaseException:
            await writer.hang_up()
            raise
        return writer, Streams(reader)

    def _trust(self) -> ssl.SSLContext:
        keys = self.engine.tls_dir
        assert keys is not None  # noqa: S101 (checked at the start)
        context = ssl.create_default_context(cafile=str(keys / "ca.pem"))
        context.load_cert_chain(keys / "cert.pem", keys / "key.pem")
        return context


class Input(asyncio.StreamWriter):
    """A container's standard input, on the one connection that its output comes on."""

    told: asyncio.Event
    """Set once the order is told: what comes after it is no part of it."""

    def close(self) -> None:
        """End the order, and nothing else: the end of the connection would be the end of the supervisor's answer."""
        self.told.set()

    async def hang_up(self) -> None:
        """End the connection."""
        super().close()
        with contextlib.suppress(OSError):
            await self.wait_closed()


class Streams(asyncio.StreamReader):
    """What a container writes to standard output, cut out of the engine's mixed stream; of the rest, the end is kept.

    It takes from the engine only what it is asked for, so a flood waits in the engine and not in this process.
    """

    def __init__(self, mixed: asyncio.StreamReader) -> None:
        super().__init__()
        self.mixed = mixed
        self.kind, self.left = 0, 0
        self.tail = bytearray()

    def at_eof(self) -> bool:
        """Tell whether the engine has hung up and nothing of what it said is left."""
        return not self.left and self.mixed.at_eof()

    async def read(self, n: int = -1) -> bytes:
        """Return up to `n` bytes of standard output, or none at its end."""
        while True:
            try:
                while self.left == 0:
                    head = await self.mixed.readexactly(8)
                    self.kind, self.left = head[0], int.from_bytes(head[4:], "big")
                data = await self.mixed.read(min(n, self.left) if n > 0 else self.left)
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""
            if not data:
                return b""
            self.left -= len(data)
            if self.kind == STDOUT:
                return data
            self.tail = (self.tail + data)[-TAIL_BYTES:]
