"""The service that writes letters: it loads its model and prompt by digest, and counts what its callers tell.

    python examples/lending/writer.py --flags http://127.0.0.1:4242 --tokens tokens.json --versions STATE/versions

It writes one letter for each applicant of the population and posts what the callers found as KPI batches. A caller, not
the writer, says whether a letter was complete; the model is one that needs no network.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from counting import Counting, Rollout
from UnleashClient import UnleashClient  # type: ignore[attr-defined]  # its own way to export
from UnleashClient.cache import BaseCache
from UnleashClient.constants import FEATURES_URL

from evoguard.domain.version import Version
from evoguard.edge.flagging import MemoryCache, view
from evoguard.edge.versions import Loaded, VersionLoader
from evoguard.wiring.loading import loader

SERVICE = Path(__file__).with_name("service")
sys.path.insert(0, str(SERVICE))
from lending.letters import MODEL, PROMPT, complete, write  # noqa: E402

FLAG, COMPONENT = "lending-letters", "letters"
NAMES = ("Ann", "Bo Li", "Carla Maria Diaz", "Dirk Jan van den Berg")
REASONS = ("the loan is too large for the business", "revenue and age of the business cover the loan")


def built_in() -> bytes:
    """Return the version that this service was built with: the answer when everything else is gone."""
    files = {path: (SERVICE / path).read_text(encoding="utf-8") for path in (MODEL, PROMPT)}
    return Version(COMPONENT, "model", files).packed()


def open_client(url: str, token: str, cache: BaseCache) -> UnleashClient:
    """Return a stock SDK that has fetched once; one whose flag server is down has no flags."""
    client = UnleashClient(
        url=f"{url}/api", app_name="lending-writer", refresh_interval=1, metrics_interval=1,
        request_timeout=2, request_retries=0, custom_headers={"Authorization": token}, cache=cache,
    )  # fmt: skip
    client.initialize_client()
    return client


class Writer:
    """Writes letters by whatever version is loaded for the applicant."""

    def __init__(self, versions: VersionLoader) -> None:
        self.versions = versions

    def letter(self, applicant: str, told: Mapping[str, str]) -> tuple[str, Loaded]:
        """Return the letter and the version that wrote it."""
        loaded = self.versions.load(FLAG, {"userId": applicant})
        return write(loaded.version.files, **told), loaded


def told(number: int) -> dict[str, str]:
    """Return what the applicant of this number is to be told."""
    decision = ("refuse", "accept")[number % 2]
    return {"name": NAMES[number // 2 % len(NAMES)], "decision": decision, "reason": REASONS[number % 2]}


async def write_to(applicants: range, writer: Writer, cache: BaseCache, counting: Counting) -> dict[str, int]:
    """Write to each of them and post what their callers found; return how many letters each model wrote."""
    wrote: dict[str, int] = {}
    for number in applicants:
        await asyncio.sleep(0)  # whoever shares this loop goes on
        facts = told(number)
        text, loaded = writer.letter(f"applicant-{number}", facts)
        model = json.loads(loaded.version.files[MODEL])["id"]
        wrote[model] = wrote.get(model, 0) + 1
        document = json.loads(cache.get(FEATURES_URL, "{}"))
        shown = next((view(one) for one in document.get("features", []) if one["name"] == FLAG), None)
        if shown is not None and shown.change:
            counts = counting.of(Rollout(shown.change, COMPONENT, shown.known_good, shown.candidate))
            bad = not complete(text, decision=facts["decision"], reason=facts["reason"])
            counts.count(f"applicant-{number}", loaded.arm, bad=bad, ms=0)
    await counting.finish()
    return wrote


async def run(options: argparse.Namespace) -> None:
    """Write to everybody once."""
    tokens = json.loads(options.tokens.read_text())
    cache = MemoryCache()
    client = await asyncio.to_thread(open_client, options.flags, tokens["flags.read"], cache)
    try:
        async with aiohttp.ClientSession() as http:
            counting = Counting(options.flags, tokens["kpi.write"], http)
            writer = Writer(loader(client, cache, options.versions, {FLAG: built_in()}))
            print(json.dumps(await write_to(range(options.applicants), writer, cache, counting)))
    finally:
        await asyncio.to_thread(client.destroy)


def main() -> None:
    """Parse, call, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flags", required=True, help="address of the flag server, without /api")
    parser.add_argument("--tokens", type=Path, required=True, help="JSON file with flags.read and kpi.write, 0600")
    parser.add_argument("--versions", type=Path, required=True, help="the store of versions; only read")
    parser.add_argument("--applicants", type=int, default=1_000)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
