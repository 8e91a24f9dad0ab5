"""The map: 32 slots whatever the shard count, slot mod N (invariant 9)."""

import pytest

from multiconnect.errors import InvalidShards
from multiconnect.limits import SHARD_COUNTS, SLOTS
from multiconnect.model.shard_map import Owner, ShardMap, SlotOwnership, check_shards

NOBODY = SlotOwnership(0, None)


@pytest.mark.parametrize("shards", SHARD_COUNTS)
def test_a_shard_is_its_slots_number_modulo_the_count(shards):
    owner = SlotOwnership(3, Owner("a#1", "a", "unix:/a"))
    whole = ShardMap(1, 7, shards, (owner,) * SLOTS)
    assert [whole.shard_of_slot(slot) for slot in range(SLOTS)] == [
        slot % shards for slot in range(SLOTS)
    ]
    assert set(map(whole.shard_of_slot, range(SLOTS))) == set(range(shards))


@pytest.mark.parametrize("shards", [0, 3, 64, -1, True, 2.0, "2", None])
def test_any_other_count_is_refused_by_name(shards):
    with pytest.raises(InvalidShards, match=r"expected one of 1, 2, 4, 8, 16, 32") as refused:
        check_shards(shards)
    assert repr(shards) in str(refused.value)
    with pytest.raises(InvalidShards):
        ShardMap(1, 7, shards, (NOBODY,) * SLOTS)


@pytest.mark.parametrize("slots", [0, 31, 33])
def test_part_of_a_map_is_no_map(slots):
    with pytest.raises(ValueError, match="32 slots"):
        ShardMap(1, 7, 1, (NOBODY,) * slots)
