"""Processes told apart beyond their pid."""

import os
import subprocess
import sys

from multiconnect.config.process import PROCESS_VARIABLE, ProcessSettings
from multiconnect.model.cluster import Role
from multiconnect.supervisor import identity


def fake_stat(proc, pid, text):
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "stat").write_text(text)


def stat_line(pid, name, state="S", parent=1, start=4242):
    return f"{pid} ({name}) {state} {parent} " + " ".join(["0"] * 17) + f" {start} 0 0\n"


def test_a_name_with_blanks_and_parentheses_does_not_shift_the_fields(tmp_path):
    fake_stat(tmp_path, 7, stat_line(7, "a) S 99 (b", parent=3, start=555))
    assert identity.start_ticks(7, tmp_path) == 555
    assert identity.parent_pid(7, tmp_path) == 3
    assert not identity.is_zombie(7, tmp_path)


def test_a_zombie_is_told(tmp_path):
    fake_stat(tmp_path, 8, stat_line(8, "x", state="Z"))
    assert identity.is_zombie(8, tmp_path)


def test_nobody_has_no_start(tmp_path):
    assert identity.start_ticks(9, tmp_path) == 0
    assert identity.parent_pid(9, tmp_path) == 0
    assert not identity.is_zombie(9, tmp_path)


def test_our_own_process_is_found_in_the_real_proc():
    assert identity.start_ticks(os.getpid()) > 0
    assert identity.parent_pid(os.getpid()) == os.getppid()


def test_a_later_process_starts_later():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert identity.start_ticks(child.pid) >= identity.start_ticks(os.getpid())
        assert identity.parent_pid(child.pid) == os.getpid()


def test_a_child_is_known_by_what_it_was_started_as(tmp_path):
    settings = ProcessSettings(store="s", incarnation="web-1-aa", name="web-1", role=Role.WEB)
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "environ").write_bytes(
        b"A=1\0" + f"{PROCESS_VARIABLE}={settings.to_json()}".encode() + b"\0B=2\0"
    )
    (tmp_path / "8").mkdir()
    (tmp_path / "8" / "environ").write_bytes(b"A=1\0")
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "environ").write_bytes(f"{PROCESS_VARIABLE}=garbage".encode())
    assert [identity.started_as(pid, tmp_path) for pid in (7, 8, 9, 10)] == ["web-1-aa", "", "", ""]


def test_the_boot_names_kernel_and_pid_namespace():
    kernel, _, namespace = identity.boot_id().partition("/")
    assert len(kernel) == 36
    assert namespace.startswith("pid:[")


def test_no_boot_is_known_without_proc(tmp_path):
    assert identity.boot_id(tmp_path) == ""


def test_incarnations_keep_the_name_and_differ():
    first, second = (identity.new_incarnation("coreapp-3") for _ in range(2))
    assert first != second
    assert first.startswith("coreapp-3-")
    assert len(first.rpartition("-")[2]) == 8


def test_the_host_may_be_named(monkeypatch):
    monkeypatch.setenv("MULTICONNECT_HOST", "rack-7")
    assert identity.host_name() == "rack-7"
