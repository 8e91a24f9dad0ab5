"""A PostgreSQL server of our own: made in a temporary directory, ended by its pid, thrown away.

The server refuses to run as root, so under root it runs as `postgres` or `nobody`. Where its
programs are is said by MULTICONNECT_PG_BIN (which `./run test` sets), by pg_config, or found.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import asyncpg
import pytest

from multiconnect.store.migrate import migrations
from multiconnect.store.open import open_store
from multiconnect.supervisor.liveness import die_with_parent
from tools import services

START_MAX_S = 30.0
USER = "multiconnect"
SECRET_USER = "secretive"
PASSWORD = "canary-of-a-password"
_SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_min_messages": "warning",
    # A crash of the server loses nothing that was written to the kernel; tests cut no power.
    "fsync": "off",
}
_ACCESS = """
host  all {secret} 127.0.0.1/32 scram-sha-256
host  all all      127.0.0.1/32 trust
host  all all      samenet      trust
local all all      trust
"""

_EMPTY = """DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = current_schema() AND tablename <> 'schema_version'
    LOOP
        EXECUTE format('DELETE FROM %I', name);
    END LOOP;
END $$"""
#: What a migration puts into its tables, at the left margin (not what its functions do).
_FIRST_ROWS = re.compile(r"^INSERT INTO .*?;$", re.MULTILINE | re.DOTALL)


class PostgresServer:
    """One server; `url` makes a new, empty store on it. `host` is the address it listens on."""

    #: Where its folder is made; short, because the path of a socket must be.
    place = "/tmp"

    def __init__(self, bin_dir: Path, host: str = "127.0.0.1") -> None:
        self._bin = bin_dir
        self.host = host
        self._account = _account()
        self.folder = Path(tempfile.mkdtemp(prefix="multiconnect-pg-", dir=self.place))
        self.data = self.folder / "data"
        self.port = _free_port(host)
        self._process: subprocess.Popen[bytes] | None = None
        self._schemas = count(1)
        #: Settings other than ours, from the next start on.
        self.settings: dict[str, str] = {}

    # --- life --------------------------------------------------------------------------------
    def make(self) -> None:
        """Make the files of a new server."""
        if self._account is not None:
            shutil.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        self._run(
            "initdb", "-D", str(self.data), "-U", USER, "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-sync",
        )  # fmt: skip
        (self.data / "pg_hba.conf").write_text(_ACCESS.format(secret=SECRET_USER))

    def start(self) -> None:
        """Start it and wait until it answers."""
        place = {"port": str(self.port), "unix_socket_directories": self.folder}
        settings = {**_SETTINGS, "listen_addresses": self.host, **place, **self.settings}
        options = [part for item in settings.items() for part in ("-c", "=".join(map(str, item)))]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.data, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                # A test run that is killed must not leave a server behind. (One system call only.)
                preexec_fn=die_with_parent,  # noqa: PLW1509
                **self._as_account(),
            )  # fmt: skip
        deadline = time.monotonic() + START_MAX_S
        while self._probe():
            assert self._process.poll() is None, self.log()[-3000:]
            assert time.monotonic() < deadline, self.log()[-3000:]
            time.sleep(0.02)

    def stop(self, mode: str = "immediate") -> None:
        """End it as `pg_ctl stop -m MODE` does; "immediate" is a crash for everybody connected."""
        if self._process is None:
            return
        number = {"immediate": signal.SIGQUIT, "fast": signal.SIGINT}[mode]
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        self._process.wait(timeout=START_MAX_S)
        self._process = None

    def restart(self, mode: str = "immediate") -> None:
        """Stop and start."""
        self.stop(mode)
        self.start()

    def discard(self) -> None:
        """Stop it and delete everything."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Return what the server wrote."""
        return (self.folder / "server.log").read_text(errors="replace")

    # --- use ---------------------------------------------------------------------------------
    @property
    def address(self) -> str:
        """Where it listens, for a proxy."""
        return f"tcp:{self.host}:{self.port}"

    def new_schema(self) -> str:
        """Return a schema name that was not used before."""
        return f"cluster_{next(self._schemas)}"

    def url(self, schema: str | None = None, *, login: str = USER, port: int | None = None) -> str:
        """Return the URL of a store; a new one if no schema is named."""
        place = f"{self.host}:{port or self.port}/postgres?sslmode=disable"
        return f"postgresql://{login}@{place}&schema={schema or self.new_schema()}"

    async def emptied_url(self) -> str:
        """Return the URL of an empty store; the same one each time, because making one is slow."""
        url = self.url("recycled")
        store = await open_store(url)
        await store.aclose()
        connection = await asyncpg.connect(
            url.partition("&schema")[0],
            server_settings={"search_path": "recycled", "lock_timeout": "5000"},
        )
        try:
            await connection.execute(_EMPTY)
            for migration in migrations("postgres", "store"):
                for insert in _FIRST_ROWS.findall(migration.sql):
                    await connection.execute(insert)
        finally:
            await connection.close()
        return url

    def sql(self, statement: str, schema: str = "public") -> str:
        """Run SQL as the superuser; return what psql prints, unaligned."""
        return self._run(
            "psql", "-h", str(self.folder), "-p", str(self.port), "-U", USER, "-d", "postgres",
            "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", f"SET search_path = {schema}", "-c", statement,
        )  # fmt: skip

    # --- inside ------------------------------------------------------------------------------
    def _probe(self) -> int:
        """Return 0 once connections are accepted."""
        done = subprocess.run(
            [self._bin / "pg_isready", "-q", "-h", self.folder, "-p", str(self.port), "-U", USER],
            check=False,
        )
        return done.returncode

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [self._bin / program, *arguments], capture_output=True, text=True, check=False,
            cwd=self.folder, **self._as_account(),
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stderr}"
        return str(done.stdout).strip()

    def _as_account(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        account = self._account
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _account() -> pwd.struct_passwd | None:
    """Return whom a server of root's runs as."""
    if os.geteuid() != 0:
        return None
    names = {account.pw_name: account for account in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def new_server(
    service_missing: Callable[[str], NoReturn], host: str = "127.0.0.1"
) -> Iterator[PostgresServer]:
    """Yield a running server; nothing of it is left afterwards."""
    bin_dir = services.postgres_bin()
    if bin_dir is None:
        service_missing("PostgreSQL's server programs were not found")
    server = PostgresServer(bin_dir, host)
    try:
        server.make()
        server.start()
        server.sql(f"CREATE ROLE {SECRET_USER} LOGIN PASSWORD '{PASSWORD}'")
        server.sql(f"GRANT ALL ON DATABASE postgres TO {SECRET_USER}")
        yield server
    finally:
        server.discard()


_SHARED = pytest.StashKey[PostgresServer]()


@pytest.fixture(scope="session")
def postgres_server(
    request: pytest.FixtureRequest, service_missing: Callable[[str], NoReturn]
) -> PostgresServer:
    """Return the server that all tests share, each with a schema of its own; it is not to be hurt.

    Whoever imports this fixture gets the same server, started at its first use.
    """
    stash = request.config.stash
    if _SHARED not in stash:
        keeper = contextlib.ExitStack()
        request.config.add_cleanup(keeper.close)
        stash[_SHARED] = keeper.enter_context(new_server(service_missing))
    return stash[_SHARED]


@pytest.fixture
def own_server(service_missing: Callable[[str], NoReturn]) -> Iterator[PostgresServer]:
    """Yield a server that a test may stop, freeze and fill."""
    with new_server(service_missing) as server:
        yield server
