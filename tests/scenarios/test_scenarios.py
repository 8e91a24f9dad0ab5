"""Each transcript beside this file is played and must show exactly what it says.

After a wanted change of behaviour run with MULTICONNECT_REWRITE=1 and read the difference: only
commit it if you understand every line of it.
"""

import os
from pathlib import Path

import pytest

from tests.scenarios.transcript import replay

HERE = Path(__file__).parent
SCENES = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("path", SCENES, ids=lambda path: path.stem)
def test_scene(path):
    told = path.read_text(encoding="utf-8")
    happened = replay(told)
    if os.environ.get("MULTICONNECT_REWRITE") == "1":
        path.write_text(happened, encoding="utf-8")
        return
    assert happened == told


def test_there_are_scenes():
    assert len(SCENES) >= 8


def test_a_wrong_line_is_noticed():
    """Playing depends on the commands alone, never on what the file says will happen."""
    told = SCENES[0].read_text(encoding="utf-8")
    lies = told.replace("to c2", "to c9").replace("----\n", "----\nnothing of the sort\n", 1)
    assert lies != told
    assert replay(lies) == replay(told)
