"""An edge from its settings: flags, counts, proxy and their end."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress

import aiohttp
from aiohttp import web

from evoguard.edge.delivery import Delivery
from evoguard.edge.flagging import Flags
from evoguard.edge.proxy import Proxy, open_session
from evoguard.edge.settings import EdgeSettings, tokens_of
from evoguard.edge.starting import Started
from evoguard.errors import UnavailableError

TICK_S = 0.2


async def listen(proxy: Proxy, settings: EdgeSettings) -> web.AppRunner:
    """Answer requests until the runner is cleaned up. Raises: UnavailableError when the address is taken."""
    app = web.Application(client_max_size=settings.most_request_bytes)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=settings.timeout_s)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as err:
        await runner.cleanup()
        raise UnavailableError("edge", f"cannot listen on {settings.host}:{settings.port}") from err
    return runner


async def serve(settings: EdgeSettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Raises: InputError for the tokens, UnavailableError for address or journals."""
    # A flag server that is down is not news every second, and who sends malformed bytes must not fill the log.
    for noisy in ("UnleashClient", "apscheduler", "aiohttp.server"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL + 1)
    tokens = tokens_of(settings.tokens)
    try:
        settings.journals.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise UnavailableError("edge", "the folder of the journals cannot be made") from err
    fleet = Started(settings.start, linger_s=settings.timeout_s) if settings.start else None
    flags = Flags(settings.guard, tokens["flags.read"], f"edge-{os.getpid()}", lambda: None)
    async with open_session(settings) as http, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as own:
        delivery = Delivery(settings.guard, tokens["kpi.write"], settings.journals, own)
        proxy = Proxy(settings, flags, delivery, http, fleet)
        try:
            if fleet is not None:
                await fleet.open(settings.known_good)
            await asyncio.to_thread(flags.open)
            await _run(proxy, delivery, settings, stop)
        finally:
            if fleet is not None:
                await fleet.close()
            await delivery.finish()
            await asyncio.to_thread(flags.close)


async def _run(proxy: Proxy, delivery: Delivery, settings: EdgeSettings, stop: asyncio.Event) -> None:
    """Answer until `stop`; when following or counting fails the edge ends rather than go on blind."""

    async def following() -> None:
        while True:
            proxy.follow()
            await asyncio.sleep(TICK_S)

    proxy.follow()
    runner = await listen(proxy, settings)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(following()), group.create_task(delivery.run())]
            with suppress(asyncio.CancelledError):
                await stop.wait()
            for task in tasks:
                task.cancel()
    finally:
        await runner.cleanup()
