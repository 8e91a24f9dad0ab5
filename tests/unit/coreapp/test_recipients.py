"""Lines of messages by recipient: the first one's turn, and how many wait behind a blocked one."""

import gc
import random
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from multiconnect.coreapp.batch_states import BatchStates
from multiconnect.coreapp.queue_entry import Entry, new_entry
from multiconnect.coreapp.recipients import Recipients


def entry(sequence, recipient):
    record = (sequence, 0, recipient, b"x" * sequence, b"")
    return new_entry(sequence, BatchStates(0, b"\0"), record, 0)


@settings(derandomize=True, max_examples=100)
@given(st.integers(0, 1 << 32))
def test_counts_are_those_of_the_lines(seed):
    rng = random.Random(seed)
    recipients = Recipients()
    model: list[Entry] = []
    for sequence in range(60):
        choice = rng.random()
        if choice < 0.5 or not model:
            new = entry(sequence, rng.choice("abc"))
            recipients.add(new)
            model.append(new)
        elif choice < 0.7:
            recipients.block(rng.choice(model))
        elif choice < 0.85:
            recipients.unblock(rng.choice(model))
        else:
            gone = model.pop(rng.randrange(len(model)))
            line = [e for e in model if e.recipient == gone.recipient]
            assert recipients.remove(gone) is (line[0] if line else None)
        check(recipients, model)


def check(recipients, model):
    assert sorted(e.sequence for e in recipients) == [e.sequence for e in model]
    assert recipients.count == len(model)
    assert recipients.payload_bytes == sum(len(e.payload) for e in model)
    lines: dict[str, list[Entry]] = {}
    for e in model:
        lines.setdefault(e.recipient, []).append(e)
    for name, line in lines.items():
        assert line[0].recipient == name
        assert all(e.line.first is line[0] for e in line)
        assert list(line[0].line) == line
    assert recipients.parked == sum(len(line) for line in lines.values() if line[0].blocked)


def test_whoever_forgets_the_lines_forgets_their_entries():
    """The collector would not find them: they are too many for it to look at."""
    recipient = "".join(["16", "31"])
    before = sys.getrefcount(recipient)
    recipients = Recipients()
    for sequence in range(3):
        recipients.add(entry(sequence, recipient))
    assert sys.getrefcount(recipient) > before + 3
    gc.disable()
    try:
        del recipients
        assert sys.getrefcount(recipient) == before
    finally:
        gc.enable()
