"""What a request may carry, and the one-line JSON that every refusal is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from evoguard.errors import EvoguardError, InputError

MAX_HEADER_BYTES = 8_192
MAX_SDK_BYTES = 65_536
MAX_KPI_BYTES = 262_144
MAX_LABEL = 100
MAX_STREAMS = 2_000
BODY_S = 10.0
"""A sender that takes longer for one body is cut off."""


class RefusedError(EvoguardError):
    """A request that is answered with a status of its own."""

    def __init__(self, status: int, code: str, message: str, *, retry_s: int = 0) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.retry_s = retry_s


def refusal(status: int, code: str, message: str, *, retry_s: int = 0) -> JSONResponse:
    """Return an error answer: code and message on one line."""
    headers = {"Retry-After": str(retry_s)} if retry_s else None
    return JSONResponse({"code": code, "message": " ".join(message.split())[:300]}, status, headers)


def check_headers(request: Request) -> None:
    """Refuse oversized headers. Raises: RefusedError 431."""
    if sum(len(key) + len(value) for key, value in request.headers.raw) > MAX_HEADER_BYTES:
        raise RefusedError(431, "request.headers", "the headers are larger than 8 KiB")


async def body_of(request: Request, *, most: int) -> bytes:
    """Return the whole body. Raises: RefusedError 413 beyond `most` bytes, 408 when it takes too long."""
    declared = request.headers.get("content-length", "0")
    if not declared.isascii() or not declared.isdigit() or int(declared[:12]) > most:
        raise RefusedError(413, "request.too_big", f"a body has at most {most} bytes")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise RefusedError(413, "request.too_big", f"a body has at most {most} bytes")
                parts.append(part)
    except TimeoutError as err:
        raise RefusedError(408, "request.slow", "the body did not arrive in time") from err
    except ClientDisconnect as err:
        raise RefusedError(400, "request.cut", "the body ended early") from err
    return b"".join(parts)


def object_of(raw: bytes) -> Mapping[str, object]:
    """Return a JSON object. Raises: InputError."""
    try:
        doc = json.loads(raw)
    except (ValueError, RecursionError) as err:
        raise InputError("the body is not JSON", code="request.invalid") from err
    if not isinstance(doc, dict):
        raise InputError("the body is not a JSON object", code="request.invalid")
    return doc


def label(doc: Mapping[str, object], name: str, *, default: str = "") -> str:
    """Return a short printable text of the document. Raises: InputError."""
    value = doc.get(name, default)
    if not isinstance(value, str) or not value or len(value) > MAX_LABEL or not value.isprintable():
        raise InputError(f"{name} is 1 to {MAX_LABEL} printable characters", code="request.invalid")
    return value
