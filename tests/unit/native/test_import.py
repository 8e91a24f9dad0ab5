"""No silent slow path: without a fitting compiled core the import fails and names the remedy."""

import subprocess
import sys

import pytest

from multiconnect import _native

REMEDY = "run `./run setup` in a checkout, or `pip install .`"


def import_after(preparation):
    """Import the core in a fresh interpreter and return the end of what it says."""
    program = f"import sys\n{preparation}\nimport multiconnect._native"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)  # noqa: PLW1510
    return done.stderr.strip().splitlines()[-1] if done.returncode else "imported"


@pytest.mark.process
@pytest.mark.parametrize("module", ["hashing", "packer", "batch", "frame"])
def test_missing_module(module):
    said = import_after(f"sys.modules['multiconnect._native.{module}'] = None")
    assert said.startswith("ImportError: the compiled core of multiconnect is missing")
    assert REMEDY in said


@pytest.mark.process
def test_core_of_another_layout():
    said = import_after(
        "from multiconnect._native import layout\n"
        "layout.TABLE['SLOTS'] = 64\n"
        "del sys.modules['multiconnect._native']\n"
    )
    assert said.startswith("ImportError: the compiled core of multiconnect is out of date")
    assert REMEDY in said


def test_everything_offered_exists_and_is_compiled():
    assert _native.IMPLEMENTATION == "native"
    for name in _native.__all__:
        assert hasattr(_native, name)
    for name in ("Packer", "FrameReader"):
        assert getattr(_native, name).__module__ in {
            "multiconnect._native.packer",
            "multiconnect._native.frame",
        }


@pytest.mark.parametrize("name", ["Packer", "FrameReader"])
def test_classes_are_final(name):
    with pytest.raises(TypeError):
        type("Derived", (getattr(_native, name),), {})
