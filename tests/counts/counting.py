"""Count the instructions that the kernel spends on a message: driver.c under callgrind.

Counts do not depend on how busy a machine is, so they can be a test where a timing cannot. What is
counted is the code of the kernel and the driver; libc picks its memcpy by the machine, so that is
left out. A compiler makes other code than the next, so each has counts of its own.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
KERNEL = HERE.parents[1] / "native"
EXPECTED = HERE / "expected.json"
WORKS = ("pack", "walk", "acknowledge")
MESSAGES = 1000
#: As CMake builds the modules for release.
FLAGS = ("-std=c11", "-O3", "-DNDEBUG", "-fPIC")
_COST = re.compile(r"[+\-*\d]\S* (\d+)")


class Uncountable(Exception):
    """Instructions cannot be counted here; the text says why."""


def compiler() -> str:
    """Return the C compiler that the modules are built with."""
    found = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if found is None:
        raise Uncountable("no C compiler was found: apt-get install gcc libc6-dev")
    return found


def counted() -> tuple[str, dict[str, float]]:
    """Return the name of this build and the instructions per message of each work."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise Uncountable("valgrind was not found: apt-get install valgrind")
    with TemporaryDirectory(prefix="mc-counts-") as folder:
        driver = _built(Path(folder))
        checksums = {work: _run(valgrind, driver, work) for work in WORKS}
        found = {work: _instructions(driver.with_name(work), driver) / MESSAGES for work in WORKS}
    return " ".join([platform.machine(), _version(), *set(checksums.values())]), found


def expected() -> dict[str, dict[str, float]]:
    """Return the recorded counts by build."""
    recorded: dict[str, dict[str, float]] = json.loads(EXPECTED.read_text("utf-8"))
    return recorded


def record() -> str:
    """Keep the counts of this build as those to expect; return what changed."""
    name, found = counted()
    known = expected() if EXPECTED.is_file() else {}
    before = known.get(name, {})
    EXPECTED.write_text(json.dumps(known | {name: found}, indent=1) + "\n", encoding="utf-8")
    lines = [f"{work}: {before.get(work, 'nothing')} -> {found[work]}" for work in WORKS]
    return "\n".join([f"instructions per message, {name}:", *lines])


def _built(folder: Path) -> Path:
    driver = folder / "driver"
    sources = [*sorted(KERNEL.glob("src/*.c")), HERE / "driver.c"]
    command = [compiler(), *FLAGS, f"-I{KERNEL / 'include'}", *map(str, sources)]
    done = subprocess.run(
        [*command, "-o", str(driver)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(f"the driver does not compile:\n{done.stderr}")
    return driver


def _run(valgrind: str, driver: Path, work: str) -> str:
    """Count one work into a file of its name; return what the driver says of its build."""
    done = subprocess.run(
        [
            *(valgrind, "-q", "--tool=callgrind", f"--toggle-collect={work}"),
            *(f"--callgrind-out-file={driver.with_name(work)}", str(driver)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"driver {work} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout.strip()


def _version() -> str:
    """Return the compiler and its major version: what its code depends on."""
    text = subprocess.run(
        [compiler(), "-dM", "-E", "-x", "c", os.devnull],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    macros = dict(re.findall(r"#define (\w+) (.+)", text))
    if "__clang_major__" in macros:
        return f"clang {macros['__clang_major__']}"
    return f"gcc {macros['__GNUC__']}"


def _instructions(output: Path, driver: Path) -> int:
    """Sum the costs of the driver's own code in a file that callgrind wrote."""
    ours, of_a_call, total = False, False, 0
    names: dict[str, str] = {}
    for line in output.read_text("utf-8").splitlines():
        key, _, value = line.partition("=")
        if key in {"ob", "cob"}:
            number, _, name = value.partition(" ")
            names[number] = name or names[number]
            ours = names[number] == str(driver) if key == "ob" else ours
        elif key == "calls":
            of_a_call = True
        elif match := _COST.fullmatch(line):
            # The line after a call says what the call cost in all: counted where it was spent.
            total += int(match[1]) if ours and not of_a_call else 0
            of_a_call = False
    return total
