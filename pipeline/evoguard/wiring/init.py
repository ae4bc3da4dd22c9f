"""A new installation: folders, database, service key, tokens."""

from __future__ import annotations

import json
import secrets

from evoguard.adapters import durable, keys, state_folder
from evoguard.adapters.sqlite import db, tokens
from evoguard.domain.events import Event
from evoguard.settings import Settings
from evoguard.wiring.state import open_state


def init(settings: Settings) -> dict[str, str]:
    """Make a new state folder and return what a person needs to know. Raises: ConfigError when one is there."""
    state_folder.create(settings.state)
    public = keys.generate(settings.service_key)
    durable.write(settings.service_pub.parent, settings.service_pub.name, public, mode=0o644)
    con = db.connect(settings.database, create=True)
    verifier = f"evoguard:{secrets.token_hex(8)}"
    con.execute("insert into meta values('verifier', ?)", (verifier,))
    issued = {
        "flags.read": tokens.issue(con, "flags.read", "first-reader", ""),
        "kpi.write": tokens.issue(con, "kpi.write", "first-router", "edge"),
    }
    con.close()
    durable.write(settings.state, "tokens.json", json.dumps(issued).encode(), mode=0o600)
    opened = open_state(settings)
    fingerprint = keys.fingerprint(keys.load_public(public))
    opened.registry.append(
        "registry", Event("registry.initialised", {"verifier": verifier, "service_key": fingerprint})
    )
    opened.close()
    return {"state": str(settings.state), "verifier": verifier, "service_key": fingerprint}
