"""Timers decide how fast, never whether; profiles whose relations do not hold are refused."""

import math

import pytest

from multiconnect.errors import InvalidSettings
from multiconnect.model.timers import PROFILES, Timers, timers_of


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_holds_together(profile):
    timers = timers_of(profile)
    # Two renewals may fail before the lease ends, and nobody judges before it has ended.
    assert timers.lease_ttl_s - timers.margin_s >= 2 * timers.renew_s
    assert timers.takeover_s > timers.lease_ttl_s * 1.04
    assert timers.silence_s >= 3 * timers.ping_s


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"renew_s": 1.0}, "2 x renew_s"),
        ({"margin_s": 1.5}, "2 x renew_s"),
        ({"lease_ttl_s": 30.0, "grace_s": 0.0}, "every timer > 0"),
        ({"ping_s": 0.3}, "silence_s >= 3"),
        ({"silence_s": 2.0}, "silence_s < lease_ttl_s"),
        ({"renew_s": 0.0}, "every timer > 0"),
        ({"renew_s": -1.0}, "every timer > 0"),
        ({"lease_ttl_s": math.nan}, "every timer > 0"),
    ],
)
def test_a_broken_relation_is_named(changed, said):
    with pytest.raises(InvalidSettings, match=said.replace("+", r"\+")):
        Timers(**changed)


def test_an_unknown_profile_names_the_known_ones():
    with pytest.raises(InvalidSettings, match="local, lan, wan, onprem"):
        timers_of("moon")
