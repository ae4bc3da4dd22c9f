"""Who may ask: tokens are kept as digests, compared in constant time, and each kind opens its own doors only."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest

from starlette.requests import Request

from evoguard.flags.bounds import RefusedError, check_headers
from evoguard.flags.memory import Memory


class Doors:
    """Looks tokens up in the server's copy; one that is not there makes the database be asked again at once."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def admitted(self, request: Request, kind: str) -> str:
        """Return what the request's token is good for: an assurance, or an environment.

        Raises: RefusedError 401, 403, 431, or 503 while nobody can be asked whether the token is valid.
        """
        check_headers(request)
        found = self._found(request)
        if found is None and "authorization" in request.headers:
            if not await self._memory.refresh(unless_within_s=0.05):
                raise RefusedError(503, "token.unknown", "tokens cannot be looked up right now", retry_s=1)
            found = self._found(request)
        if found is None:
            raise RefusedError(401, "token.invalid", "no valid token in the Authorization header")
        if found[0] != kind:
            raise RefusedError(403, "token.kind", f"this needs a {kind} token")
        return found[1]

    def open(self, request: Request, kind: str) -> bool:
        """Tell whether the request's token is still valid, as far as is known."""
        found = self._found(request)
        return found is not None and found[0] == kind

    def _found(self, request: Request) -> tuple[str, str] | None:
        token = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
        return matched(self._memory.copy.tokens, sha256(token).hexdigest())


def matched(tokens: Mapping[str, tuple[str, str]], key: str) -> tuple[str, str] | None:
    """Return what the token with this digest is; every digest is compared whole, wherever the right one stands."""
    found = None
    for held, worth in tokens.items():
        if compare_digest(held.encode("utf-8", "replace"), key.encode("ascii")):
            found = worth
    return found
