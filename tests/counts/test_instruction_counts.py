"""The kernel spends no more instructions on a message than it did: pack, walk, acknowledge."""

import pytest

from tests.counts.counting import WORKS, Uncountable, counted, expected

#: More is a change that somebody should know of; so is less, which wants a new record.
TOLERANCE = 0.03
RECORD = "if that is meant: ./run bench --record-counts"


@pytest.fixture(scope="module")
def found() -> tuple[str, dict[str, float]]:
    try:
        return counted()
    except Uncountable as reason:
        pytest.skip(str(reason))


@pytest.mark.valgrind
@pytest.mark.parametrize("work", WORKS)
def test_instructions_per_message(found, work):
    build, counts = found
    if build not in expected():
        pytest.skip(f"nothing is recorded for {build!r}; ./run bench --record-counts does it")
    before = expected()[build][work]

    change = counts[work] / before - 1

    assert abs(change) <= TOLERANCE, (
        f"{work}: {counts[work]} instructions per message, {before} recorded "
        f"({change:+.1%}); {RECORD}"
    )
