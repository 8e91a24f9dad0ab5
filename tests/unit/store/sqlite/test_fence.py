import apsw
import pytest

from multiconnect.store.sqlite.fence import Fence, install, refused_slots, seal
from multiconnect.store.sqlite.files import Files


@pytest.fixture
def files(tmp_path):
    files = Files(tmp_path / "m.db")
    files.make_directories()
    return files


@pytest.fixture
def ledger(files):
    seal(files, "a", [])
    connection = apsw.Connection(str(files.ledger("a")))
    yield connection
    connection.close()


def test_a_fence_lets_its_epoch_write_and_no_other(ledger):
    assert refused_slots(ledger, {0: 1}) == {0}
    assert install(ledger, 0, 1) is Fence.INSTALLED
    assert refused_slots(ledger, {0: 1, 1: 1}) == {1}
    assert refused_slots(ledger, {0: 2}) == refused_slots(ledger, {0: 0}) == {0}
    assert install(ledger, 0, 1) is Fence.STANDING


def test_a_later_epoch_replaces_an_earlier_one_and_never_the_other_way(ledger):
    install(ledger, 0, 1)
    assert install(ledger, 0, 3) is Fence.INSTALLED
    assert install(ledger, 0, 2) is Fence.REFUSED
    assert refused_slots(ledger, {0: 3}) == frozenset()


def test_a_seal_ends_its_epoch_for_good(ledger, files):
    install(ledger, 0, 2)
    seal(files, "a", [(0, 2)])
    assert refused_slots(ledger, {0: 2}) == {0}
    assert install(ledger, 0, 2) is Fence.REFUSED
    assert install(ledger, 0, 1) is Fence.REFUSED
    assert install(ledger, 0, 3) is Fence.INSTALLED


def test_a_seal_works_before_the_fence_was_installed(ledger, files):
    seal(files, "a", [(0, 2), (5, 1)])
    assert install(ledger, 0, 2) is Fence.REFUSED
    assert install(ledger, 5, 1) is Fence.REFUSED
    assert install(ledger, 5, 2) is Fence.INSTALLED


def test_a_seal_of_the_past_does_not_touch_the_present(ledger, files):
    install(ledger, 0, 5)
    seal(files, "a", [(0, 4)])
    assert refused_slots(ledger, {0: 5}) == frozenset()


def test_sealing_twice_is_sealing_once(ledger, files):
    for _ in range(2):
        seal(files, "a", [(0, 1)])
    assert ledger.execute("SELECT * FROM fence").fetchall() == [(0, 1, 1)]
