import pytest

from multiconnect.store.sqlite.version import parse_version, unfit_because


@pytest.mark.parametrize(
    "version",
    ["3.44.6", "3.44.9", "3.50.7", "3.50.8", "3.51.3", "3.52.0", "3.54.1", "4.0.0"],
)
def test_fixed_releases_may_be_used(version):
    assert unfit_because(parse_version(version)) is None


@pytest.mark.parametrize(
    "version",
    ["3.37.0", "3.40.1", "3.44.5", "3.45.0", "3.49.9", "3.50.0", "3.50.6", "3.51.0", "3.51.2"],
)
def test_releases_with_the_wal_reset_race_may_not(version):
    assert f"SQLite {version} can corrupt" in (unfit_because(parse_version(version)) or "fit")


@pytest.mark.parametrize("version", ["3.6.23", "3.7.0", "3.36.0", "2.8.17"])
def test_releases_without_what_is_needed_may_not(version):
    assert "too old" in (unfit_because(parse_version(version)) or "fit")


def test_versions_are_read_leniently():
    assert parse_version("3.51") == (3, 51, 0)
    assert parse_version("3.50.4.2") == (3, 50, 4)
