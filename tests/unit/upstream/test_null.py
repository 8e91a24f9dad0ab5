from multiconnect.upstream.null import NullUpstream
from tests.unit.upstream.messages import message


async def test_everything_is_sent_and_counted():
    upstream = NullUpstream()
    await upstream.start()
    outcomes = await upstream.send([message(), message(possible_duplicate=True)])
    await upstream.aclose()
    assert [outcome.status for outcome in outcomes] == ["sent", "sent"]
    assert (upstream.count, upstream.count_marked) == (2, 1)
