import pytest

from multiconnect.errors import Refused
from multiconnect.store.migrate import Migration, migrations, pending

KNOWN = (Migration(1, "one", ""), Migration(2, "two", ""))


@pytest.mark.parametrize("family", ["control", "ledger", "beats"])
def test_every_family_is_numbered_from_one_without_gaps(family):
    found = migrations("sqlite", family)
    assert [m.version for m in found] == list(range(1, len(found) + 1))
    assert all(m.name.startswith(f"{family}_{m.version:04}_") and m.sql for m in found)


def test_what_is_pending():
    assert pending(KNOWN, 0, "x") == list(KNOWN)
    assert pending(KNOWN, 1, "x") == [KNOWN[1]]
    assert pending(KNOWN, 2, "x") == []


def test_a_newer_schema_is_refused_with_the_remedy():
    with pytest.raises(Refused, match=r"here\.db has schema version 3.*up to 2.*upgrade"):
        pending(KNOWN, 3, "here.db")
