"""How a line of the benchmark's table is judged: by every reference that was measured."""

import pytest

from bench.report import figures_of, rows_of, summary, table
from bench.targets import TARGETS

OURS, ROWS, REDIS, NATS = (
    "durable.many_1000.paced",
    "sqlite.rows_1000",
    "peer.redis.pipeline_1000",
    "peer.jetstream.file",
)


def figures(**values):
    units = {target.figure: target.unit for target in TARGETS}
    return {
        name: {"value": value, "low": value, "high": value, "unit": units.get(name, "msg/s")}
        for name, value in values.items()
    }


def row(**values):
    [found] = rows_of(figures(**values))
    return found


@pytest.mark.parametrize(
    ("values", "met"),
    [
        ({OURS: 1e6, ROWS: 5e5, REDIS: 5e4, NATS: 3e4}, True),
        ({OURS: 1e6, ROWS: 5e5, REDIS: 9e4, NATS: 3e4}, False),
        # An absent reference does not decide, and those that are there do.
        ({OURS: 1e6, ROWS: 5e5}, True),
        ({OURS: 2e6, ROWS: 2e6}, False),
        # Without any, the absolute target does.
        ({OURS: 1.3e6}, True),
        ({OURS: 1.1e6}, False),
    ],
)
def test_a_line_is_met_by_all_references_that_were_measured(values, met):
    assert row(**values)["met"] is met


def test_reference_and_ratio_are_those_of_the_reference_that_is_hardest_to_meet():
    found = row(**{OURS: 1e6, ROWS: 5e5, REDIS: 9e4, NATS: 3e4})

    assert (found["reference_what"], found["reference"]) == (REDIS, 9e4)
    assert found["ratio"] == pytest.approx(1e6 / 9e4)
    assert found["ratio_target"] == 14


def test_what_is_lower_when_better_is_compared_the_other_way_round():
    found = row(**{"latency.p50": 0.5, "peer.redis.latency.p50": 1.5})

    assert (found["ratio"], found["met"]) == (3.0, True)


def test_an_absent_reference_is_named():
    rows = rows_of(figures(**{OURS: 1e6, ROWS: 5e5}))

    assert f"{REDIS} absent (≥ 14)" in table(rows)
    assert f"not measured: {REDIS}" in summary(rows)


def test_a_floor_does_not_count_among_the_lines():
    rows = rows_of(figures(**{OURS: 2e6, "durable.many_1000.at_once": 1.0}))

    assert summary(rows).startswith("1 of 1 lines met; of the floors 0 of 1")


def test_every_line_has_a_bar():
    assert [
        t.what for t in TARGETS if t.target is None and not any(r.least for r in t.references)
    ] == []


def test_figures_are_gathered_from_all_benchmarks_of_a_run():
    raw = {"benchmarks": [{"extra_info": {"figures": {"a": 1}}}, {"extra_info": {}}]}

    assert figures_of(raw) == {"a": 1}
