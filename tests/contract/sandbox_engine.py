"""A Docker engine for the tests: started by deploy/tools/dockerd.sh in a folder of its own, ended by its process id."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DOCKERD = Path(__file__).parents[2] / "deploy/tools/dockerd.sh"
START_S = 90


@dataclass(frozen=True)
class Here:
    """The engine's folder, its socket, and its port on loopback for those who hold the keys in `tls`."""

    folder: Path
    url: str
    tls_url: str

    @property
    def tls(self) -> Path:
        return self.folder / "tls"


@contextmanager
def an_engine() -> Iterator[Here]:
    """Run an engine; without one the tests are skipped with the reason, or fail with EVOGUARD_REQUIRE_REAL=1."""
    if os.geteuid() != 0:
        _without("an engine of our own needs root")
    fetched = subprocess.run([DOCKERD, "--fetch"], capture_output=True, text=True, check=False)
    if fetched.returncode:
        _without(fetched.stderr.strip())
    folder = Path(tempfile.mkdtemp(prefix="eg-docker-"))
    port = _free_port()
    keys(folder / "tls")
    env = {**os.environ, "EVOGUARD_DOCKER_TLS": str(port)}
    here = Here(folder, f"unix://{folder}/docker.sock", f"tcp://127.0.0.1:{port}")
    with (folder / "log").open("wb") as log, subprocess.Popen([DOCKERD, folder], stderr=log, env=env) as process:
        try:
            if not _answers(folder / "docker.sock", process):
                _without(f"dockerd did not start: {(folder / 'log').read_text()[-600:]}")
            yield here
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
    shutil.rmtree(folder)


def _without(why: str) -> None:
    if os.environ.get("EVOGUARD_REQUIRE_REAL") == "1":
        pytest.fail(f"no Docker engine: {why}")
    print(f"== tests: skipped for want of a Docker engine: {why}", file=sys.stderr)
    pytest.skip(f"no Docker engine: {why}")


def _answers(path: Path, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as door:
            try:
                door.settimeout(10)
                door.connect(str(path))
                door.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                if b" 200 " in door.recv(64):
                    return True
            except OSError:
                pass
        time.sleep(0.05)
    return False


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def keys(folder: Path) -> None:
    """Write an authority and the pairs it signed: ca.pem, server-{cert,key}.pem, {cert,key}.pem."""
    folder.mkdir(mode=0o700)
    above = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "evoguard tests")])
    root = _signed(name, name, above, above, x509.BasicConstraints(ca=True, path_length=0))
    (folder / "ca.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    for prefix, use in (("server-", ExtendedKeyUsageOID.SERVER_AUTH), ("", ExtendedKeyUsageOID.CLIENT_AUTH)):
        own = ec.generate_private_key(ec.SECP256R1())
        mine = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"evoguard {prefix or 'client'}")])
        made = _signed(mine, name, own, above, x509.ExtendedKeyUsage([use]))
        (folder / f"{prefix}cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        pem = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
        (folder / f"{prefix}key.pem").write_bytes(pem)


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    own: ec.EllipticCurvePrivateKey,
    above: ec.EllipticCurvePrivateKey,
    purpose: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(own.public_key())
    made = made.serial_number(x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    return made.add_extension(purpose, critical=True).add_extension(names, critical=False).sign(above, hashes.SHA256())
