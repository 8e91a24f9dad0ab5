"""What a role is given."""

import asyncio

from multiconnect.config.child import ChildContext, ProcessIdentity
from multiconnect.config.process import ProcessSettings
from multiconnect.model.cluster import NodeState, Role


async def test_a_role_gets_its_row_and_can_say_ready():
    settings = ProcessSettings(
        store="s", incarnation="coreapp-2-01020304", name="coreapp-2", role=Role.COREAPP,
        generation=5, host="host-a",
    )  # fmt: skip
    said = []
    context = ChildContext(
        settings,
        asyncio.Event(),
        on_ready=lambda: said.append("ready"),
        identity=ProcessIdentity(7, 99, "boot/ns"),
    )
    context.ready()
    assert said == ["ready"]
    node = context.node("unix:/x")
    assert (node.incarnation, node.name, node.role) == (
        "coreapp-2-01020304", "coreapp-2", Role.COREAPP
    )  # fmt: skip
    assert (node.host, node.pid, node.start_ticks, node.boot_id) == ("host-a", 7, 99, "boot/ns")
    assert (node.address, node.generation, node.state) == ("unix:/x", 5, NodeState.JOINING)


async def test_without_a_supervisor_ready_goes_nowhere():
    settings = ProcessSettings(store="s", incarnation="i", name="n", role=Role.WEB)
    ChildContext(settings, asyncio.Event()).ready()
