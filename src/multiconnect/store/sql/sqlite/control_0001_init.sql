-- What is small and rare: the cluster, its nodes, who owns which slot, and why.

CREATE TABLE cluster (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    -- A random u32, part of every message id.
    cluster       INTEGER NOT NULL,
    shards        INTEGER NOT NULL,
    target_shards INTEGER NOT NULL,
    generation    INTEGER NOT NULL,
    map_version   INTEGER NOT NULL,
    term          INTEGER NOT NULL,
    master        TEXT,
    -- 1: murmur3_x86_32 of the canonical recipient, seed 0. Never changes in a cluster's life.
    hash_version  INTEGER NOT NULL
);
INSERT INTO cluster VALUES (1, random() & 4294967295, 1, 1, 0, 1, 0, NULL, 1);

CREATE TABLE node (
    incarnation TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    role        TEXT NOT NULL,
    host        TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    address     TEXT NOT NULL,
    generation  INTEGER NOT NULL,
    state       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    start_ticks INTEGER NOT NULL,
    boot_id     TEXT NOT NULL,
    died_at_ms  INTEGER
) WITHOUT ROWID;

-- The fence: for each (slot, epoch) one owner, and epochs only grow.
CREATE TABLE slot (
    slot     INTEGER PRIMARY KEY CHECK (slot BETWEEN 0 AND 31),
    epoch    INTEGER NOT NULL,
    owner    TEXT,
    drain_to TEXT,
    drained  INTEGER NOT NULL DEFAULT 0
);
INSERT INTO slot (slot, epoch)
    WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < 31)
    SELECT n, 0 FROM number;

-- The ledgers that may hold rows of a slot, by the epoch under which they were written.
CREATE TABLE chain (
    slot   INTEGER NOT NULL,
    epoch  INTEGER NOT NULL,
    ledger TEXT NOT NULL,
    PRIMARY KEY (slot, epoch)
) WITHOUT ROWID;
CREATE INDEX chain_ledger ON chain (ledger);

CREATE TABLE audit (
    id          INTEGER PRIMARY KEY,
    at_ms       INTEGER NOT NULL,
    map_version INTEGER NOT NULL,
    term        INTEGER NOT NULL,
    slot        INTEGER,
    old_epoch   INTEGER,
    new_epoch   INTEGER,
    old_owner   TEXT,
    new_owner   TEXT,
    reason      TEXT NOT NULL
);

CREATE TABLE document (
    kind    TEXT NOT NULL,
    key     TEXT NOT NULL,
    version INTEGER NOT NULL,
    value   BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
