"""Tokens from the command line, and the file that an app starts from: what is on in it, and when there is none."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache
from UnleashClient.utils import InstanceAllowType

from evoguard.adapters import latch_files
from evoguard.adapters.latches import FileLatches
from evoguard.adapters.sqlite import db, tokens
from evoguard.adapters.sqlite.flags import SqliteFlags, SqliteFlagStore
from evoguard.cli import exit_codes
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import Latch
from evoguard.errors import ConfigError, InputError
from evoguard.flags.doors import matched
from evoguard.wiring import flags
from evoguard.wiring.orders import known
from unit.cli.installed import Installed

READ = "flags.read"


def valid(installed: Installed, secret: str) -> tuple[str, str] | None:
    """Return what the server takes a secret for."""
    return matched(SqliteFlagStore(installed.settings.database).tokens(), tokens.token_hash(secret))


def write(installed: Installed, name: str, **changes) -> None:
    fields = {"enabled": True, "percent": 100, "lease_until": 0, **changes}
    state = FlagState(name, name, "ch-0123456789ab", known_good="a" * 40, candidate="b" * 40, epoch=0, **fields)

    async def put() -> None:
        with closing(db.connect(installed.settings.database)) as con:
            await SqliteFlags(con, FileLatches(installed.settings.kill_dir, lambda _: None)).write(state)

    asyncio.run(put())


def test_several_tokens_of_one_name_are_valid_at_once_and_one_is_revoked_by_its_id(installed: Installed) -> None:
    first, second = (installed.json("flags", "issue", "checkout").doc for _ in range(2))
    assert valid(installed, str(first["token"])) == valid(installed, str(second["token"])) == (READ, "production")
    assert installed.json("flags", "revoke", str(first["id"])).doc == {"revoked": 1}
    assert valid(installed, str(first["token"])) is None
    assert valid(installed, str(second["token"])) == (READ, "production")
    assert installed.json("flags", "revoke", "checkout").doc == {"revoked": 1}
    assert valid(installed, str(second["token"])) is None


def test_only_digests_are_kept_and_listed(installed: Installed) -> None:
    made = installed.json("flags", "issue", "page", "--kind", "frontend.read", "--environment", "staging").doc
    secret = str(made["token"])
    assert secret.startswith("*:staging.")
    listed = installed.run("flags", "tokens", "--json").out
    row = next(one for one in json.loads(listed)["tokens"] if one["name"] == "page")
    assert row == {"id": made["id"], "kind": "frontend.read", "name": "page", "environment": "staging", "assurance": ""}
    assert secret not in listed
    kept = b"".join(path.read_bytes() for path in installed.settings.state.glob("evoguard.db*"))
    assert secret.encode() not in kept
    assert secret.rpartition(".")[2].encode() not in kept
    assert valid(installed, secret) == ("frontend.read", "staging")
    assert valid(installed, tokens.token_hash(secret)) is None


@pytest.mark.parametrize(
    "words",
    [("checkout", "--kind", "admin"), ("A B",), ("tok-0123456789ab",), ("a", "--environment", "A B"), ("a", "--own",
     "--kind", "frontend.read"), ("a", "--kind", "kpi.write"), ("a", "--assurance", "edge"), ("x" * 61,)],
)  # fmt: skip
def test_a_token_that_is_none_is_refused(installed: Installed, words: tuple[str, ...]) -> None:
    answer = installed.json("flags", "issue", *words)
    assert (answer.code, answer.error["code"]) == (exit_codes.USAGE, "token.invalid")


def test_there_are_only_so_many_tokens(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_TOKENS", 2)
    assert installed.json("flags", "issue", "third").error["code"] == "token.many"


def test_the_guards_own_token_is_revoked_only_after_it_has_another(installed: Installed) -> None:
    before = flags.token(installed.settings, READ)
    assert installed.json("flags", "revoke", "first-reader").error["code"] == "token.own"
    made = installed.json("flags", "issue", "guard-2", "--own")
    assert "token" not in made.doc
    after = flags.token(installed.settings, READ)
    assert (after == before, valid(installed, before), valid(installed, after)) == (
        False, (READ, "production"), (READ, "production"),
    )  # fmt: skip
    assert flags.token(installed.settings, "kpi.write")
    assert (installed.settings.state / "tokens.json").stat().st_mode & 0o777 == 0o600
    assert installed.json("flags", "revoke", "first-reader").doc == {"revoked": 1}
    assert installed.json("flags", "revoke", "nobody").error["code"] == "token.unknown"


@pytest.mark.parametrize("raw", [None, "", "{", "[]", "{}", '{"flags.read": 7}', '{"kpi.write": "x"}', "[" * 60_000])
def test_without_its_token_file_the_guard_has_no_token_and_revokes_nothing(installed: Installed, raw) -> None:
    path = installed.settings.state / "tokens.json"
    path.unlink() if raw is None else path.write_text(raw)
    with pytest.raises(ConfigError) as caught:
        flags.token(installed.settings, READ)
    assert (caught.value.code, "--own" in caught.value.fix) == ("token.missing", True)
    if raw != '{"kpi.write": "x"}':
        assert installed.json("flags", "revoke", "first-router").error["code"] == "token.missing"
    assert installed.json("flags", "issue", "guard", "--own").code == exit_codes.DONE
    assert valid(installed, flags.token(installed.settings, READ)) == (READ, "production")


def test_a_row_that_is_no_token_lets_nobody_in(installed: Installed) -> None:
    with closing(sqlite3.connect(installed.settings.database)) as con, con:
        con.execute("delete from tokens")
        for key, kind in (
            ("", READ),
            ("x", READ),
            (tokens.token_hash("a"), "admin"),
            (tokens.token_hash("b") + " ", READ),
        ):
            con.execute("insert into tokens values(?,?,'','n')", (key, kind))
    assert SqliteFlagStore(installed.settings.database).tokens() == {}


def test_every_digest_is_compared_wherever_the_right_one_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def counting(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return a == b

    monkeypatch.setattr("evoguard.flags.doors.compare_digest", counting)
    held = {tokens.token_hash(str(n)): (READ, str(n)) for n in range(5)}
    for n in (0, 4, 9):
        compared.clear()
        assert matched(held, tokens.token_hash(str(n))) == ((READ, str(n)) if n < 5 else None)
        assert len(compared) == 5


def an_sdk_started_from(path: Path, cache: Path) -> UnleashClient:
    store = FileCache("bootstrap", directory=str(cache))
    store.bootstrap_from_file(path)
    return UnleashClient("http://127.0.0.1:9/api", "app", cache=store, disable_metrics=True, disable_registration=True,
                         multiple_instance_mode=InstanceAllowType.SILENTLY_ALLOW)  # fmt: skip


def test_a_stock_sdk_starts_from_the_file_with_what_was_promoted_and_nothing_else(
    installed: Installed, tmp_path: Path
) -> None:
    write(installed, "promoted")
    write(installed, "killed")
    write(installed, "off", enabled=False)
    write(installed, "early", percent=10, lease_until=4_000_000_000)
    write(installed, "late", percent=100, lease_until=4_000_000_000)
    write(installed, "half", percent=50)
    beside = {"features": [{"name": name, "enabled": True, "strategies": []} for name in ("promoted-too", "early")]}
    (installed.settings.state / "unguarded-flags.json").write_text(json.dumps(beside))
    latch_files.write_latch(installed.settings.kill_dir, Latch("", 0, "flag", "killed", "test", "ann", 1))
    out = tmp_path / "start.json"
    doc = installed.json("flags", "bootstrap", "--out", str(out)).doc
    assert (doc["on"], doc["off"]) == (["promoted", "promoted-too"], ["early", "half", "killed", "late", "off"])
    sdk = an_sdk_started_from(out, tmp_path / "cache")
    try:
        on = {name for name in (*doc["on"], *doc["off"]) if sdk.is_enabled(name, {"userId": "user-1"})}
        assert on == {"promoted", "promoted-too"}
        variant = sdk.get_variant("killed", {"userId": "user-1"})
        assert variant["enabled"] is False
    finally:
        sdk.destroy()
    assert json.loads(installed.run("flags", "bootstrap").out) == json.loads(out.read_text())
    latch_files.write_latch(installed.settings.kill_dir, Latch("", 0, "all", "", "test", "ann", 1))
    assert installed.json("flags", "bootstrap", "--out", str(out)).doc["on"] == []


@pytest.mark.parametrize("broken", ["database", "latch", "document", "folder"])
def test_nothing_is_written_when_something_cannot_be_read(installed: Installed, tmp_path: Path, broken: str) -> None:
    write(installed, "promoted")
    state = installed.settings.state
    if broken == "database":
        (state / "evoguard.db").write_bytes(b"not a database" * 100)
    elif broken == "latch":
        (installed.settings.kill_dir / "kill-0123456789abcdef.json").write_text("{")
    elif broken == "document":
        (state / "unguarded-flags.json").write_text("{")
    out = tmp_path / "none" / "start.json" if broken == "folder" else tmp_path / "start.json"
    answer = installed.json("flags", "bootstrap", "--out", str(out))
    assert answer.code != exit_codes.DONE
    assert answer.error["fix"] or answer.error["retryable"]
    assert not out.exists()


def test_a_database_restored_from_before_a_kill_turns_nothing_on_in_the_file(installed: Installed) -> None:
    write(installed, "promoted")
    off = FlagState("promoted", "promoted", "ch-0123456789ab", False, 100, "a" * 40, "b" * 40, 0, 0)
    copy = {"v": 1, "rev": 9, "tokens": {}, "flags": [off.as_json()]}
    (installed.settings.state / "flags.json").write_text(json.dumps(copy))
    (row,) = json.loads(installed.run("flags", "bootstrap").out)["features"]
    assert row["enabled"] is False


def test_a_name_is_refused_before_anything_is_stored(installed: Installed) -> None:
    with closing(db.connect(installed.settings.database)) as con:
        for name in ("", "a/b", "tok-1"):
            with pytest.raises(InputError):
                tokens.issue(con, READ, name)
        assert {one.name for one in tokens.listed(con)} == {"first-reader", "first-router"}


def test_a_kill_knows_the_operators_own_flags_by_name(installed: Installed) -> None:
    (installed.settings.state / "unguarded-flags.json").write_text('{"features": [{"name": "banner"}]}')
    assert known(installed.settings, [("flag", "banner"), ("flag", "bannre"), ("component", "banner")]) == (
        True, False, False,
    )  # fmt: skip
    (installed.settings.state / "unguarded-flags.json").write_text('{"features": [7]}')
    assert known(installed.settings, [("flag", "banner")]) == (False,)
