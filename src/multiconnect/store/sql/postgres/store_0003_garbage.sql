-- Batch by batch: as one join over ranges of sequences the planner would read whole tables.
CREATE FUNCTION drop_states(p_before_ms bigint, p_rows bigint, p_messages bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_old record;
    v_end bigint;
    v_dropped bigint := 0;
    v_messages bigint := 0;
BEGIN
    FOR v_old IN
        SELECT lane, base_seq FROM progress WHERE settled = 2 AND at_ms < p_before_ms
        ORDER BY at_ms LIMIT p_rows FOR UPDATE SKIP LOCKED
    LOOP
        DELETE FROM batch WHERE lane = v_old.lane AND base_seq = v_old.base_seq
            RETURNING base_seq + count INTO v_end;
        v_end := coalesce(v_end, v_old.base_seq + 1);
        DELETE FROM upstream_id
            WHERE lane = v_old.lane AND sequence >= v_old.base_seq AND sequence < v_end;
        DELETE FROM failure
            WHERE lane = v_old.lane AND sequence >= v_old.base_seq AND sequence < v_end;
        DELETE FROM retry
            WHERE lane = v_old.lane AND sequence >= v_old.base_seq AND sequence < v_end;
        DELETE FROM progress WHERE lane = v_old.lane AND base_seq = v_old.base_seq;
        v_dropped := v_dropped + 1;
        v_messages := v_messages + v_end - v_old.base_seq;
        EXIT WHEN v_messages >= p_messages;
    END LOOP;
    RETURN v_dropped;
END $$;
