"""An OPA server as the engine, over opa-python-client: the port's whole contract, the same answers as in process."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import os
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contract.policies_suite import PoliciesSuite, a_question
from evoguard import bundle
from evoguard.adapters.opa_server import OpaServerPolicies
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.authoring.exporting import exported
from evoguard.errors import ConfigError, EvoguardError, UnavailableError
from real.test_opa import generated, stage_of

pytestmark = pytest.mark.needs_opa
OPA = os.environ.get("EVOGUARD_OPA", "opa")
CASES = 1_000
TOKEN = "t0" * 12


def shipped() -> bytes:
    return exported(bundle.load(), bundle.sources())


def free_port() -> int:
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def server(folder: Path, packed: bytes, *flags: str) -> Iterator[str]:
    """Run `opa run --server` with one bundle, on loopback, and yield its address."""
    (folder / "bundle.tar.gz").write_bytes(packed)
    port = free_port()
    argv = [OPA, "run", "--server", "--addr", f"127.0.0.1:{port}", "--log-level", "error", "--skip-version-check",
            *flags, "-b", "bundle.tar.gz"]  # fmt: skip
    running = subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health?bundles"):  # noqa: S310
                break
            assert running.poll() is None, running.stderr.read() if running.stderr else ""
            time.sleep(0.05)
        yield url
    finally:
        running.terminate()
        running.wait(10)
        if running.stderr:
            running.stderr.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("opa"), shipped()) as found:
        yield found


class TestOpaServer(PoliciesSuite):
    @pytest.fixture
    def policies(self, url: str) -> OpaServerPolicies:
        return OpaServerPolicies(url, bundle.load())


async def test_both_engines_say_the_same_to_a_thousand_questions(url: str) -> None:
    """Where a field is of another type, a strict server may have no verdict; in process the question is denied."""
    remote, local = OpaServerPolicies(url, bundle.load()), OpaWasmPolicies()
    allowed, unread = 0, 0
    for question in generated(CASES):
        stage = stage_of(question)
        ours = await local.decide(stage, question)
        try:
            assert await remote.decide(stage, question) == ours, question
        except UnavailableError:
            assert "input.incomplete" in {finding.code for finding in ours.deny}, question
            unread += 1
        allowed += ours.allow
    assert CASES // 20 < allowed < CASES
    assert unread < CASES // 10


async def test_the_export_is_the_same_each_time_and_names_the_bundle() -> None:
    assert shipped() == shipped()


async def test_another_bundle_is_no_verdict(url: str) -> None:
    loaded = bundle.load()
    other = replace(loaded, manifest=replace(loaded.manifest, digest="sha256:" + "0" * 64))
    with pytest.raises(UnavailableError, match="another bundle"):
        await OpaServerPolicies(url, other).decide("review", a_question())


async def test_another_version_of_opa_is_no_verdict(url: str) -> None:
    loaded = bundle.load()
    other = replace(loaded, manifest=replace(loaded.manifest, opa_version="1.0.0"))
    with pytest.raises(UnavailableError, match="reviewed with"):
        await OpaServerPolicies(url, other).decide("review", a_question())


async def test_nobody_there_is_no_verdict() -> None:
    with pytest.raises(UnavailableError, match="did not answer"):
        await OpaServerPolicies(f"http://127.0.0.1:{free_port()}", bundle.load()).decide("review", a_question())


async def test_one_that_never_answers_is_no_verdict_in_time() -> None:
    with contextlib.closing(socket.socket()) as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        slow = OpaServerPolicies(f"http://127.0.0.1:{mute.getsockname()[1]}", bundle.load(), timeout_s=0.3)
        with pytest.raises(UnavailableError, match="did not answer"):
            await slow.decide("review", a_question())


async def test_a_server_without_a_bundle_is_no_verdict(tmp_path: Path) -> None:
    other = packed({".manifest": b'{"revision": "x", "roots": ["other"]}'})
    with server(tmp_path, other) as url, pytest.raises(UnavailableError):
        await OpaServerPolicies(url, bundle.load()).decide("review", a_question())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/policies/more", b"package evoguard.rules.change.more\ndeny contains 1 if false"),
        ("/v1/policies/over", b"package evoguard\nreview := {}"),
        ("/v1/data/limits", b'{"max_files": 100000}'),
        ("/v1/data/guard/globs", b"[]"),
    ],
)
def test_nobody_puts_rules_or_numbers_beside_the_bundle_over_the_servers_api(url: str, path: str, body: bytes) -> None:
    request = urllib.request.Request(url + path, data=body, method="PUT")  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as said:
        urllib.request.urlopen(request)  # noqa: S310
    said.value.close()
    assert said.value.code == 400


async def test_an_error_inside_deny_is_no_verdict_and_not_an_allow(tmp_path: Path) -> None:
    """OPA's default makes silence of it."""
    with server(tmp_path, packed({**unpacked(shipped()), "change/zero.rego": RULE})) as url:
        with pytest.raises(UnavailableError, match="500"):
            await OpaServerPolicies(url, bundle.load()).decide("review", a_question())
        lenient = json.loads(post(f"{url}/v1/data/evoguard/review", {"input": a_question()}))
        assert lenient["result"]["allow"] is True


