"""Every bound of the package, with its unit in its name, and the relations between them.

A queue, retry or buffer without a name here is a defect. Limits of the binary layout live in
native/include/multiconnect/layout.h and are read from there.
"""

from __future__ import annotations

from typing import Final

# --- the sharding contract -------------------------------------------------------------------
SLOTS: Final = 32
SHARD_COUNTS: Final = (1, 2, 4, 8, 16, 32)

# --- router ----------------------------------------------------------------------------------
#: Batches of one slot a router may have unacknowledged; the owner remembers this many answers.
SLOT_BATCHES_IN_FLIGHT: Final = 4
ANSWERS_KEPT: Final = 8
#: Bytes on the wire, unacknowledged, towards one owner.
LINK_BYTES_IN_FLIGHT_MAX: Final = 8 * 1024 * 1024
#: What a router's kernel takes of it at once, if the system's own limit allows that.
LANE_SEND_BUFFER_BYTES: Final = 1024 * 1024
#: Bytes waiting in a router, sent or not; past this `send` waits (invariant 12).
ROUTER_PARKED_BYTES_MAX: Final = 64 * 1024 * 1024
#: How long `send` waits for room and an acknowledgement before it raises.
SEND_TIMEOUT_S: Final = 30.0
CONNECT_TIMEOUT_S: Final = 2.0
RECONNECT_DELAY_MIN_S: Final = 0.01
RECONNECT_DELAY_MAX_S: Final = 0.5
#: A slot lane idle this long takes a new producer id, long before its old one is forgotten.
PRODUCER_ROTATE_S: Final = 6 * 3600.0
PRODUCER_KEEP_S: Final = 24 * 3600.0
EVENTS_QUEUED_MAX: Final = 65_536
#: An owner that says nothing for the first is asked for a sign of life; after so many intervals
#: without one the line is dead, whatever TCP believes, and another connection is made.
LANE_PING_S: Final = 1.0
LANE_PINGS_UNANSWERED_MAX: Final = 3

# --- lanes between hosts ---------------------------------------------------------------------
#: From the connection to the end of the greeting, and the bytes of it: strangers get no more.
LANE_GREETING_MAX_S: Final = 5.0
LANE_GREETING_BYTES_MAX: Final = 4096
#: Shared secrets known at once: the one in use, and the one that replaces it.
LANE_SECRETS_MAX: Final = 2
LANE_SECRET_CHARS_MIN: Final = 32
#: When an owner gives up a router whose host is silent: probes of the kernel, in seconds.
LANE_KEEPALIVE_IDLE_S: Final = 5
LANE_KEEPALIVE_INTERVAL_S: Final = 2
LANE_KEEPALIVE_PROBES: Final = 3

