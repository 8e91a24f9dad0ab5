-- Everything of one cluster, in one schema. A lane is `stream << 5 | slot`; sequences count per lane.
-- Texts that are compared or sorted use collation "C": the order is that of their code points.

CREATE TABLE cluster (
    id            integer PRIMARY KEY CHECK (id = 1),
    -- A random u32, part of every message id.
    cluster       bigint NOT NULL,
    shards        integer NOT NULL,
    target_shards integer NOT NULL,
    generation    integer NOT NULL,
    map_version   bigint NOT NULL,
    term          bigint NOT NULL,
    master        text,
    -- 1: murmur3_x86_32 of the canonical recipient, seed 0. Never changes in a cluster's life.
    hash_version  integer NOT NULL
);
INSERT INTO cluster VALUES (1, floor(random() * 4294967296)::bigint, 1, 1, 0, 1, 0, NULL, 1);

-- Grows with each change of control data: what `changed` compares. Apart from the cluster's row and
-- always written last, so that noting a death never waits behind a grant that waits for an owner.
CREATE TABLE revision (
    id     integer PRIMARY KEY CHECK (id = 1),
    number bigint NOT NULL
);
INSERT INTO revision VALUES (1, 1);

CREATE TABLE node (
    incarnation text COLLATE "C" PRIMARY KEY,
    name        text NOT NULL,
    role        text NOT NULL,
    host        text NOT NULL,
    pid         bigint NOT NULL,
    address     text NOT NULL,
    generation  integer NOT NULL,
    state       text NOT NULL,
    reason      text NOT NULL,
    start_ticks bigint NOT NULL,
    boot_id     text NOT NULL,
    died_at_ms  bigint
);

-- The fence: for each (slot, epoch) one owner, and epochs only grow. Narrow, because every commit
-- locks its slots' rows: what changes for other reasons lies elsewhere.
CREATE TABLE slot (
    slot   smallint PRIMARY KEY CHECK (slot BETWEEN 0 AND 31),
    epoch  bigint NOT NULL,
    owner  text COLLATE "C",
    -- How often the owner took the slot into use under this epoch; 0: not yet. A commit names the
    -- count it was planned under, so one whose reply was lost cannot come after a fresh start.
    opened bigint NOT NULL DEFAULT 0
);
INSERT INTO slot (slot, epoch) SELECT n, 0 FROM generate_series(0, 31) AS n;

-- The hand-over under way, if any.
CREATE TABLE handover (
    slot     smallint PRIMARY KEY,
    drain_to text,
    drained  boolean NOT NULL DEFAULT false
);
INSERT INTO handover (slot) SELECT n FROM generate_series(0, 31) AS n;

CREATE TABLE audit (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms       bigint NOT NULL,
    map_version bigint NOT NULL,
    term        bigint NOT NULL,
    slot        smallint,
    old_epoch   bigint,
    new_epoch   bigint,
    old_owner   text,
    new_owner   text,
    reason      text NOT NULL
);

CREATE TABLE document (
    kind    text COLLATE "C" NOT NULL,
    key     text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    value   json NOT NULL,
    PRIMARY KEY (kind, key)
);

-- Signs of life may be lost in a crash, and cost no write-ahead log.
CREATE UNLOGGED TABLE beat (
    incarnation text COLLATE "C" PRIMARY KEY,
    count       bigint NOT NULL,
    figures     json NOT NULL
) WITH (fillfactor = 50);

-- --- the log ------------------------------------------------------------------------------------

-- Rewritten by every commit: spread out, so that a new version fits beside the old one.
CREATE TABLE position (
    lane          smallint PRIMARY KEY,
    next_seq      bigint NOT NULL DEFAULT 0,
    watermark     bigint NOT NULL DEFAULT -1,
    settled_below bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20);
INSERT INTO position (lane) SELECT n FROM generate_series(0, 63) AS n;

-- Immutable, except that the body goes when it is past its retention.
CREATE TABLE batch (
    lane           smallint NOT NULL,
    base_seq       bigint NOT NULL,
    count          integer NOT NULL,
    accepted_at_ms bigint NOT NULL,
    body           bytea,
    PRIMARY KEY (lane, base_seq)
) WITH (
    toast_tuple_target = 8160,
    autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_scale_factor = 0.05
);
-- Bodies are not compressed: that would cost more time than the write it saves.
ALTER TABLE batch ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE progress (
    lane     smallint NOT NULL,
    base_seq bigint NOT NULL,
    -- 0: some are pending, 1: all settled, 2: settled and the body is gone.
    settled  smallint NOT NULL,
    at_ms    bigint NOT NULL,
    states   bytea NOT NULL,
    PRIMARY KEY (lane, base_seq)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX progress_with_body ON progress (at_ms) WHERE settled = 1;
CREATE INDEX progress_without_body ON progress (at_ms) WHERE settled = 2;

CREATE TABLE producer (
    lane     smallint NOT NULL,
    producer bigint NOT NULL,
    at_ms    bigint NOT NULL,
    answers  bytea NOT NULL,
    PRIMARY KEY (lane, producer)
) WITH (fillfactor = 50);

CREATE TABLE retry (
    lane      smallint NOT NULL,
    sequence  bigint NOT NULL,
    attempts  integer NOT NULL,
    due_at_ms bigint NOT NULL,
    code      bigint,
    reason    text NOT NULL,
    PRIMARY KEY (lane, sequence)
);

CREATE TABLE key (
    slot      smallint NOT NULL,
    key       bytea NOT NULL,
    sequence  bigint NOT NULL,
    body_hash bytea NOT NULL,
    at_ms     bigint NOT NULL,
    PRIMARY KEY (slot, key)
);
CREATE INDEX key_by_age ON key (at_ms);

CREATE TABLE failure (
    lane     smallint NOT NULL,
    sequence bigint NOT NULL,
    attempts integer NOT NULL,
    at_ms    bigint NOT NULL,
    code     bigint,
    reason   text NOT NULL,
    PRIMARY KEY (lane, sequence)
);

CREATE TABLE upstream_id (
    lane        smallint NOT NULL,
    sequence    bigint NOT NULL,
    upstream_id text NOT NULL,
    PRIMARY KEY (lane, sequence)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
