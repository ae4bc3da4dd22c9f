"""The door to servers that hear a token of ours, our flag server first: no proxy of the environment stands in it."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPMessage
from typing import IO


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a token is for the address that it was sent to."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Return no further request."""


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)
"""Asks the address that it is given, through no proxy, and no other: the door for every request with a token."""


def get(url: str, *, wait_s: float, most: int, token: str = "") -> bytes:
    """Return at most so many bytes of an answer.

    Raises: urllib.error.HTTPError (closed) for a refusal, OSError without an answer, ValueError for no URL.
    """
    headers = {"Authorization": token} if token else {}
    try:
        with OPENER.open(urllib.request.Request(url, headers=headers), timeout=wait_s) as reply:  # noqa: S310
            return bytes(reply.read(most))
    except urllib.error.HTTPError as err:
        err.close()  # it is an answer with a socket of its own
        raise