# --- owner -----------------------------------------------------------------------------------
#: One group commit takes at most this much.
GROUP_BATCHES_MAX: Final = 512
#: Events not yet taken by a router's socket; beyond this they are dropped (live, best effort).
EVENT_BYTES_UNSENT_MAX: Final = 4 * 1024 * 1024
GROUP_BYTES_MAX: Final = 8 * 1024 * 1024
#: Bytes received and not yet committed; past this the owner stops reading its sockets.
INTAKE_BYTES_MAX: Final = 32 * 1024 * 1024
#: Messages a slot may have claimed ahead of their outcome (the watermark's step).
WATERMARK_STEP: Final = 64
#: A number's rate is asked this often, at most, how many may go by now: at 1,000 a second one by
#: one costs a quarter of a core.
PACED_PUMP_S: Final = 0.005
#: Outcomes wait so long for a commit that goes anyway, unless claims run short or a slot is handed
#: over. Paced for one number there would be a thousand commits a second of an outcome each.
OUTCOMES_LINGER_S: Final = 0.005
#: Message references one slot keeps in memory; beyond this they stay in the store.
#: Eight times what may be claimed: enough recipients to choose from. An owner of all slots whose
#: windows are full holds 16,384 messages, of 0.6 KB each with 200 bytes of payload.
SLOT_WINDOW_MESSAGES: Final = 512
SLOT_WINDOW_BYTES: Final = 16 * 1024 * 1024
#: Of these, messages behind a blocked recipient (retry, pacing) are counted apart.
SLOT_PARKED_MESSAGES: Final = 65_536
#: Settled batches per slot and stream kept in memory for late statuses.
SLOT_RECENT_BATCHES: Final = 256
#: Bytes of stored batches a dispatcher reads back in one go.
#: A window may be passed by that much, so it must not be much more than a window holds.
LOAD_BYTES: Final = 128 * 1024
UPSTREAM_IN_FLIGHT_MAX: Final = 256
#: A message that was being sent when so many owners ended is given up, or it might end them all.
OWNERS_LOST_MAX: Final = 3
#: Messages handed to the upstream port in one call.
UPSTREAM_BATCH_MAX: Final = 256
#: A message that is still refused "for now" this long after it was accepted fails.
GIVE_UP_AFTER_S: Final = 24 * 3600.0
RETRY_DELAY_MIN_S: Final = 0.2
RETRY_DELAY_MAX_S: Final = 60.0
ENGINE_START_MAX_S: Final = 30.0
#: How long an engine that is closed waits for what is in flight; the rest stays in doubt.
ENGINE_SETTLE_MAX_S: Final = 25.0
#: How long a CoreApp that was told to stop waits to be relieved of its slots.
HAND_OVER_MAX_S: Final = 3.0
RETAIN_BODIES_S: Final = 3600.0
RETAIN_STATES_S: Final = 7 * 24 * 3600.0
RETAIN_IDEMPOTENCY_S: Final = 24 * 3600.0
IDEMPOTENCY_KEY_BYTES_MAX: Final = 255
ACCOUNT_BYTES_MAX: Final = 255

# --- upstream --------------------------------------------------------------------------------
UPSTREAM_CONNECT_TIMEOUT_S: Final = 5.0
#: From the first byte of a request to the last of its reply; past it nobody knows what happened.
UPSTREAM_REQUEST_DEADLINE_S: Final = 20.0
#: Shorter than servers and balancers usually allow, so that a request rarely meets a closed
#: connection (and would then have to be called ambiguous).
UPSTREAM_KEEPALIVE_S: Final = 15.0
UPSTREAM_REPLY_BYTES_MAX: Final = 64 * 1024
#: How often the deadlines of connections are looked at.
UPSTREAM_SWEEP_S: Final = 0.25
#: How long an address of a host may keep silent before the next one is tried beside it.
UPSTREAM_ADDRESS_HEAD_START_S: Final = 0.25
#: A Retry-After longer than this is cut; attempts are counted, so a message does not wait for ever.
UPSTREAM_RETRY_AFTER_MAX_S: Final = 900.0
UPSTREAM_REASON_CHARS_MAX: Final = 300
UPSTREAM_ID_CHARS_MAX: Final = 512
#: While a number is moved to another throughput (131057, documented as up to a minute).
UPSTREAM_PAUSE_S: Final = 10.0
#: After the whole number was told to slow down (130429).
UPSTREAM_THROTTLE_S: Final = 1.0
PAIR_RATE_INTERVAL_S: Final = 6.0
PAIR_RATE_BURST: Final = 45
PAIR_RATE_RECIPIENTS_MAX: Final = 262_144
NUMBER_RATE_PER_S: Final = 80.0
#: A share of the number's rate may be used this far ahead, so that timers need not be exact.
NUMBER_RATE_BURST_S: Final = 0.05
NUMBER_RATE_NUMBERS_MAX: Final = 1024

