"""What a seed stands for: the cluster, its clients and how rough the minute will be."""

import random
from dataclasses import dataclass

from multiconnect.limits import ROUTER_PARKED_BYTES_MAX
from multiconnect.model.timers import PROFILES, Timers

#: The shipped profiles, and leases of 0.6 s: more of them end in the same time.
_PROFILES = {
    "quick": Timers(
        renew_s=0.15, lease_ttl_s=0.6, margin_s=0.06, grace_s=0.08, ping_s=0.05, silence_s=0.25,
        drain_max_s=0.4,
    ),
    **PROFILES,
}  # fmt: skip
#: How often each is drawn.
_SHARES = {"quick": 0.3, "local": 0.3, "lan": 0.1, "wan": 0.15, "onprem": 0.15}


@dataclass(frozen=True)
class Options:
    """One simulated cluster. Everything in here is derived from the seed (or set by a scenario)."""

    seed: int
    coreapps: int = 4
    shards: int = 2
    recipients: int = 20
    #: Messages a second, per router.
    rate_per_s: float = 20.0
    faults_s: float = 5.0
    faults: int = 6
    #: Supervisors kill children that say nothing (STONITH); without that only the lease tells.
    kills_silent: bool = True
    in_doubt_resend: bool = True
    #: The upstream takes each message id once.
    dedupes: bool = False
    #: Share of effects that a webhook reports on.
    webhooks: float = 0.0
    parked_max_bytes: int = ROUTER_PARKED_BYTES_MAX
    #: Windows, groups and claims of a few messages, so that they are full all the time.
    small_limits: bool = False
    #: Messages a second over all owners; None: no limit.
    number_rate: float | None = None
    batch_max: int = 4
    upstream_latency_s: float = 0.01
    profile: str = "local"
    #: How much slower than one fast machine the network and the disk are.
    pace: float = 1.0

    @property
    def timers(self) -> Timers:
        """The control plane's timers."""
        return _PROFILES[self.profile]

    def __str__(self) -> str:
        words = [
            f"{self.coreapps} CoreApps, {self.shards} shards",
            f"{self.rate_per_s:.1f} messages/s per router to {self.recipients} recipients",
            f"{self.faults} faults in {self.faults_s:.1f} s",
            "silent children are killed" if self.kills_silent else "nobody kills silent children",
            "in doubt: resend" if self.in_doubt_resend else "in doubt: unknown",
        ]
        words += [f"network and disk {self.pace:.0f} x slower"] if self.pace != 1 else []
        words += ["the upstream dedupes"] if self.dedupes else []
        words += [f"{self.profile} leases"] if self.profile != "local" else []
        words += ["small limits"] if self.small_limits else []
        words += [f"{self.number_rate:.0f} messages/s upstream"] if self.number_rate else []
        words += [f"webhooks for {self.webhooks:.0%}"] if self.webhooks else []
        if self.parked_max_bytes < ROUTER_PARKED_BYTES_MAX:
            words.append(f"routers park {self.parked_max_bytes} bytes")
        return "; ".join(words)


def options_of(seed: int) -> Options:
    """Return what a seed stands for."""
    rng = random.Random(f"options/{seed}")
    coreapps = rng.choice([3, 4, 4, 5])
    pace = rng.choice([1.0, 5.0, 15.0, 25.0])
    profile = rng.choices([*_SHARES], [*_SHARES.values()])[0]
    longer = stretch_of(profile)
    return Options(
        seed=seed,
        coreapps=coreapps,
        shards=rng.choice([1, 2, 2, 4]) if coreapps > 3 else rng.choice([1, 2]),
        recipients=rng.choice([6, 20, 20, 40]),
        rate_per_s=rng.choice([5.0, 10.0, 20.0]) / longer,
        faults_s=rng.uniform(3.0, 6.0) * longer,
        faults=rng.randint(2, 7),
        kills_silent=rng.random() < 0.6,
        in_doubt_resend=rng.random() < 0.85,
        dedupes=rng.random() < 0.25,
        webhooks=rng.choice([0.0, 0.0, 0.3]),
        parked_max_bytes=rng.choice([ROUTER_PARKED_BYTES_MAX] * 4 + [700]),
        small_limits=rng.random() < 0.3,
        number_rate=rng.choice([None, None, None, 80.0]),
        batch_max=rng.choice([1, 4, 16]),
        pace=pace,
        profile=profile,
        upstream_latency_s=rng.choice([0.004, 0.02, 0.08]),
    )


def stretch_of(profile: str) -> float:
    """Return how much longer a history must be in which as many leases may end."""
    return max(1.0, _PROFILES[profile].takeover_s / _PROFILES["local"].takeover_s)
