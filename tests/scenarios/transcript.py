"""Transcripts: commands, `----`, and exactly what happens; one file is one scene.

    # why this scene exists
    command argument
    another
    ----
    what they show

An empty line ends a block; a block without the divider must show nothing. The commands are those of
`Player`; each docstring is its manual.
"""

from collections.abc import Callable, Iterator
from itertools import groupby

from multiconnect.control.resize import check_set_shards
from tests.scenarios.narration import events_text, map_text
from tests.scenarios.world import World

DIVIDER = "----"


class Player:
    """Plays one transcript on one World."""

    def __init__(self) -> None:
        self.world = World()

    def play(self, line: str) -> Iterator[str]:
        verb, *arguments = line.split()
        command: Callable[..., Iterator[str] | None] = getattr(self, "do_" + verb.replace("-", "_"))
        yield from command(*arguments) or ()

    def do_cluster(self, shards: str) -> None:
        """A new cluster of so many shards."""
        self.world = World(shards=int(shards))

    def do_coreapps(self, *names: str) -> None:
        """CoreApps of the generation wished for join and are ready."""
        self.world.coreapps(*names)

    def do_join(self, *names: str) -> None:
        """CoreApps join and are not ready yet."""
        for name in names:
            self.world.join(name)

    def do_ready(self, *names: str) -> None:
        """They are ready now."""
        for name in names:
            self.world.ready(name)

    def do_masters(self, *names: str) -> None:
        """Masters start."""
        for name in names:
            self.world.start_master(name)

    def do_kill(self, *names: str) -> None:
        """Processes die, and their supervisor proves it."""
        for name in names:
            self.world.die(name)

    def do_hang(self, *names: str) -> None:
        """Processes hang: no beat, no answer, no turn, and no proof."""
        self.world.hung |= set(names)

    def do_wake(self, *names: str) -> None:
        """They go on where they stopped."""
        self.world.hung -= set(names)

    def do_stick(self, *names: str) -> None:
        """CoreApps beat on but finish no drain."""
        self.world.stuck |= set(names)

    def do_unstick(self, *names: str) -> None:
        """They finish drains again."""
        self.world.stuck -= set(names)

    def do_leave(self, *names: str) -> None:
        """CoreApps ask to be relieved."""
        for name in names:
            self.world.leave(name)

    def do_cut(self, *names: str) -> None:
        """Masters lose the store."""
        for name in names:
            self.world.masters[name].control.cut = True

    def do_heal(self, *names: str) -> None:
        """They have it back."""
        for name in names:
            self.world.masters[name].control.cut = False

    def do_retire(self) -> Iterator[str]:
        """The supervisor ends the CoreApps that are not needed any more."""
        yield f"ended: {' '.join(self.world.retire()) or 'nobody'}"

    def do_set_shards(self, shards: str) -> Iterator[str]:
        """Somebody asks for so many shards."""
        refusal = check_set_shards(self.world.snapshot, int(shards))
        yield (
            f"refused: {refusal}" if refusal else f"generation {self.world.set_target(int(shards))}"
        )

    def do_turn(self, master: str, limit: str = "") -> Iterator[str]:
        """One turn of one Master, or only its first actions: then it crashes."""
        yield from events_text(self.world.turn(master, int(limit) if limit else None))
        if limit:
            self.world.die(master)

    def do_answer(self) -> None:
        """The owners asked to drain say that they did."""
        self.world.answer_drains()

    def do_pass(self, seconds: str) -> Iterator[str]:
        """Time passes, everybody acts; shows what was done, by second."""
        for at_s, group in groupby(self.world.pass_time(float(seconds)), key=lambda pair: pair[0]):
            yield f"after {at_s:.2f} s"
            yield from (f"  {line}" for line in events_text(event for _, event in group))

    def do_map(self) -> Iterator[str]:
        """Show the cluster."""
        yield from map_text(self.world.snapshot)


def replay(text: str) -> str:
    """Return the transcript with what happens now in place of what it shows."""
    player, blocks = Player(), []
    for block in text.strip().split("\n\n"):
        asked, divider, _ = block.partition(f"\n{DIVIDER}")
        commands = [line for line in asked.splitlines() if not line.startswith("#")]
        shown = [line for command in commands for line in player.play(command)]
        blocks.append("\n".join([asked, DIVIDER, *shown]) if divider else asked)
    return "\n\n".join(blocks) + "\n"
