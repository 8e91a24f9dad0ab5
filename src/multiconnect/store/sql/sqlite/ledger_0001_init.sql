-- The log of one owner. A lane is `stream << 5 | slot`; ids are `lane << 48 | sequence`, so that a
-- batch is one insert into one tree and the batches of a lane lie in order.
-- `epoch` is the tenure under which a row was written: a slot may have come, gone and come back,
-- and of two ledgers that know of one thing, the row with the higher epoch is the newer.

-- Which slots this ledger may write: sealed rows are tombstones, no epoch up to theirs comes back.
CREATE TABLE fence (
    slot   INTEGER PRIMARY KEY,
    epoch  INTEGER NOT NULL,
    sealed INTEGER NOT NULL
);

CREATE TABLE position (
    lane          INTEGER PRIMARY KEY,
    epoch         INTEGER NOT NULL,
    next_seq      INTEGER NOT NULL,
    watermark     INTEGER NOT NULL,
    settled_below INTEGER NOT NULL
);

-- Immutable, except that the body goes when it is past its retention.
CREATE TABLE batch (
    id             INTEGER PRIMARY KEY,
    epoch          INTEGER NOT NULL,
    count          INTEGER NOT NULL,
    accepted_at_ms INTEGER NOT NULL,
    body           BLOB
);

CREATE TABLE progress (
    id      INTEGER PRIMARY KEY,
    epoch   INTEGER NOT NULL,
    -- 0: some are pending, 1: all settled, 2: settled and the body is gone.
    settled INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    states  BLOB NOT NULL
);
CREATE INDEX progress_settled ON progress (settled, at_ms) WHERE settled > 0;

-- Complete for each open slot: copied when the slot is taken over.
CREATE TABLE producer (
    lane     INTEGER NOT NULL,
    producer INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,
    answers  BLOB NOT NULL,
    PRIMARY KEY (lane, producer)
) WITHOUT ROWID;

-- Complete for each open slot: copied when the slot is taken over.
CREATE TABLE retry (
    id        INTEGER PRIMARY KEY,
    attempts  INTEGER NOT NULL,
    due_at_ms INTEGER NOT NULL,
    code      INTEGER,
    reason    TEXT NOT NULL
);

-- By rowid in the order of time, so that old keys are found at the front.
CREATE TABLE key (
    id        INTEGER PRIMARY KEY,
    slot      INTEGER NOT NULL,
    key       BLOB NOT NULL,
    epoch     INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    body_hash BLOB NOT NULL,
    at_ms     INTEGER NOT NULL,
    UNIQUE (slot, key)
);

CREATE TABLE failure (
    id       INTEGER PRIMARY KEY,
    epoch    INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,
    code     INTEGER,
    reason   TEXT NOT NULL
);

CREATE TABLE upstream_id (
    id          INTEGER PRIMARY KEY,
    epoch       INTEGER NOT NULL,
    upstream_id TEXT NOT NULL
);
