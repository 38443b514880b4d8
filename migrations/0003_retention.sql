-- What retention keeps of events that it gives up, so that the chain still verifies. See docs/audit.md.

-- A run stands for all events from first to seq. digests holds SHA-256(line) of each of their rows in
-- order, 32 bytes each; hash is the hash of the last.
CREATE TABLE pruned (
    seq     INTEGER PRIMARY KEY,
    first   INTEGER NOT NULL CHECK (first <= seq),
    digests BLOB    NOT NULL CHECK (length(digests) > 0 AND length(digests) % 32 = 0),
    hash    BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- A run begins with a log.pruned that says so, in the same transaction, ...
CREATE TRIGGER pruned_is_recorded BEFORE INSERT ON pruned
WHEN NOT EXISTS (
    SELECT 1
    FROM events
    WHERE seq = (SELECT max(seq) FROM events)
      AND type = 'log.pruned'
      AND new.first >= json_extract(body, '$.first_seq')
      AND new.seq <= json_extract(body, '$.last_seq')
)
BEGIN
    SELECT raise(ABORT, 'pruned: the last event must be the log.pruned of these events');
END;

CREATE TRIGGER pruned_no_update BEFORE UPDATE ON pruned
BEGIN
    SELECT raise(ABORT, 'pruned is append-only: no UPDATE');
END;

CREATE TRIGGER pruned_no_delete BEFORE DELETE ON pruned
BEGIN
    SELECT raise(ABORT, 'pruned is append-only: no DELETE');
END;

-- ... and only what a run stands for may go.
DROP TRIGGER events_no_delete;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
WHEN NOT EXISTS (
    SELECT 1
    FROM (SELECT first FROM pruned WHERE seq >= old.seq ORDER BY seq LIMIT 1)
    WHERE first <= old.seq - old.count + 1
)
BEGIN
    SELECT raise(ABORT, 'events are append-only: no DELETE');
END;