async def test_a_token_is_sent_and_one_that_is_wrong_is_no_verdict(tmp_path: Path) -> None:
    authz = 'package system.authz\ndefault allow := false\nallow if input.path == ["health"]\n'
    authz += f'allow if input.identity == "{TOKEN}"'
    (tmp_path / "authz.tar.gz").write_bytes(packed({".manifest": AUTHZ, "authz.rego": authz.encode()}))
    flags = ("--authentication=token", "--authorization=basic", "authz.tar.gz")
    with server(tmp_path, shipped(), *flags) as url:
        assert (await OpaServerPolicies(url, bundle.load(), token=TOKEN).decide("review", a_question())).allow
        with pytest.raises(UnavailableError, match="401"):
            await OpaServerPolicies(url, bundle.load(), token="other").decide("review", a_question())


@pytest.mark.parametrize("url", ["", "127.0.0.1:8181", "ftp://a", "http://", "http://a/x", "http://a?b=c"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as said:
        OpaServerPolicies(url, bundle.load())
    assert (said.value.code, bool(said.value.fix)) == ("policy.opa_url", True)
    assert isinstance(said.value, EvoguardError)


RULE = b"""package evoguard.rules.approval.self
deny contains "never" if 1 % input.totals.omitted == 1
"""


AUTHZ = b'{"revision": "authz", "roots": ["system/authz"]}'


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, raw in files.items():
            entry = tarfile.TarInfo(f"/{path}")
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw))
    return gzip.compress(out.getvalue(), mtime=0)


def unpacked(raw: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(raw))) as tar:
        return {entry.name.lstrip("/"): found.read() for entry in tar if (found := tar.extractfile(entry))}


def post(url: str, doc: object) -> bytes:
    request = urllib.request.Request(url, data=json.dumps(doc).encode(), method="POST")  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        raw: bytes = answer.read()
        return raw


async def test_the_worker_asks_the_server_that_settings_name_and_the_constitution_in_process(
    url: str, tmp_path: Path
) -> None:
    from evoguard.settings import Settings
    from evoguard.wiring.init import init
    from evoguard.wiring.rulebook import Rulebook, opa_ready
    from evoguard.wiring.state import open_state

    settings = Settings.load(tmp_path / "state", {"HOME": str(tmp_path)})
    init(settings)
    (settings.state / "settings.toml").write_text(f'opa_url = "{url}"\n')
    opened = open_state(Settings.load(tmp_path / "state", {"HOME": str(tmp_path)}))
    try:
        rules = Rulebook(opened, None, Path()).policies()  # type: ignore[arg-type]  # nothing is scanned here
        assert isinstance(rules.own, OpaServerPolicies)
        assert isinstance(rules.shipped, OpaWasmPolicies)
        assert (await rules.decide("review", a_question())).allow
        assert await asyncio.to_thread(opa_ready, opened.settings) == rules.digest
    finally:
        opened.close()
