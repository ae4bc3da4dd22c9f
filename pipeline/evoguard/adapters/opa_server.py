"""Policies on an OPA server: the same bundle, OPA's own engine, strict about builtin errors, over opa-python-client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from evoguard.adapters.opa_wasm import decided, question_bytes, strict_json
from evoguard.bundle import Bundle
from evoguard.domain.canonical import Digest, Json
from evoguard.domain.verdict import Decision, Floor, PolicyStage
from evoguard.errors import ConfigError, UnavailableError

TIMEOUT_S, MOST_BYTES = 5.0, 4_000_000
PARAMS = {"strict-builtin-errors": "true", "provenance": "true"}
"""Without the first, an error inside `deny` is silence, an allow. The second has each answer name its bundle."""
EXPORT = "`evoguard policy export` writes the bundle that is in force; start OPA with it"


class OpaServerPolicies:
    """One bundle that an OPA server has loaded; each answer must name exactly this bundle and this version of OPA."""

    def __init__(self, url: str, loaded: Bundle, *, token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        self.bundle, self.manifest = loaded, loaded.manifest
        self._where: dict[str, Any] = {**_place(url), "timeout": timeout_s, "retries": 0, "token": token or None}

    @property
    def digest(self) -> Digest:
        """Return the identity of rules, data, capabilities and engine."""
        return self.manifest.digest

    @property
    def data(self) -> Mapping[str, Json]:
        """Return the bundle's numbers and lists."""
        return self.bundle.numbers

    async def decide(self, stage: PolicyStage, question: Mapping[str, Json]) -> Decision:
        """Return the decision on one question.

        Raises: InputError as `question_bytes`; UnavailableError when there is no verdict: no answer in time, a builtin
        error, another bundle or version than the guard's, or anything but one whole decision.
        """
        await asyncio.to_thread(question_bytes, question)
        answer = await self._ask(f"evoguard/{stage}", question)
        if "result" not in answer:
            raise UnavailableError("policies", "no verdict: the OPA server knows no such rule", fix=EXPORT)
        return decided(answer["result"], rules=self.manifest.rules)

    async def floor(self, stage: PolicyStage, question: Mapping[str, Json]) -> Floor | None:  # noqa: ARG002  (the port's)
        """Return None: one bundle holds nothing over itself."""
        return None

    async def ready(self) -> None:
        """Return when the server has this bundle. Raises: UnavailableError, ConfigError."""
        await self._ask("rules", {})

    async def _ask(self, path: str, question: Mapping[str, Json]) -> dict[str, Any]:
        from aiohttp import ClientError, ClientResponseError

        try:
            async with _client(self._where) as client:
                answer = strict_json(await _answer(client, path, question))
        except ClientResponseError as err:
            raise UnavailableError("policies", f"no verdict: the OPA server said {err.status}", fix=EXPORT) from err
        except (ClientError, OSError, TimeoutError, ValueError, RecursionError) as err:
            raise UnavailableError(
                "policies", f"no verdict: the OPA server did not answer ({type(err).__name__})",
                fix="start it, or take opa_url out of the settings to judge in process",
            ) from err  # fmt: skip
        doc = answer if isinstance(answer, dict) else {}
        self._must_be_ours(doc.get("provenance"))
        return doc

    def _must_be_ours(self, provenance: object) -> None:
        """Hold the answer to the bundle and the engine that people reviewed: both are part of the digest."""
        told = provenance if isinstance(provenance, dict) else {}
        bundles = told.get("bundles")
        loaded = bundles.values() if isinstance(bundles, dict) else ()
        revisions = [one.get("revision") for one in loaded if isinstance(one, dict)]
        if revisions.count(self.digest) != 1:  # beside it others may stand, such as who may ask: roots never overlap
            raise UnavailableError(
                "policies", "no verdict: the OPA server has another bundle than the guard", fix=EXPORT
            )
        if told.get("version") != self.manifest.opa_version:
            raise UnavailableError(
                "policies",
                f"no verdict: the OPA server is version {str(told.get('version'))[:20]}, the rules were built and"
                f" reviewed with {self.manifest.opa_version}",
                fix=f"run OPA {self.manifest.opa_version}",
            )


def _place(url: str) -> dict[str, Any]:
    """Return host, port and whether TLS is spoken. Raises: ConfigError for an address that names more, or less."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    more = parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("http", "https") or not host or port == 0 or more:
        raise ConfigError(f"opa_url: {url[:100]!r} is not http(s)://HOST:PORT", code="policy.opa_url",
                          fix="as http://127.0.0.1:8181; a token stands in opa_token_file")  # fmt: skip
    secure = parts.scheme == "https"
    return {"host": f"[{host}]" if ":" in host else host, "port": port or (443 if secure else 8181), "ssl": secure}


async def _answer(client: Any, path: str, question: Mapping[str, Json]) -> bytes:  # noqa: ANN401  (without types)
    """Return the bytes of an answer, so many at most; what is elsewhere is not followed.

    The client's own `query_rule` follows a redirect, and reads and believes an answer of any size.
    """
    url = f"{client.root_url}/data/{path}?{urlencode(PARAMS)}"
    async with client._request("POST", url, json={"input": dict(question)}, allow_redirects=False) as response:
        response.raise_for_status()
        raw = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            raw += chunk
            if len(raw) > MOST_BYTES:
                raise ValueError("the answer is too long")
        return bytes(raw)


def _client(where: Mapping[str, Any]) -> Any:  # noqa: ANN401  (a library without types)
    try:
        from opa_client.opa_async import AsyncOpaClient  # type: ignore[import-untyped]
    except ImportError as err:
        raise ConfigError(
            "opa_url is set, but opa-python-client is not installed", code="policy.opa_client",
            fix="install evoguard with its extra `opa-server`",
        ) from err  # fmt: skip
    return AsyncOpaClient(**where)
