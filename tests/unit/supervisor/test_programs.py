"""What children have in common, and what each gets for itself."""

import sys

from multiconnect.config.process import ProcessSettings
from multiconnect.model.cluster import Role
from multiconnect.supervisor.programs import (
    ROLE_COMMANDS,
    SOCKET_PATH_BYTES_MAX,
    Programs,
    socket_directory,
)

TEMPLATE = ProcessSettings(
    store="s", incarnation="", name="", role=Role.WEB, upstream="null", lane_listen="10.0.0.1"
)


def test_each_role_gets_what_is_its_own(tmp_path):
    programs = Programs(TEMPLATE, tmp_path / "run", tmp_path / "logs", listen_fd=9)
    coreapp = programs.settings_for("coreapp-2", Role.COREAPP, 3)
    web = programs.settings_for("web-1", Role.WEB, 3)
    assert coreapp.socket_path == f"{tmp_path}/run/{coreapp.incarnation}.sock"
    assert (coreapp.listen_fd, coreapp.lane_listen) == (-1, "10.0.0.1")
    assert (web.socket_path, web.listen_fd, web.lane_listen) == ("", 9, "")
    assert (coreapp.name, coreapp.role, coreapp.generation) == ("coreapp-2", Role.COREAPP, 3)
    assert coreapp.log_file == f"{tmp_path}/logs/coreapp-2.log"


def test_no_incarnation_is_used_twice(tmp_path):
    programs = Programs(TEMPLATE, tmp_path, tmp_path)
    names = {programs.settings_for("web-1", Role.WEB, 0).incarnation for _ in range(50)}
    assert len(names) == 50


def test_roles_are_modules_of_this_interpreter():
    assert ROLE_COMMANDS[Role.COREAPP] == (sys.executable, "-m", "multiconnect.coreapp")
    assert set(ROLE_COMMANDS) == {Role.COREAPP, Role.MASTER, Role.WEB}


def test_sockets_lie_in_a_private_directory_cleared_of_old_ones(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "coreapp-1-old.sock").touch()
    directory = socket_directory(tmp_path)
    assert directory == tmp_path / "run"
    assert list(directory.iterdir()) == []
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_path_too_long_for_a_socket_is_avoided(tmp_path):
    directory = socket_directory(tmp_path / ("x" * 100))
    try:
        assert len(f"{directory}/coreapp-999-00000000.sock".encode()) <= SOCKET_PATH_BYTES_MAX
        assert directory.stat().st_mode & 0o777 == 0o700
    finally:
        directory.rmdir()
