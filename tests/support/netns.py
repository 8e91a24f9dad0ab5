"""Several hosts on one machine: network namespaces on a bridge, each line of which can be cut.

    problem = services.netns_problem()          # "" where namespaces can be made
    with network("a", "b", "c") as net:
        net.address("a")                        # where host a is reached, from every host and here
        net.here                                # where this process is reached, for servers it runs
        subprocess.Popen(net.command("a", "multiconnect", "node", …))   # runs on host a
        net.cut("a")                            # packets from and to a vanish: no reset, no error
        net.heal("a")

The machine itself is one more host on the bridge. A host's loopback is its own, files are shared.
The namespaces have no names: they last as long as a process in them, the first of which ends when
this process does, however it ends. So nothing is left behind, not even by SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator

from tools import services

#: A range that is set aside for tests of networks, so that no real route is in the way.
_RANGE = "198.18"
_BRIDGE = "bridge"
_START_MAX_S = 10.0


class Network:
    """A bridge in a namespace of its own, hosts on it, and a line to this process."""

    def __init__(self, *hosts: str) -> None:
        ip = services.ip_program()
        assert ip is not None, services.netns_problem()
        self._ip = ip
        self._subnet = f"{_RANGE}.{os.getpid() % 256}"
        self._numbers = {name: n for n, name in enumerate(hosts, 1)}
        #: The machine's own end; its name tells whose it is when two test runs meet.
        self._own_line = f"mc{os.getpid()}"
        self._holders: dict[str, subprocess.Popen[bytes]] = {}
        self.hosts = hosts

    # --- life --------------------------------------------------------------------------------
    def make(self) -> None:
        """Make bridge, hosts and lines."""
        for name in (_BRIDGE, *self.hosts):
            # Ends at the end of file, which comes with our own end.
            self._holders[name] = subprocess.Popen(
                ["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
            )
        for holder in self._holders.values():
            self._wait_until_apart(holder)
        self._batch(_BRIDGE, f"link add {_BRIDGE} type bridge", f"link set {_BRIDGE} up")
        for name in self.hosts:
            self._lay_line(name, "eth0", self._holders[name].pid, self._numbers[name])
            self._batch(name, "link set lo up", *self._own_end("eth0", self._numbers[name]))
        self._lay_line("", self._own_line, os.getpid(), 0)
        self._batch("", *self._own_end(self._own_line, 0))

    def discard(self) -> None:
        """Remove everything; whatever still runs on a host keeps its namespace, without a line."""
        bridge = self._holders.get(_BRIDGE)
        if bridge is not None and bridge.poll() is None:
            for name in ("", *self.hosts):
                self._run(_BRIDGE, "link", "delete", _port(name), check=False)
        for holder in self._holders.values():
            holder.communicate()

    # --- use ---------------------------------------------------------------------------------
    @property
    def here(self) -> str:
        """The address of the machine itself."""
        return self._address(0)

    def address(self, host: str) -> str:
        """Return the address of a host."""
        return self._address(self._numbers[host])

    def command(self, host: str, *command: str) -> list[str]:
        """Return a command that runs another one on a host; it becomes it, so the pid is its."""
        return ["nsenter", f"--net=/proc/{self._holders[host].pid}/ns/net", "--", *command]

    def cut(self, host: str) -> None:
        """Let everything that the host sends or is sent vanish; its own link stays up."""
        self._run(_BRIDGE, "link", "set", _port(host), "nomaster")

    def heal(self, host: str) -> None:
        """Undo a cut."""
        self._run(_BRIDGE, "link", "set", _port(host), "master", _BRIDGE)

    # --- inside ------------------------------------------------------------------------------
    def _address(self, number: int) -> str:
        return f"{self._subnet}.{number or 254}"

    def _lay_line(self, host: str, end: str, pid: int, number: int) -> None:
        port, card = _port(host), _card(number)
        self._batch(
            _BRIDGE,
            f"link add {port} type veth peer name {end} address {card} netns {pid}",
            f"link set {port} master {_BRIDGE}",
            f"link set {port} up",
        )

    def _own_end(self, end: str, number: int) -> list[str]:
        # Everybody knows everybody's card for good: a host that is cut off is then a silence, not
        # an address that the kernel reports as unreachable after a while.
        others = [n for n in (0, *self._numbers.values()) if n != number]
        return [
            f"address add {self._address(number)}/24 dev {end}",
            f"link set {end} up",
            *(f"neigh replace {self._address(n)} lladdr {_card(n)} dev {end}" for n in others),
        ]

    def _batch(self, place: str, *lines: str) -> None:
        self._run(place, "-batch", "-", text="\n".join(lines) + "\n")

    def _run(self, place: str, *arguments: str, text: str = "", check: bool = True) -> None:
        """Run `ip` on a host, the bridge, or ("") on the machine itself."""
        command = [str(self._ip), *arguments]
        done = subprocess.run(
            self.command(place, *command) if place else command,
            input=text, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0 or not check, f"{place}: {text or arguments}: {done.stderr}"

    def _wait_until_apart(self, holder: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + _START_MAX_S
        while _namespace(holder.pid) in {"", _namespace(os.getpid())}:
            assert time.monotonic() < deadline_s, "a network namespace was not made"
            time.sleep(0.002)


@contextlib.contextmanager
def network(*hosts: str) -> Iterator[Network]:
    """Yield a network of hosts; nothing of it is left afterwards."""
    net = Network(*hosts)
    try:
        net.make()
        yield net
    finally:
        net.discard()


def _port(host: str) -> str:
    """Return the bridge's end of a line."""
    return f"to-{host or 'here'}"


def _card(number: int) -> str:
    """Return the hardware address of a host."""
    return f"02:00:00:00:00:{number:02x}"


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115 -- a Path cannot name it
    except OSError:
        return ""
