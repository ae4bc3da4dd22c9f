"""A population of applicants: the nth user and application of a seed are always the same.

One in twenty leaves out the revenue, so every honest version answers 422 for the same 5 %.
Sectors are equally frequent.
"""

from __future__ import annotations

import hashlib

SECTORS = (
    "retail", "crafts", "software", "farming", "health",
    "education", "building", "transport", "tourism", "energy",
)  # fmt: skip
RARE = ("tourism", "energy")
"""Together a fifth of all applicants; what a careless table of sectors leaves out."""


def user(seed: int, number: int) -> str:
    """Return the id of the nth applicant; distinct for every seed and number."""
    return f"u{seed}-{number}"


def application(seed: int, number: int) -> dict[str, object]:
    """Return the nth applicant's figures; money in whole euros, `revenue` is None for about 5 %."""
    digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()
    draw = [int.from_bytes(digest[i : i + 4], "big") for i in range(0, 32, 4)]
    revenue = 20_000 + draw[0] % 980_000
    return {
        "amount": 5_000 + draw[1] % 250_000,
        "revenue": None if draw[2] % 20 == 0 else revenue,
        "profit": revenue * (draw[3] % 30 - 5) // 100,
        "debts": draw[4] % (revenue + 1),
        "years": draw[5] % 25,
        "sector": SECTORS[draw[6] % len(SECTORS)],
        "postcode": f"{1000 + draw[7] % 9000}",
    }
