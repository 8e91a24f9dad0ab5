"""The kernel's own tests, in C, under the address and undefined-behaviour sanitizers."""

import os
import shutil
import subprocess

import pytest

from tests.twin.twins import NATIVE, VECTORS

REMEDY = "apt-get install gcc libc6-dev (its libasan and libubsan come with it)"
FLAGS = (
    "-std=c11 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all "
    "-Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror"
)


@pytest.mark.process
def test_kernel_passes_its_tests_under_sanitizers(tmp_path):
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        pytest.fail(f"no C compiler found: {REMEDY}")
    program = tmp_path / "kernel_tests"
    sources = sorted([*NATIVE.glob("src/*.c"), *NATIVE.glob("tests/*.c")])
    command = [compiler, *FLAGS.split(), f"-I{NATIVE / 'include'}", *map(str, sources)]
    built = subprocess.run(
        [*command, "-o", str(program)], capture_output=True, text=True, check=False
    )
    if built.returncode:
        pytest.fail(f"the kernel does not compile with sanitizers: {REMEDY}\n{built.stderr}")

    ran = subprocess.run([program, VECTORS], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.endswith(" passed, 0 failed\n")
