"""From the store to a View; what cannot be read is a fact."""

import pytest

from multiconnect.control.facts import Unreadable
from multiconnect.master.gather import Observer
from multiconnect.model.cluster import Snapshot
from tests.unit.master.faulty_store import FAST, beat_for, row

#: A deadline that no test reaches.
FAR_S = 1e9


@pytest.fixture
def observer(control, clock):
    return Observer(control, "m1", FAST, clock)


async def test_a_view_holds_what_was_read_and_when(control, observer, clock):
    await control.join(row("c1"))
    await beat_for(control, {"c1": 4})
    view = await observer.gather(1234.0)
    assert isinstance(view.snapshot, Snapshot)
    assert (view.me, view.now_s, view.my_deadline_s) == ("m1", clock.at_s, 1234.0)
    assert view.observed.beat_counts == {"c1": 4}
    assert view.timers is FAST


async def test_looks_build_on_each_other(control, observer, clock):
    await control.join(row("c1"))
    await observer.gather(FAR_S)
    clock.at_s += 0.04
    assert (await observer.gather(FAR_S)).beat_age_s("c1") == pytest.approx(0.04)
    await beat_for(control, {"c1": 1})
    clock.at_s += 0.04
    assert (await observer.gather(FAR_S)).beat_age_s("c1") == 0.0


@pytest.mark.parametrize("what", ["snapshot", "beats"])
async def test_what_cannot_be_read_is_a_fact_and_resets_the_stopwatches(
    what, control, observer, clock
):
    await control.join(row("c1"))
    await observer.gather(FAR_S)
    clock.at_s += 0.04
    control.failing.add(what)
    blind = await observer.gather(FAR_S)
    assert blind.snapshot == Unreadable(f"{what} did not answer")
    control.failing.clear()
    clock.at_s += 0.04
    assert (await observer.gather(FAR_S)).beat_age_s("c1") == 0.0


async def test_while_my_own_beat_is_not_stored_nobody_grows_silent(control, observer, clock):
    await control.join(row("c1"))
    await observer.gather(FAR_S)
    clock.at_s += 0.04
    await observer.gather(clock.at_s)
    clock.at_s += 0.04
    assert (await observer.gather(FAR_S)).beat_age_s("c1") == pytest.approx(0.04)


async def test_the_very_first_look_may_fail(control, observer):
    control.failing.add("snapshot")
    assert isinstance((await observer.gather(FAR_S)).snapshot, Unreadable)


async def test_another_error_is_not_swallowed(control, observer, monkeypatch):
    async def broken():
        raise ZeroDivisionError

    monkeypatch.setattr(control, "snapshot", broken)
    with pytest.raises(ZeroDivisionError):
        await observer.gather(FAR_S)
