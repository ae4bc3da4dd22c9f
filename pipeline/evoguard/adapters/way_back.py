"""Revert bundles in a folder of their own: named by what they say, signed by the service, synced, proved when read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evoguard.adapters import dsse, durable, keys
from evoguard.adapters.git.ahead import Ahead
from evoguard.domain.canonical import Digest, canonical
from evoguard.domain.flag import FlagState
from evoguard.domain.way_back import WayBack, way_back_from
from evoguard.errors import EvoguardError, IntegrityError, UnavailableError
from evoguard.ports.forge import Publication
from evoguard.ports.way_back import NoWayBackError

KIND = "application/vnd.evoguard.way-back+json"
MOST = 1_000
"""Bundles looked at without a name; one is open a component."""
_NAME = re.compile(r"[0-9a-f]{64}\.json\Z")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Owed:
    """A revert that git still owes: the bundle's digest and why it could not be made."""

    digest: str
    why: str


class BundleFolder:
    """`folder` holds a file a bundle, `folder/owed` a note for each revert that git could not make yet.

    `key` is the service's private key file, None for somebody who only reads.
    """

    def __init__(self, folder: Path, key: Path | None, public_pem: bytes) -> None:
        self._folder, self._key, self._public = folder, key, public_pem

    def put(self, bundle: WayBack) -> Digest:
        """Store it, synced and read back; what is there already and proves is left alone.

        Raises: UnavailableError when it is not on the disk.
        """
        digest = bundle.digest
        with suppress(EvoguardError):
            self.get(digest)
            return digest
        if self._key is None:
            raise UnavailableError("way_back", "no private key here")
        sealed = dsse.seal(KIND, canonical(bundle.as_json()), keys.load_private(self._key))
        try:
            _made(self._folder)
            durable.write(self._folder, _file(digest), sealed.encode(), mode=0o600, replace=True)
        except OSError as err:
            raise UnavailableError("way_back", f"not on the disk: {err.strerror}", fix="check disk and owner") from err
        self.get(digest)
        return digest

    def get(self, digest: str) -> WayBack:
        """Return a bundle by what it says. Raises: UnavailableError for none, IntegrityError for anything forged."""
        name = _file(digest)
        raw = self._bytes(self._folder / name)
        try:
            body = dsse.unseal(dsse.strict_json(raw), KIND, keys.load_public(self._public))
            found = way_back_from(dsse.strict_json(body))
            if canonical(found.as_json()) != body or _file(found.digest) != name:
                raise IntegrityError("it says something else than its name", code="way_back.digest")
        except IntegrityError:
            raise
        except (EvoguardError, ValueError) as err:
            raise IntegrityError(f"the revert bundle does not verify: {err}", code="way_back.forged") from err
        return found

    def every(self) -> tuple[tuple[WayBack, ...], tuple[str, ...]]:
        """Return every bundle that proves, and the names of files that do not. Never raises."""
        good: list[WayBack] = []
        bad: list[str] = []
        for name in self._names(self._folder):
            try:
                good.append(self.get(f"sha256:{name.removesuffix('.json')}"))
            except EvoguardError:
                bad.append(name)
        return tuple(good), tuple(bad)

    def drop(self, digest: str) -> None:
        """Forget a bundle and what git owes of it. Raises: UnavailableError."""
        try:
            for path in (self._folder / _file(digest), self._folder / "owed" / _file(digest)):
                path.unlink(missing_ok=True)
        except OSError as err:
            raise UnavailableError("way_back", f"cannot be removed: {err.strerror}") from err

    def owe(self, digest: str, why: str) -> None:
        """Note that git owes this revert, synced. Raises: UnavailableError."""
        folder = self._folder / "owed"
        try:
            _made(folder)
            text = canonical({"why": _plain(why)})
            durable.write(folder, _file(digest), text, mode=0o600, replace=True)
        except OSError as err:
            raise UnavailableError("way_back", f"not noted: {err.strerror}") from err

    def paid(self, digest: str) -> None:
        """Take the note away."""
        with suppress(OSError):
            (self._folder / "owed" / _file(digest)).unlink(missing_ok=True)

    def owed(self) -> tuple[Owed, ...]:
        """Return what git owes. Never raises; a note that cannot be read still counts."""
        folder = self._folder / "owed"
        return tuple(Owed(f"sha256:{n.removesuffix('.json')}", self._why(folder / n)) for n in self._names(folder))

    def _why(self, path: Path) -> str:
        with suppress(EvoguardError):
            doc = dsse.strict_json(self._bytes(path))
            return _plain(str(doc.get("why"))) if isinstance(doc, dict) else "unreadable"
        return "unreadable"

    def _names(self, folder: Path) -> list[str]:
        with suppress(OSError):
            return sorted(name for name in os.listdir(folder) if _NAME.match(name))[:MOST]
        return []

    def _bytes(self, path: Path) -> bytes:
        try:
            file = os.open(path, _READ)
            with os.fdopen(file, "rb") as opened:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise IntegrityError("not a file", code="way_back.forged")
                return opened.read(dsse.MAX_BYTES + 1)
        except OSError as err:
            raise NoWayBackError("there is no revert bundle of this release") from err


class WaysBackOnGit:
    """The port, on a folder of bundles and the release repositories."""

    def __init__(self, folder: BundleFolder, repos_dir: Path) -> None:
        self._folder, self._git = folder, Ahead(repos_dir)

    async def keep(self, what: Publication, commit: str, *, off: FlagState, digests: Mapping[str, str]) -> Digest:
        """Make the revert ahead and store it signed. Raises: UnavailableError."""
        made = await self._git.made(what, commit)
        where = {name: getattr(what, name) for name in ("change", "repo", "component", "branch")}
        return self._folder.put(WayBack(**where, commit=commit, off=off, digests=dict(digests), **made))

    async def prove(self, digest: str, *, change: str, commit: str) -> WayBack:
        """Return the bundle of exactly this release. Raises: UnavailableError, IntegrityError."""
        found = self._folder.get(digest)
        if not found.is_of(change=change, commit=commit):
            raise IntegrityError("the revert bundle is of another release", code="way_back.other")
        return found

    async def take_back(self, digest: str, *, change: str, commit: str) -> str:
        """Put the revert made ahead on the branch. Raises: as the port says."""
        found = await self.prove(digest, change=change, commit=commit)
        try:
            tip = await self._git.take_back(found)
        except EvoguardError as err:
            self._folder.owe(digest, err.message)
            raise
        self._folder.paid(digest)
        return tip

    async def close(self, digest: str) -> None:
        """Forget the bundle."""
        if digest:
            self._folder.drop(digest)

    async def settle(self) -> None:
        """Make the reverts that git owes, as far as it can now; the worker asks again."""
        for owed in self._folder.owed():
            try:
                await self._git.take_back(self._folder.get(owed.digest))
            except NoWayBackError:  # it belonged to a release that is over
                pass
            except EvoguardError:
                continue
            self._folder.paid(owed.digest)


def _file(digest: str) -> str:
    name = f"{digest.removeprefix('sha256:')}.json"
    if not digest.startswith("sha256:") or not _NAME.match(name):
        raise NoWayBackError("the release names no revert bundle")
    return name


def _made(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True, parents=True)
    durable.sync(folder.parent)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:300]
