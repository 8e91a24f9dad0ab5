import pytest

from multiconnect.upstream.dialect import is_bsuid


@pytest.mark.parametrize(
    "recipient", ["US.13491208655302741918", "ID.a", "US.ENT.118157", "BR." + "x" * 128]
)
def test_business_scoped_ids_are_known(recipient):
    assert is_bsuid(recipient)


@pytest.mark.parametrize(
    "recipient",
    ["16315550000", "us.123", "USA.123", "US.", "US.1-2", "US.1\n", "US.٣", "BR." + "x" * 129, ""],
)
def test_nothing_else_is(recipient):
    assert not is_bsuid(recipient)
