from hypothesis import given
from hypothesis import strategies as st

from multiconnect.model.message_id import MessageAddress
from multiconnect.upstream.simulator.seen import SeenIds

ADDRESSES = st.builds(
    MessageAddress,
    st.integers(0, 2**32 - 1) | st.integers(0, 2),
    st.integers(0, 1),
    st.integers(0, 31),
    st.integers(0, 2**64 - 1) | st.integers(0, 10) | st.integers(4090, 4100),
)


@given(st.lists(ADDRESSES, max_size=300))
def test_the_same_answers_as_a_set(addresses):
    seen, twin = SeenIds(), set()
    for address in addresses:
        assert seen.add_address(address) is (address not in twin)
        twin.add(address)
    assert seen.forgotten == 0


def test_foreign_ids():
    seen = SeenIds(foreign_max=2)
    assert [seen.add_foreign(text) for text in ("a", "a", "b", "a")] == [True, False, True, False]


def test_memory_is_bounded_and_forgetting_is_confessed():
    seen = SeenIds(pages_max=2, foreign_max=2)
    for page in range(3):
        seen.add_address(MessageAddress(1, 0, 0, page * 4096))
    assert seen.forgotten == 1
    assert not seen.add_address(MessageAddress(1, 0, 0, 2 * 4096))
    assert seen.add_address(MessageAddress(1, 0, 0, 0))
    for text in "abc":
        seen.add_foreign(text)
    assert seen.forgotten == 3


def test_dense_ids_share_pages():
    seen = SeenIds()
    assert all(seen.add_address(MessageAddress(1, 0, n & 31, n >> 5)) for n in range(0, 10**6, 97))
    assert len(seen._pages) <= 32 * 8