# --- simulator -------------------------------------------------------------------------------
SIMULATOR_ARRIVALS_KEPT: Final = 1_000_000
SIMULATOR_ARRIVALS_PAGE: Final = 10_000
SIMULATOR_RECIPIENTS_MAX: Final = 500_000
#: Ids are remembered as one bit each, in pages of this many neighbours.
SIMULATOR_SEEN_PAGE_IDS: Final = 4096
SIMULATOR_SEEN_PAGES_MAX: Final = 65_536
SIMULATOR_FOREIGN_IDS_MAX: Final = 100_000
SIMULATOR_BODY_BYTES_MAX: Final = 256 * 1024
SIMULATOR_FAULTS_MAX: Final = 1000
SIMULATOR_HOLD_MAX_S: Final = 120.0
SIMULATOR_STATUSES_QUEUED_MAX: Final = 300_000
SIMULATOR_STATUSES_PER_POST: Final = 200
SIMULATOR_WEBHOOK_ATTEMPTS_MAX: Final = 40
SIMULATOR_WEBHOOK_RETRY_MIN_S: Final = 0.1
SIMULATOR_WEBHOOK_RETRY_MAX_S: Final = 5.0
SIMULATOR_WEBHOOK_TIMEOUT_S: Final = 10.0
SIMULATOR_CLOSE_S: Final = 0.25

# --- control plane ---------------------------------------------------------------------------
#: Slots the Master may have in hand-over at once.
MOVES_AT_ONCE_MAX: Final = 4
#: A drain that was cancelled for taking too long is tried again after a pause that doubles.
DRAIN_PAUSE_MIN_S: Final = 1.0
DRAIN_PAUSE_MAX_S: Final = 30.0
#: Each further attempt of a slot may take twice as long, up to this: with an upstream slower than
#: the first allowance no planned move would ever come to its end.
DRAIN_ALLOWED_MAX_S: Final = 30.0
#: A new generation that is smaller than the old one but covers the shards takes over when none has
#: become ready for so long: while others start, the cores are theirs and every move would wait ...
GENERATION_GRACE_S: Final = 5.0
#: ... but never longer than this after the first one was ready.
GENERATION_GRACE_MAX_S: Final = 20.0
#: With no live owner at all and too few CoreApps the Master waits until none has arrived for this
#: long, so that the first one up does not get all 32 slots only to hand most of them on ...
COLD_START_QUIET_S: Final = 0.5
#: ... but never longer than this after the first one was ready.
COLD_START_WAIT_MAX_S: Final = 3.0
#: A node that joined and never showed a beat is given up after this.
FIRST_BEAT_MAX_S: Final = 30.0
#: A Master whose store fails, or whose every step is refused, waits this long before it rereads.
MASTER_RETRY_MIN_S: Final = 0.01
MASTER_RETRY_MAX_S: Final = 0.5
#: How often a store is asked for changes: where nobody is told of them, and where everybody is.
STORE_POLL_S: Final = 0.005
STORE_POLL_SLOW_S: Final = 0.1
STORE_TIMEOUT_S: Final = 5.0
#: How often a connection asks for a lock that another one holds. SQLite's own back-off (up to
#: 100 ms) would lose every race against an owner that commits in a tight loop.
LOCK_POLL_S: Final = 0.0005
#: How long the Master waits for the ledger of an owner it fences; longer means that the owner is
#: frozen in a commit, and the cure is to kill it.
SEAL_TIMEOUT_S: Final = 1.0
#: How long a PostgreSQL store may take over a small statement of the control plane before its
#: connection is given up (commits may take STORE_TIMEOUT_S). Short, because a beat may be waiting.
STORE_ANSWER_MAX_S: Final = 1.5
#: How long a step waits for a row that another session has locked, and how often it tries; from the
#: second time on a session that is frozen with it is ended.
STORE_LOCK_WAIT_S: Final = 0.2
STORE_LOCK_TRIES_MAX: Final = 5
#: A session that waits for its client this long inside a transaction counts as frozen.
STORE_FROZEN_S: Final = 0.15
#: The slow poll behind PostgreSQL's notifications.
STORE_NOTIFY_POLL_S: Final = 1.0
#: After an attempt to reach a PostgreSQL server failed the next is made after this.
STORE_RECONNECT_DELAY_MIN_S: Final = 0.02
STORE_RECONNECT_DELAY_MAX_S: Final = 0.25
#: Rows of stored batches that one statement reads.
LOAD_ROWS: Final = 256
#: Dead nodes stay visible this long.
DEAD_NODES_KEEP_S: Final = 24 * 3600.0
#: Rows of one kind that one call of `collect_garbage` drops at most.
GARBAGE_ROWS_MAX: Final = 2048
#: Bytes of bodies that one call drops at most: commits wait behind it.
GARBAGE_BYTES_MAX: Final = 8 * 1024 * 1024
#: Calls of it that an owner makes in one go; commits go on between two of them.
GARBAGE_CALLS_MAX: Final = 64
#: Messages whose states one statement drops at most, and statements of one kind per call, where
#: all owners share their tables: deletions are made in small steps, but many.
GARBAGE_MESSAGES_MAX: Final = 20_000
GARBAGE_TURNS_MAX: Final = 32
#: Bodies of a commit that go into its own row, in bytes; with more they go to a segment.
RECENT_COMMIT_BYTES_MAX: Final = 32 * 1024
#: Bytes of rows that wait for their place.
RECENT_BYTES_MAX: Final = 128 * 1024
#: A segment is written to until it has so many bytes, or so old a beginning: what one body keeps
#: from being deleted with it.
SEGMENT_BYTES_MAX: Final = 64 * 1024 * 1024
SEGMENT_AGE_MAX_S: Final = 600.0
#: Ledgers of other owners that one log keeps open for reading.
LEDGERS_OPEN_MAX: Final = 16
SET_SHARDS_TIMEOUT_S: Final = 60.0
AUDIT_ROWS_KEPT: Final = 10_000

