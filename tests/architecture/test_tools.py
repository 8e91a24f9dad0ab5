"""The small tools that `run` relies on."""

import pytest

from tests.architecture.source_tree import ROOT
from tools import docs_check, services


def test_links_of_the_documents_resolve():
    assert docs_check.main(ROOT) == 0


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](docs/page.md)", 0),
        ("[a](docs/page.md#two-words)", 0),
        ("[a](docs/page.md#two-words-1)", 0),
        ("[a](#top)", 0),
        ("[a](mailto:someone) [b](https://example.org/x)", 0),
        ("```\n[a](gone.md)\n```\nand `[a](gone.md)`", 0),
        ("[a](gone.md)", 1),
        ("![a](docs/gone.png 'title')", 1),
        ("[a](docs/page.md#three-words)", 1),
        ("[a](../outside.md)", 1),
        ("[a]: gone.md", 1),
    ],
)
def test_a_broken_link_is_found(tmp_path, text, broken):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("# Two words\n\n## Two `words`\n")
    readme = tmp_path / "README.md"
    readme.write_text(f"# Top\n\n{text}\n")
    found = list(docs_check.broken_links(readme, tmp_path))
    assert len(found) == broken
    assert all(line.startswith("README.md:3: ") for line in found)


def test_services_are_asked_for_by_their_markers(tmp_path):
    mark = "pytest.mark"
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "test_a.py").write_text(f"@{mark}.postgres\ndef test(): ...")
    (tmp_path / "other.py").write_text(f"pytestmark = {mark}.browser")
    (tmp_path / "test_b.py").write_text(f"pytestmark = [{mark}.netns, {mark}.process]")
    assert services.marks_used(tmp_path) == {"postgres", "netns"}


def test_a_service_that_is_named_but_not_there_is_not_replaced(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(services.PG_VARIABLE, str(tmp_path))
    monkeypatch.setenv(services.CHROMIUM_VARIABLE, str(tmp_path / "chromium"))
    assert services.postgres_bin() is None
    assert services.chromium_bin() is None
    told = capsys.readouterr().err
    assert services.PG_VARIABLE in told
    assert services.CHROMIUM_VARIABLE in told
