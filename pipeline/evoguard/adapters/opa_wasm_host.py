"""Run a policy that OPA compiled to WebAssembly: bounded in fuel and memory, a fresh instance for every question."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from importlib.metadata import version
from pathlib import Path

import wasmtime as wt

from evoguard.errors import IntegrityError, UnavailableError

PAGE_BYTES = 65_536
MAX_PAGES = 2_048
"""128 MiB: 10,000 files need 103 of them; more give no verdict, and rules refuse 101."""
FUEL = 4_000_000_000
"""Instructions a question, about 0.6 s; 1,000 files need 1/20 of it."""
MAX_RESULT_BYTES = 16_000_000
_START_PAGES = 64
_SLICE_BYTES = 65_536
_OPA_ABI = 1


class Program:
    """One compiled policy. Safe to use from many threads: nothing but the compiled code is shared between questions."""

    def __init__(
        self, wasm: bytes, *, cache_dir: Path | None = None, fuel: int = FUEL, max_pages: int = MAX_PAGES
    ) -> None:
        self._fuel, self._max_pages = fuel, max_pages
        config = wt.Config()
        config.consume_fuel = True
        self._engine = wt.Engine(config)
        try:
            self._module = _compiled(self._engine, wasm, cache_dir)
            instance = _Instance(self._engine, self._module, fuel, max_pages)
            self._entries, needs, abi = instance.entrypoints(), instance.host_functions(), instance.abi()
        except (wt.WasmtimeError, wt.Trap, _AbortError, KeyError, ValueError, MemoryError) as err:
            raise IntegrityError("policies: the compiled rules do not load", code="integrity.policies") from err
        if needs or abi != _OPA_ABI:
            raise IntegrityError(
                "policies: the compiled rules ask for functions of the host", code="integrity.policies"
            )

    @property
    def entrypoints(self) -> frozenset[str]:
        """Return the names that can be evaluated."""
        return frozenset(self._entries)

    def evaluate(self, entrypoint: str, *, data: bytes, question: bytes) -> bytes:
        """Return OPA's result set as JSON.

        Raises: UnavailableError when the rules ran out of fuel or memory, aborted or trapped; the instance is gone.
        """
        if entrypoint not in self._entries:
            raise UnavailableError("policies", "the bundle has no such entry point")
        try:
            instance = _Instance(self._engine, self._module, self._fuel, self._max_pages)
            try:
                return instance.evaluate(self._entries[entrypoint], data, question)
            finally:
                instance.close()
        except (wt.WasmtimeError, wt.Trap, _AbortError, IndexError, ValueError, MemoryError) as err:
            raise UnavailableError("policies", "the rules gave no verdict within their bounds") from err


class _AbortError(Exception):
    """OPA's runtime gave up: no memory left, or a value of the wrong shape."""


