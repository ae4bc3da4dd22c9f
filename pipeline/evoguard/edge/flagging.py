"""What a router knows about flags: the stock Unleash SDK answers per user, its cached document names the commits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from UnleashClient import UnleashClient  # type: ignore[attr-defined]  # its own way to export
from UnleashClient.cache import BaseCache
from UnleashClient.constants import FEATURES_URL
from UnleashClient.utils import InstanceAllowType


@dataclass(frozen=True, slots=True)
class FlagView:
    """One flag as the last poll showed it; `lease_until` is unix seconds, 0.0 without a lease."""

    enabled: bool = False
    percent: int = 0
    lease_until: float = 0.0
    change: str = ""
    component: str = ""
    known_good: str = ""
    candidate: str = ""

    def on(self, now: float) -> bool:
        """Tell whether somebody may meet the candidate at `now` (unix seconds)."""
        leased = not self.lease_until or now < self.lease_until
        return bool(self.enabled and leased and self.candidate and self.candidate != self.known_good)


class MemoryCache(BaseCache):
    """The SDK's cache without a disk: a router that starts without a flag server has no flags, hence known-good."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def set(self, key: str, value: Any) -> None:  # noqa: ANN401  the SDK's own signature
        """Keep a value."""
        self._values[key] = value

    def mset(self, data: dict[str, Any]) -> None:
        """Keep values."""
        self._values.update(data)

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401  the SDK's own signature
        """Return a value."""
        return self._values.get(key, default)

    def exists(self, key: str) -> bool:
        """Tell whether a value is kept."""
        return key in self._values

    def destroy(self) -> None:
        """Forget everything."""
        self._values.clear()


class Flags:
    """The stock UnleashClient, polling every second."""

    def __init__(
        self, url: str, token: str, instance: str, changed: Callable[[], None], *, app: str = "evoguard-edge"
    ) -> None:
        self._cache = MemoryCache()
        self._client = UnleashClient(
            url=f"{url}/api",
            app_name=app,
            instance_id=instance,
            refresh_interval=1,
            metrics_interval=1,
            request_timeout=2,
            request_retries=0,
            custom_headers={"Authorization": token},
            cache=self._cache,
            multiple_instance_mode=InstanceAllowType.SILENTLY_ALLOW,
            event_callback=lambda _event: changed(),
        )

    def open(self) -> None:
        """Register and fetch once; blocks, never fails for a flag server that is down."""
        self._client.initialize_client()

    def close(self) -> None:
        """Send the last metrics and stop polling; blocks."""
        self._client.destroy()

    def meets_candidate(self, flag: str, user: str) -> bool:
        """Ask the SDK whether the flag is on for this user."""
        return bool(self._client.is_enabled(flag, {"userId": user}))

    def views(self) -> dict[str, FlagView]:
        """Return every flag of the SDK's last document, also the disabled ones; unreadable ones are off."""
        try:
            document = json.loads(self._cache.get(FEATURES_URL, "{}"))
            return {str(feature["name"]): view(feature) for feature in document.get("features", [])}
        except (ValueError, TypeError, KeyError, AttributeError):
            return {}


def payload_of(feature: Mapping[str, Any]) -> Any:  # noqa: ANN401 (the SDK's own document)
    """Return the payload of a feature's one variant; a server of Unleash's own has it in the strategy.

    Raises: KeyError, IndexError, TypeError.
    """
    variants = feature.get("variants") or feature["strategies"][0]["variants"]
    return variants[0]["payload"]


def view(feature: Mapping[str, Any]) -> FlagView:
    """Read one feature of the document; whatever is not as agreed reads as off."""
    try:
        payload = json.loads(payload_of(feature)["value"])
        strategy = (feature.get("strategies") or [{}])[0]
        leases = [c["value"] for c in strategy.get("constraints") or [] if c.get("contextName") == "currentTime"]
        return FlagView(
            enabled=feature.get("enabled") is True,
            percent=int((strategy.get("parameters") or {}).get("rollout", 0)),
            lease_until=min((_instant(text) for text in leases), default=0.0),
            change=str(payload["change"]),
            component=str(payload["component"]),
            known_good=str(payload["known_good"]),
            candidate=str(payload["candidate"]),
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return FlagView()


def _instant(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
