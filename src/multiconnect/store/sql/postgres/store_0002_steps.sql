-- The compare-and-set steps. Each is one function, so one statement from the client: a client that
-- freezes has no transaction open in which it could hold a lock. Inside, every statement sees what
-- was committed before it began, so what is read after a lock was taken is true until the end.
--
-- Locks are taken in one order: cluster, slot (by number), handover, life, node, document, revision.

-- Notes a change of control data and wakes who waits for one, saying whom it concerns: an owner need
-- not look at what concerns others.
CREATE FUNCTION announce(p_concerned text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    -- Of a notification's payload; one that names nobody concerns everybody.
    payload_bytes_max CONSTANT integer := 7999;
    latest bigint;
    news text;
BEGIN
    UPDATE revision SET number = number + 1 RETURNING number INTO latest;
    news := json_build_array(latest, array_to_json(array_remove(p_concerned, NULL)));
    IF octet_length(news) > payload_bytes_max THEN
        news := json_build_array(latest, NULL);
    END IF;
    PERFORM pg_notify('multiconnect_' || current_schema(), news);
END $$;

CREATE FUNCTION is_alive(p_incarnation text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM node WHERE incarnation = p_incarnation AND state <> 'dead')
$$;

-- --- nodes --------------------------------------------------------------------------------------

CREATE FUNCTION join_node(
    p_incarnation text, p_name text, p_role text, p_host text, p_pid bigint, p_address text,
    p_generation integer, p_state text, p_reason text, p_start_ticks bigint, p_boot_id text,
    p_dead_before_ms bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM node WHERE died_at_ms < p_dead_before_ms
        AND NOT EXISTS (SELECT FROM slot WHERE owner = node.incarnation);
    DELETE FROM beat WHERE NOT EXISTS (SELECT FROM node WHERE incarnation = beat.incarnation);
    INSERT INTO node VALUES (
        p_incarnation, p_name, p_role, p_host, p_pid, p_address, p_generation, p_state, p_reason,
        p_start_ticks, p_boot_id, NULL
    ) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM announce(ARRAY[p_incarnation]);
    RETURN true;
END $$;

CREATE FUNCTION advance_node(
    p_incarnation text, p_state text, p_reason text, p_at_ms bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    life CONSTANT text[] := ARRAY['joining', 'ready', 'leaving', 'dead'];
    died_ms CONSTANT bigint := CASE WHEN p_state = 'dead' THEN p_at_ms END;
BEGIN
    UPDATE node SET state = p_state, reason = p_reason, died_at_ms = died_ms
        WHERE incarnation = p_incarnation
        AND array_position(life, p_state) > array_position(life, state);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM announce(ARRAY[p_incarnation]);
    RETURN true;
END $$;

-- Keeps beats and the verdict of silence on one node apart. Not a row lock, which would cost a beat
-- a write to the write-ahead log.
CREATE FUNCTION lock_life(p_incarnation text) RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock(
        hashtextextended('multiconnect.' || current_schema() || '/' || p_incarnation, 0)
    )
$$;

CREATE FUNCTION put_beat(
    p_incarnation text, p_count bigint, p_figures json
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_life(p_incarnation);
    IF NOT is_alive(p_incarnation) THEN
        RETURN false;
    END IF;
    INSERT INTO beat VALUES (p_incarnation, p_count, p_figures)
        ON CONFLICT (incarnation)
        DO UPDATE SET count = excluded.count, figures = excluded.figures;
    RETURN true;
END $$;

-- Whoever is silent may beat while this is decided: then nothing happens.
CREATE FUNCTION declare_dead(
    p_incarnation text, p_observed_beat bigint, p_reason text, p_at_ms bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_life(p_incarnation);
    IF (SELECT count FROM beat WHERE incarnation = p_incarnation)
        IS DISTINCT FROM p_observed_beat THEN
        RETURN false;
    END IF;
    RETURN advance_node(p_incarnation, 'dead', p_reason, p_at_ms);
END $$;

-- --- terms and targets --------------------------------------------------------------------------

CREATE FUNCTION take_term(p_incarnation text, p_term bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM cluster WHERE term = p_term FOR UPDATE;
    IF NOT FOUND OR NOT is_alive(p_incarnation) THEN
        RETURN NULL;
    END IF;
    UPDATE cluster SET term = p_term + 1, master = p_incarnation;
    PERFORM announce('{}');
    RETURN p_term + 1;
END $$;

CREATE FUNCTION set_target(p_shards integer, p_generation integer) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE cluster SET target_shards = p_shards, generation = p_generation + 1
        WHERE generation = p_generation;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM announce('{}');
    RETURN p_generation + 1;
END $$;

-- --- slots --------------------------------------------------------------------------------------

-- Who owns these slots and who is to get them.
CREATE FUNCTION concerned_by(p_slots smallint[]) RETURNS text[] LANGUAGE sql VOLATILE AS $$
    SELECT array_agg(slot.owner) || array_agg(handover.drain_to)
    FROM slot JOIN handover USING (slot) WHERE slot = ANY (p_slots)
$$;

-- Announces what the hand-overs of these slots (NULL: none) have come to. It need not be durable by
-- itself: the grant at the end carries it to the disk, and after a crash of the server the Master
-- asks again and owners report again.
CREATE FUNCTION announce_drains(p_slots smallint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_slots IS NOT NULL THEN
        PERFORM announce(concerned_by(p_slots));
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
END $$;

-- Whether every move is as the world is: its epoch and old owner, a drained slot or an owner that
-- is dead, and a new owner that lives. A live owner may have sends under way: only its own word
-- that it has none moves a slot.
CREATE FUNCTION may_assign(
    p_slots smallint[], p_epochs bigint[], p_old_owners text[], p_new_owners text[]
) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT count(DISTINCT slot.slot) = cardinality(p_slots)
    FROM unnest(p_slots, p_epochs, p_old_owners, p_new_owners)
        AS move (slot, epoch, old_owner, new_owner)
    JOIN slot ON slot.slot = move.slot
    JOIN handover ON handover.slot = move.slot
    WHERE slot.epoch = move.epoch AND slot.owner IS NOT DISTINCT FROM move.old_owner
        AND (handover.drained OR slot.owner IS NULL OR NOT is_alive(slot.owner))
        AND is_alive(move.new_owner)
$$;

CREATE FUNCTION assign_slots(
    p_slots smallint[], p_epochs bigint[], p_old_owners text[], p_new_owners text[],
    p_term bigint, p_reason text, p_shards integer, p_at_ms bigint, p_audit_rows_kept bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    concerned text[];
    map record;
BEGIN
    PERFORM 1 FROM cluster WHERE term = p_term FOR UPDATE;
    -- Asked before the fences are locked too: what is refused anyway must disturb nobody.
    IF NOT FOUND OR NOT may_assign(p_slots, p_epochs, p_old_owners, p_new_owners) THEN
        RETURN false;
    END IF;
    IF cardinality(p_slots) = 0 AND p_shards IS NULL THEN
        RETURN true;
    END IF;
    -- Waits for the commits under way: each either is in before the old epoch ends, or finds the
    -- new one.
    PERFORM 1 FROM slot WHERE slot = ANY (p_slots) ORDER BY slot FOR UPDATE;
    PERFORM 1 FROM handover WHERE slot = ANY (p_slots) ORDER BY slot FOR UPDATE;
    IF NOT may_assign(p_slots, p_epochs, p_old_owners, p_new_owners) THEN
        RETURN false;
    END IF;
    concerned := concerned_by(p_slots);
    UPDATE cluster SET map_version = map_version + 1, shards = coalesce(p_shards, shards)
        RETURNING map_version, term INTO map;
    UPDATE slot SET epoch = move.epoch + 1, owner = move.new_owner, opened = 0
        FROM unnest(p_slots, p_epochs, p_new_owners) AS move (slot, epoch, new_owner)
        WHERE slot.slot = move.slot;
    UPDATE handover SET drain_to = NULL, drained = false WHERE slot = ANY (p_slots);
    INSERT INTO audit (
        at_ms, map_version, term, slot, old_epoch, new_epoch, old_owner, new_owner, reason
    )
        SELECT p_at_ms, map.map_version, map.term, slot, epoch, epoch + 1, old_owner, new_owner,
            p_reason
        FROM unnest(p_slots, p_epochs, p_old_owners, p_new_owners) WITH ORDINALITY
            AS move (slot, epoch, old_owner, new_owner, place)
        ORDER BY place;
    IF p_shards IS NOT NULL THEN
        INSERT INTO audit (at_ms, map_version, term, reason) VALUES (
            p_at_ms, map.map_version, map.term, p_shards || ' shards in force: ' || p_reason
        );
    END IF;
    DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - p_audit_rows_kept;
    PERFORM announce(concerned || p_new_owners);
    RETURN true;
END $$;

-- Asks the owners of slots to drain them; returns the places of those asked now, counted from 1.
CREATE FUNCTION start_drains(
    p_slots smallint[], p_epochs bigint[], p_to text[], p_terms bigint[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    done record;
BEGIN
    PERFORM 1 FROM cluster FOR SHARE;
    -- Shared, as a commit's: a drain holds no commit up.
    PERFORM 1 FROM slot WHERE slot = ANY (p_slots) ORDER BY slot FOR SHARE;
    PERFORM 1 FROM handover WHERE slot = ANY (p_slots) ORDER BY slot FOR UPDATE;
    WITH start AS (
        UPDATE handover SET drain_to = asked.heir, drained = false
            FROM unnest(p_slots, p_epochs, p_to, p_terms) WITH ORDINALITY
                AS asked (slot, epoch, heir, term, place)
            JOIN slot ON slot.slot = asked.slot AND slot.epoch = asked.epoch
            JOIN cluster ON cluster.term = asked.term
            WHERE handover.slot = asked.slot AND drain_to IS NULL AND slot.owner IS NOT NULL
            RETURNING handover.slot, asked.place
    )
    SELECT array_agg(slot) AS slots, array_agg(place) AS places INTO done FROM start;
    PERFORM announce_drains(done.slots);
    RETURN coalesce(done.places, '{}');
END $$;

CREATE FUNCTION cancel_drain(p_slot smallint, p_epoch bigint, p_term bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    concerned text[];
BEGIN
    PERFORM 1 FROM cluster WHERE term = p_term FOR SHARE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM 1 FROM slot WHERE slot = p_slot AND epoch = p_epoch FOR SHARE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    concerned := concerned_by(ARRAY[p_slot]);
    UPDATE handover SET drain_to = NULL, drained = false
        WHERE slot = p_slot AND drain_to IS NOT NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM announce(concerned);
    RETURN true;
END $$;

-- Notes that nothing of these slots is in flight; returns the places of those noted.
CREATE FUNCTION report_drained(p_slots smallint[], p_epochs bigint[], p_owners text[])
RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    done record;
BEGIN
    PERFORM 1 FROM slot WHERE slot = ANY (p_slots) ORDER BY slot FOR SHARE;
    PERFORM 1 FROM handover WHERE slot = ANY (p_slots) ORDER BY slot FOR UPDATE;
    WITH report AS (
        UPDATE handover SET drained = true
            FROM unnest(p_slots, p_epochs, p_owners) WITH ORDINALITY
                AS asked (slot, epoch, owner, place)
            JOIN slot ON slot.slot = asked.slot AND slot.epoch = asked.epoch
            WHERE handover.slot = asked.slot AND drain_to IS NOT NULL AND slot.owner = asked.owner
            RETURNING handover.slot, asked.place
    )
    SELECT array_agg(slot) AS slots, array_agg(place) AS places INTO done FROM report;
    PERFORM announce_drains(done.slots);
    RETURN coalesce(done.places, '{}');
END $$;

CREATE FUNCTION release_slot(
    p_slot smallint, p_epoch bigint, p_incarnation text, p_reason text, p_at_ms bigint,
    p_audit_rows_kept bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    concerned text[];
BEGIN
    PERFORM 1 FROM cluster FOR UPDATE;
    -- Waits for the owner's own commit under way, as a grant does.
    UPDATE slot SET owner = NULL, opened = 0
        WHERE slot = p_slot AND epoch = p_epoch AND owner = p_incarnation;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    concerned := concerned_by(ARRAY[p_slot]);
    UPDATE handover SET drain_to = NULL, drained = false WHERE slot = p_slot;
    UPDATE cluster SET map_version = map_version + 1;
    INSERT INTO audit (at_ms, map_version, term, slot, old_epoch, old_owner, reason)
        SELECT p_at_ms, map_version, term, p_slot, p_epoch, p_incarnation, p_reason FROM cluster;
    DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - p_audit_rows_kept;
    PERFORM announce(concerned || p_incarnation);
    RETURN true;
END $$;

-- Takes a granted slot into use; NULL when the grant is gone. When this returns, no commit planned
-- before is under way any more, and none will come: the slot's rows can be read.
CREATE FUNCTION open_slot(p_slot smallint, p_epoch bigint, p_owner text) RETURNS bigint
LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
    count bigint;
BEGIN
    UPDATE slot SET opened = opened + 1
        WHERE slot = p_slot AND epoch = p_epoch AND owner = p_owner RETURNING opened INTO count;
    -- Need not be durable by itself: a commit that names this count carries it to the disk, and
    -- after a crash of the server every owner takes its slots into use again.
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN count;
END $$;

-- Called by a commit whose batches do not continue their lanes: nothing of it may be stored.
CREATE FUNCTION refuse_gap() RETURNS smallint LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a batch does not continue its lane' USING ERRCODE = 'MC001';
END $$;

-- --- documents ----------------------------------------------------------------------------------

CREATE FUNCTION put_document(p_kind text, p_key text, p_value json, p_observed bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    known bigint;
BEGIN
    -- One writer at a time: a row that does not exist yet cannot be locked.
    PERFORM 1 FROM revision FOR UPDATE;
    SELECT version INTO known FROM document WHERE kind = p_kind AND key = p_key;
    known := coalesce(known, 0);
    IF p_observed <> known THEN
        RETURN NULL;
    END IF;
    INSERT INTO document VALUES (p_kind, p_key, known + 1, p_value)
        ON CONFLICT (kind, key) DO UPDATE SET version = excluded.version, value = excluded.value;
    PERFORM announce('{}');
    RETURN known + 1;
END $$;

CREATE FUNCTION delete_document(p_kind text, p_key text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM revision FOR UPDATE;
    DELETE FROM document WHERE kind = p_kind AND key = p_key;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM announce('{}');
    RETURN true;
END $$;

-- --- frozen clients -----------------------------------------------------------------------------

-- Ends the sessions that keep another one waiting for a lock while they themselves do nothing for
-- their transaction: they wait for their client (which is frozen), or sleep. Only the last in each
-- chain, who waits for nobody. One that writes or syncs is at work and is left to finish. Returns
-- whom it found, and whether this role was allowed to end it.
CREATE FUNCTION end_blockers(p_waiting integer, p_older_than interval)
RETURNS TABLE (pid integer, application text, ended boolean) LANGUAGE sql AS $$
    WITH RECURSIVE blocker (pid) AS (
        SELECT unnest(pg_blocking_pids(p_waiting))
        UNION
        SELECT unnest(pg_blocking_pids(blocker.pid)) FROM blocker
    )
    SELECT session.pid, session.application_name,
        CASE WHEN pg_has_role(session.usesysid, 'USAGE') OR
                pg_has_role('pg_signal_backend', 'MEMBER') AND NOT role.rolsuper
            THEN pg_terminate_backend(session.pid) ELSE false END
    FROM blocker JOIN pg_stat_activity AS session ON session.pid = blocker.pid
        JOIN pg_roles AS role ON role.oid = session.usesysid
    WHERE cardinality(pg_blocking_pids(session.pid)) = 0
        -- Of another role's session nothing can be seen: it is only named.
        AND coalesce(session.wait_event_type, 'Client') IN ('Client', 'Timeout')
        AND coalesce(clock_timestamp() - session.xact_start > p_older_than, true)
$$;
