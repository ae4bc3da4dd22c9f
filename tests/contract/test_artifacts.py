"""What every artifact store promises; the local one keeps files."""

from __future__ import annotations

import asyncio
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evoguard.adapters.artifacts import FileArtifacts
from evoguard.domain.canonical import Digest, digest_of
from evoguard.errors import InputError, IntegrityError, UnavailableError
from evoguard.ports.artifacts import Artifacts


@pytest.fixture
def store(tmp_path: Path) -> Artifacts:
    return FileArtifacts(tmp_path / "artifacts")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@contextmanager
def a_disk_full_after(size: int) -> Iterator[None]:
    """Let the kernel refuse every byte of a file beyond `size`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("raw", [b"", b"evidence", bytes(range(256)) * 5000])
async def test_what_was_put_comes_back(store: Artifacts, raw: bytes):
    digest = await store.put(raw)
    assert digest == digest_of(raw)
    assert await store.get(digest) == raw


async def test_putting_twice_keeps_one_file(store: Artifacts, tmp_path: Path):
    assert await store.put(b"same") == await store.put(b"same")
    assert len(files(tmp_path)) == 1


async def test_many_writers_of_one_artifact_leave_one_whole_file(store: Artifacts, tmp_path: Path):
    await asyncio.gather(*(store.put(b"same" * 1000) for _ in range(20)))
    assert [path.read_bytes() for path in files(tmp_path)] == [b"same" * 1000]


async def test_only_the_owner_can_read(store: Artifacts, tmp_path: Path):
    await store.put(b"evidence")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in files(tmp_path)}
    folders = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "artifacts").rglob("*") if p.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})


async def test_a_missing_artifact_is_an_integrity_error(store: Artifacts):
    with pytest.raises(IntegrityError) as caught:
        await store.get(digest_of(b"never stored"))
    assert caught.value.code == "artifact.missing"


@pytest.mark.parametrize("raw", [b"", b"evidence!", b"evidenc"])
async def test_a_changed_artifact_is_an_integrity_error_and_can_be_put_again(
    store: Artifacts, tmp_path: Path, raw: bytes
):
    digest = await store.put(b"evidence")
    files(tmp_path)[0].write_bytes(raw)
    with pytest.raises(IntegrityError):
        await store.get(digest)
    await store.put(b"evidence")
    assert await store.get(digest) == b"evidence"


@pytest.mark.parametrize("name", ["", "sha256:", "sha256:../../etc/passwd", "sha256:" + "A" * 64])
async def test_a_name_that_is_no_digest_is_refused(store: Artifacts, name: str):
    with pytest.raises(InputError):
        await store.get(Digest(name))


async def test_an_artifact_replaced_by_a_link_is_not_followed(store: Artifacts, tmp_path: Path):
    digest = await store.put(b"evidence")
    (tmp_path / "elsewhere").write_bytes(b"evidence")
    path = files(tmp_path / "artifacts")[0]
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError):
        await store.get(digest)


async def test_a_full_disk_gives_no_digest_and_leaves_nothing_half_written(store: Artifacts, tmp_path: Path):
    with a_disk_full_after(1000), pytest.raises(UnavailableError) as caught:
        await store.put(b"x" * 50_000)
    assert caught.value.code == "unavailable.artifacts"
    assert files(tmp_path) == []
    assert await store.get(await store.put(b"x" * 50_000)) == b"x" * 50_000


async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path):
    (tmp_path / "artifacts").write_text("a file is in the way")
    with pytest.raises(UnavailableError):
        await FileArtifacts(tmp_path / "artifacts").put(b"evidence")
