"""The control plane's timers, and the relations that make them safe to use together."""

from __future__ import annotations

from dataclasses import dataclass

from multiconnect.errors import InvalidSettings


@dataclass(frozen=True, slots=True)
class Timers:
    """One profile of timers, in seconds.

    Timers decide how fast things happen, never whether they are right: that is the epoch's work.
    """

    renew_s: float = 0.5
    lease_ttl_s: float = 2.0
    margin_s: float = 0.2
    grace_s: float = 0.25
    ping_s: float = 0.1
    silence_s: float = 0.75
    drain_max_s: float = 1.0

    @property
    def takeover_s(self) -> float:
        """How long an observer must see no beat before it judges (design §4)."""
        return self.lease_ttl_s * 1.05 + self.grace_s

    def __post_init__(self) -> None:
        """Check the relations; raise InvalidSettings naming the one that does not hold."""
        relations = {
            "every timer > 0": all(
                value > 0
                for value in (
                    self.renew_s,
                    self.lease_ttl_s,
                    self.margin_s,
                    self.grace_s,
                    self.ping_s,
                    self.silence_s,
                    self.drain_max_s,
                )
            ),
            "2 x renew_s <= lease_ttl_s - margin_s": 2 * self.renew_s
            <= self.lease_ttl_s - self.margin_s,
            "takeover_s > lease_ttl_s x 1.04 (clock rates differ by up to 2 %)": self.takeover_s
            > self.lease_ttl_s * 1.04,
            "silence_s >= 3 x ping_s": self.silence_s >= 3 * self.ping_s,
            "silence_s < lease_ttl_s": self.silence_s < self.lease_ttl_s,
        }
        broken = [text for text, holds in relations.items() if not holds]
        if broken:
            raise InvalidSettings(f"timers {self}: {broken[0]} does not hold; adjust the profile")


PROFILES = {
    "local": Timers(),
    "lan": Timers(renew_s=0.75, lease_ttl_s=3.0, margin_s=0.3, silence_s=1.0),
    "wan": Timers(renew_s=2.0, lease_ttl_s=10.0, margin_s=1.0, grace_s=1.0, silence_s=3.0),
    # The original's figures: a heartbeat every 5 s, unhealthy after 30 s, 35 s in all.
    "onprem": Timers(
        renew_s=5.0, lease_ttl_s=30.0, margin_s=2.0, grace_s=3.5, ping_s=1.0, silence_s=29.0
    ),
}


def timers_of(profile: str) -> Timers:
    """Return the named profile; raise InvalidSettings for a name that does not exist."""
    try:
        return PROFILES[profile]
    except KeyError:
        names = ", ".join(PROFILES)
        raise InvalidSettings(f"profile {profile!r} is unknown; use one of {names}") from None