# --- web -------------------------------------------------------------------------------------
HTTP_HEADER_BYTES_MAX: Final = 16 * 1024
HTTP_HEADERS_MAX: Final = 100
HTTP_BODY_BYTES_MAX: Final = 256 * 1024
HTTP_BATCH_BODY_BYTES_MAX: Final = 16 * 1024 * 1024
HTTP_BATCH_MESSAGES_MAX: Final = 50_000
HTTP_HEADER_DEADLINE_S: Final = 10.0
HTTP_BODY_DEADLINE_S: Final = 20.0
HTTP_IDLE_DEADLINE_S: Final = 75.0
HTTP_CONNECTIONS_MAX: Final = 4096
#: The request target; longer is 414.
HTTP_URI_BYTES_MAX: Final = 8 * 1024
HTTP_WEBHOOK_BODY_BYTES_MAX: Final = 4 * 1024 * 1024
#: A body beyond the first figure counts against the second, which all connections share.
HTTP_BODY_BYTES_FREE: Final = 64 * 1024
HTTP_BODIES_BYTES_MAX: Final = 128 * 1024 * 1024
#: Requests of one connection running or waiting before its socket is read no further.
HTTP_PIPELINE_MAX: Final = 32
#: Bytes parsed before that is looked at again.
HTTP_PARSE_BYTES_MAX: Final = 16 * 1024
#: Handlers of one process waiting for something; past it the answer is 503.
HTTP_REQUESTS_RUNNING_MAX: Final = 16_384
#: A peer that takes nothing of what is written to it is dropped after this.
HTTP_WRITE_DEADLINE_S: Final = 30.0
#: After a refusal the rest of the request is read and dropped, or the peer might lose the answer.
HTTP_LINGER_S: Final = 3.0
HTTP_LINGER_BYTES_MAX: Final = 64 * 1024 * 1024
#: How often deadlines of connections are looked at, and for how long a stop waits for requests.
HTTP_SWEEP_S: Final = 0.25
HTTP_STOP_GRACE_S: Final = 8.0
#: How long an HTTP send waits for durability before it answers 503.
HTTP_SEND_TIMEOUT_S: Final = 10.0
#: Messages of a batch looked at before other connections get a turn.
HTTP_BATCH_STEP: Final = 500
#: The same where the compiled core looks at them, at some 0.1 µs each.
HTTP_BATCH_CUT_STEP: Final = 1000
HTTP_RETRY_AFTER_S: Final = 1
TOKEN_LIFETIME_S: Final = 7 * 24 * 3600.0
#: A token is looked up again after the first, and believed without asking for at most the second.
TOKEN_REFRESH_S: Final = 0.5
TOKEN_TRUST_S: Final = 1.0
TOKENS_CACHED_MAX: Final = 10_000
#: Look-ups of tokens nobody here has seen yet, running and waiting.
TOKEN_LOOKUPS_MAX: Final = 256
TOKENS_PER_USER_MAX: Final = 1000
TOKENS_PURGE_S: Final = 3600.0
#: Argon2 runs in this many threads; more logins than the second wait nowhere and get 503.
PASSWORD_THREADS: Final = 2
PASSWORD_CHECKS_MAX: Final = 32
#: Wrong passwords in a row for one user from one address: free, then slowed down, then locked.
LOGIN_FAILURES_FREE: Final = 5
LOGIN_FAILURES_LOCK: Final = 10
LOGIN_DELAY_MAX_S: Final = 60.0
LOGIN_LOCK_S: Final = 900.0
#: Attempts per minute from one address, and for one user from all addresses.
LOGIN_PER_ADDRESS_MAX: Final = 60
LOGIN_PER_USER_MAX: Final = 120
LOGIN_TRACKED_MAX: Final = 10_000
USERS_MAX: Final = 1000
TEXT_CHARS_MAX: Final = 4096
TRACKING_CHARS_MAX: Final = 512

