"""The self-fence (invariant 7): sends start only while the lease runs."""

import pytest

from multiconnect.coreapp.lease import Lease
from multiconnect.model.timers import Timers

LENGTH_S = Timers().lease_ttl_s - Timers().margin_s


@pytest.fixture
def lease():
    return Lease(Timers())


def test_before_the_first_renewal_nothing_may_start(lease):
    assert not lease.valid_at(0.0)


def test_it_counts_from_before_the_renewal_was_asked_for(lease):
    lease.renewed(asked_at_s=100.0)
    assert lease.valid_at(100.0 + LENGTH_S - 0.001)
    assert not lease.valid_at(100.0 + LENGTH_S)


def test_a_late_reply_to_an_early_renewal_does_not_shorten_it(lease):
    lease.renewed(asked_at_s=100.0)
    lease.renewed(asked_at_s=99.0)
    assert lease.valid_at(100.0 + LENGTH_S - 0.001)


def test_an_ended_lease_never_comes_back(lease):
    """Declared dead while a renewal that succeeded before is still on its way back."""
    lease.renewed(asked_at_s=100.0)
    lease.end()
    assert not lease.valid_at(100.0)
    lease.renewed(asked_at_s=101.0)
    assert not lease.valid_at(101.0)
