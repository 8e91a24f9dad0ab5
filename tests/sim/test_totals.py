"""What a long run leaves: totals that are true whenever it is cut short, and a table of them."""

import json

import pytest

from tests.sim.page import put_between, put_table
from tests.sim.run import run_seed
from tests.sim.totals import Totals


def test_totals_are_the_sum_of_their_seeds(tmp_path):
    file, page = tmp_path / "run.json", tmp_path / "page.md"
    totals, verdicts = Totals(5), [run_seed(seed) for seed in (5, 6)]
    for verdict in verdicts:
        totals.add(verdict)
    totals.write(file)
    found = json.loads(file.read_text())
    assert (found["first"], found["seeds"], found["violations"]) == (5, 2, 0)
    assert found["faults_injected"] == sum(sum(v.faults.values()) for v in verdicts)
    assert found["counts"]["effects"] == sum(v.counts["effects"] for v in verdicts)
    page.write_text("# A page\n\n<!-- long run: begin -->\nSTALE\n<!-- long run: end -->\nafter\n")
    put_table(file, page)
    text = page.read_text()
    assert f"| effects upstream | {found['counts']['effects']:,} |" in text
    assert "STALE" not in text
    assert text.endswith("<!-- long run: end -->\nafter\n")


def test_a_seed_that_breaks_an_invariant_is_named_in_the_totals(tmp_path):
    verdict = run_seed(3)
    totals = Totals(3, revision="r", sources="s")
    totals.add(verdict)
    assert totals.broken == {}
    totals.add(type(verdict)(**{**vars(verdict), "violations": ("[1] two owners",)}))
    totals.write(tmp_path / "run.json")
    found = json.loads((tmp_path / "run.json").read_text())
    assert (found["seeds"], found["violations"]) == (2, 1)
    assert found["broken_seeds"] == {"3": ["[1] two owners"]}
    assert "1 seeds broke an invariant" in totals.line(1.0)


def test_a_page_without_the_marks_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(SystemExit, match="has no marks"):
        put_between(page, "long run", ["x"])