# --- supervisor ------------------------------------------------------------------------------
#: A child that is not ready and says nothing for this long is taken for hung.
CHILD_START_MAX_S: Final = 20.0
#: A child that has said goodbye and still is not gone after this long is taken for hung.
CHILD_END_MAX_S: Final = 5.0
#: How long a role may go on after its supervisor died.
ORPHAN_EXIT_S: Final = 2.0
#: From SIGTERM to SIGKILL, over all phases of a stop.
STOP_MAX_S: Final = 10.0
RESTART_DELAY_MIN_S: Final = 0.05
RESTART_DELAY_MAX_S: Final = 5.0
#: A child that lived this long did not die young: its next restart is quick again.
CHILD_SETTLED_S: Final = 10.0
REPORT_DELAY_MIN_S: Final = 0.01
REPORT_DELAY_MAX_S: Final = 0.5
#: Deaths remembered, to contradict a row that a dying child still managed to write.
EXITS_REMEMBERED_MAX: Final = 1024
#: Children of an old generation told to go at once: many that end together take every core, and
#: those that have just got their slots would wait for them.
RETIRING_AT_ONCE_MAX: Final = 2
#: Children of one role under one supervisor.
CHILDREN_PER_ROLE_MAX: Final = 128

if ANSWERS_KEPT < 2 * SLOT_BATCHES_IN_FLIGHT:
    raise AssertionError("an owner must remember every answer a router may still ask for")
if not 2 * PRODUCER_ROTATE_S <= PRODUCER_KEEP_S:
    raise AssertionError("a producer id must be rotated long before its row is forgotten")
if not UPSTREAM_CONNECT_TIMEOUT_S < UPSTREAM_REQUEST_DEADLINE_S:
    raise AssertionError("a refused connection must be told from a reply that never came")
if not DRAIN_ALLOWED_MAX_S > UPSTREAM_REQUEST_DEADLINE_S:
    raise AssertionError("a drain must be able to outlast the slowest request upstream")
if any(SLOTS % count for count in SHARD_COUNTS):
    raise AssertionError("hash % shards == slot % shards needs every shard count to divide 32")