class _Instance:
    """One instantiated module with its own memory and fuel; used for one question, then dropped."""

    def __init__(self, engine: wt.Engine, module: wt.Module, fuel: int, max_pages: int) -> None:
        self._store = wt.Store(engine)
        self._store.set_fuel(fuel)
        self._store.set_limits(memory_size=max_pages * PAGE_BYTES)  # also of a memory that a module brings along
        self._memory = wt.Memory(self._store, wt.MemoryType(wt.Limits(_START_PAGES, max_pages)))
        imports = [self._import(one) for one in module.imports]
        self._exports = wt.Instance(self._store, module, imports).exports(self._store)

    def _import(self, wanted: wt.ImportType) -> wt.Memory | wt.Func:
        if wanted.module == "env" and wanted.name == "memory":
            return self._memory
        if wanted.module != "env" or not isinstance(wanted.type, wt.FuncType):
            raise ValueError("an import that OPA does not have")
        return wt.Func(self._store, wanted.type, _silent if wanted.name == "opa_println" else _abort)

    def _call(self, name: str, *args: int) -> int:
        func = self._exports[name]
        if not isinstance(func, wt.Func):
            raise ValueError("an export of another kind")
        result = func(self._store, *args)
        if not isinstance(result, int):
            raise ValueError("an export that returns no address")
        return result

    def close(self) -> None:
        """Give its memory back now: an error's traceback would hold it until the next one is asked."""
        self._store.close()

    def abi(self) -> int:
        version = self._exports["opa_wasm_abi_version"]
        if not isinstance(version, wt.Global):
            raise ValueError("no ABI version")
        return int(version.value(self._store))

    def entrypoints(self) -> dict[str, int]:
        return dict(json.loads(self._text(self._call("opa_json_dump", self._call("entrypoints")))))

    def host_functions(self) -> dict[str, int]:
        return dict(json.loads(self._text(self._call("opa_json_dump", self._call("builtins")))))

    def evaluate(self, entry: int, data: bytes, question: bytes) -> bytes:
        parsed = self._call("opa_json_parse", self._put(data), len(data))
        if not parsed:
            raise ValueError("the data is not JSON")
        at = self._put(question)
        heap = self._call("opa_heap_ptr_get")
        # opa_eval(reserved, entrypoint, data, input, input length, heap, format 0 = JSON)
        return self._text(self._call("opa_eval", 0, entry, parsed, at, len(question), heap, 0))

    def _put(self, raw: bytes) -> int:
        at = self._call("opa_malloc", len(raw))
        self._memory.write(self._store, raw, at)
        return at

    def _text(self, at: int) -> bytes:
        """Return the text up to NUL at an address; ValueError when it runs out of memory or bounds."""
        at &= 0xFFFF_FFFF
        end, out = self._memory.data_len(self._store), bytearray()
        while at < end and len(out) <= MAX_RESULT_BYTES:
            piece = bytes(self._memory.read(self._store, at, min(at + _SLICE_BYTES, end)))
            head, nul, _ = piece.partition(b"\0")
            out += head
            if nul:
                return bytes(out)
            at += len(piece)
        raise ValueError("the result has no end")


def _abort(*_args: int) -> int:
    raise _AbortError


def _silent(*_args: int) -> None:
    """Print nothing: rules do not write to the guard's output."""


def _compiled(engine: wt.Engine, wasm: bytes, cache_dir: Path | None) -> wt.Module:
    """Return the module, from the cache when its keyed digest holds, else compiled (about 0.2 s) and put there.

    Native code from a cache is code of the guard: a file without a valid MAC is never loaded.
    """
    cache = None if cache_dir is None else _Cache.open(cache_dir)
    if cache is None:
        return wt.Module(engine, wasm)
    name = hashlib.sha256(b"%s\0%s" % (version("wasmtime").encode(), wasm)).hexdigest()
    if (native := cache.get(name)) is not None:
        try:
            return wt.Module.deserialize(engine, native)
        except wt.WasmtimeError:
            pass  # written for another processor or other engine settings: compile again
    module = wt.Module(engine, wasm)
    cache.put(name, bytes(module.serialize()))
    return module


class _Cache:
    """Native code on disk, each file led by an HMAC under a key that lies beside it, 0600 in a folder of 0700."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder, self._key = folder, key

    @classmethod
    def open(cls, folder: Path) -> _Cache | None:
        """Return the cache, or None when the folder is not ours alone or cannot be used."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            about = folder.lstat()
            if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o077:
                return None
            path = folder / "key"
            if not path.exists():
                _write(path, secrets.token_bytes(32))
            key = _read_private(path)
        except OSError:
            return None
        return cls(folder, key) if len(key) == 32 else None

    def get(self, name: str) -> bytes | None:
        try:
            raw = _read_private(self._folder / f"{name}.native")
        except OSError:
            return None
        mac, native = raw[:32], raw[32:]
        return native if hmac.compare_digest(mac, self._mac(name, native)) else None

    def put(self, name: str, native: bytes) -> None:
        try:
            _write(self._folder / f"{name}.native", self._mac(name, native) + native)
        except OSError:
            return  # a cache that cannot be written costs time, nothing else

    def _mac(self, name: str, native: bytes) -> bytes:
        return hmac.digest(self._key, name.encode() + b"\0" + native, "sha256")


def _read_private(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        about = os.fstat(file.fileno())
        if about.st_uid != os.geteuid() or about.st_mode & 0o077:
            raise PermissionError("not ours alone")
        return file.read()


def _write(path: Path, raw: bytes) -> None:
    """Put `raw` under `path` at once, 0600: two processes that start together see all of one or all of the other."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(raw)
    aside.replace(path)
