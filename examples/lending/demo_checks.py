"""After the kill: do users get exactly the answers of a service that never loaded the candidate?"""

from __future__ import annotations

import asyncio
import subprocess

import aiohttp
from applicants import application, user
from demo_parts import Parts
from versions import Versions

COMPARED = 200


async def compare_answers(parts: Parts, component: str, path: str) -> str:
    """Send the same applications to the router and to a fresh known-good process; return what was found in words."""
    await asyncio.sleep(1.3)  # one poll of the SDK
    git_dir = parts.guard_repo()
    ref = f"refs/evoguard/known-good/{component}"
    commit = subprocess.run(
        ["git", "--git-dir", str(git_dir), "rev-parse", ref], check=True, capture_output=True, text=True
    ).stdout.strip()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        versions = Versions(git_dir, parts.folder / "versions-fresh", http)
        await versions.open()
        try:
            fresh = versions.want("fresh", commit)
            await fresh.tried.wait()
            same = 0
            for number in range(COMPARED):
                body, who = application(99, number), {"X-User-Id": user(99, number)}
                async with http.post(f"{parts.router_url}{path}", json=body, headers=who) as live:
                    seen = (live.status, await live.read())
                async with http.post(f"{fresh.url}{path}", json=body) as never:
                    same += seen == (never.status, await never.read())
        finally:
            await versions.close()
    return f"{same} of {COMPARED} answers after the kill equal those of a service that never loaded it"
