"""Mutants of an owner: what it accepts, what it sends, what it remembers."""

from typing import Any

from multiconnect.coreapp import committer
from multiconnect.coreapp.claims import Claims
from multiconnect.coreapp.owned_slot import Gap, Next, OwnedSlot
from multiconnect.coreapp.slot_queue import SlotQueue
from multiconnect.coreapp.slot_work import SlotWork
from multiconnect.dataplane.wire import AnswerStatus
from multiconnect.model.message import State
from tests.sim.mutants.registry import mutant, put


@mutant("senders are answered before the commit")
def ack_before_commit() -> None:
    plain = committer.Committer._collect

    def collect(self: Any, group: Any) -> None:
        plain(self, group)
        for batch, answer in group.plan.answers:
            batch.answer(AnswerStatus.STORED, answer.base_seq, answer.exceptions)

    put(committer.Committer, "_collect", collect)


@mutant("a batch that was stored before is stored again")
def no_producer_dedupe() -> None:
    plain = OwnedSlot.admit

    def admit(self: Any, stream: Any, producer: int, producer_seq: int) -> Any:
        verdict = plain(self, stream, producer, producer_seq)
        return verdict if isinstance(verdict, Gap) else Next()

    put(OwnedSlot, "admit", admit)


@mutant("a batch is stored although the one before it is missing", "refused_and_next")
def no_contiguity() -> None:
    plain = OwnedSlot.admit

    def admit(self: Any, stream: Any, producer: int, producer_seq: int) -> Any:
        verdict = plain(self, stream, producer, producer_seq)
        return Next() if isinstance(verdict, Gap) and producer_seq >= verdict.expected else verdict

    put(OwnedSlot, "admit", admit)


@mutant("idempotency keys are not looked up")
def no_keys() -> None:
    async def known_keys(self: Any, keyed: Any) -> dict[Any, Any]:
        return {}

    put(committer.Committer, "_known_keys", known_keys)


@mutant('after "don\'t know" the tail is not read again')
def no_reopen() -> None:
    async def reopen_all(self: Any) -> None:
        """Go on with what is in memory."""

    put(committer.Committer, "_reopen_all", reopen_all)


@mutant("what an earlier owner may have sent is sent again like new")
def skip_in_doubt() -> None:
    def is_in_doubt(self: Any, sequence: int, state: State) -> bool:
        return False

    put(Claims, "is_in_doubt", is_in_doubt)


@mutant("a message in doubt is sent again without the mark")
def no_in_doubt_mark() -> None:
    def resend(self: SlotQueue, entry: Any) -> None:
        self._write_held(entry)
        self.release(entry)

    put(SlotQueue, "resend_in_doubt", resend)


@mutant("the watermark is taken for written before it is")
def watermark_not_committed() -> None:
    plain = SlotQueue._cover

    def cover(self: SlotQueue) -> None:
        self._claims.watermark = max(self._claims.watermark, self._end - 1)
        plain(self)

    def claim_ahead(self: SlotQueue, end_seq: int) -> None:
        return None

    put(SlotQueue, "_cover", cover)
    put(SlotQueue, "claim_ahead", claim_ahead)


@mutant("outcomes whose commit is in doubt are forgotten")
def no_confirm_cache() -> None:
    def restore(self: SlotWork, write: Any) -> None:
        for stream, queue_write in write.queues.items():
            queue_write.progress.clear()
            self.queues[stream].restore(queue_write)
            self.books[stream].confirm()

    put(SlotWork, "restore", restore)


@mutant("a retry after an ambiguous failure is not marked")
def no_ambiguity_flag() -> None:
    plain = SlotQueue.hold

    def hold(self: SlotQueue, entry: Any, *, ambiguous: bool) -> None:
        plain(self, entry, ambiguous=False)

    put(SlotQueue, "hold", hold)


@mutant("a message that waits for its retry is overtaken by the next of its recipient")
def retry_overtakes() -> None:
    plain = SlotQueue.hold

    def hold(self: SlotQueue, entry: Any, *, ambiguous: bool) -> None:
        plain(self, entry, ambiguous=ambiguous)
        line = entry.line
        if line.count > 1 and line.first is entry:
            line.remove(entry)
            line.append(entry)
            self._want_claim(line.first)

    put(SlotQueue, "hold", hold)


@mutant("two messages of one recipient may be in flight")
def no_recipient_order() -> None:
    def is_first(self: SlotQueue, entry: Any) -> bool:
        return True

    put(SlotQueue, "_is_first", is_first)


@mutant(
    "who waits behind a message given up goes on before that is durable", "expired_here_not_there"
)
def give_up_in_memory() -> None:
    plain = SlotWork.gave_up

    def gave_up(self: SlotWork, stream: Any, entry: Any, *how: Any) -> None:
        plain(self, stream, entry, *how)
        self._rows.given_up.remove((stream, entry))
        self.queues[stream].let_next(entry)

    put(SlotWork, "gave_up", gave_up)
