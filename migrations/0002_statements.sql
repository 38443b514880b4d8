-- Blocks of statements, the texts that statements share, and what retention keeps. See docs/audit.md.

-- A row may stand for several seqs, of which seq is the last: the statements that one session
-- finished at nearly the same time. A row for each would cost ten times as much.
ALTER TABLE events ADD COLUMN count INTEGER NOT NULL DEFAULT 1 CHECK (count > 0);

DROP INDEX events_type;
CREATE INDEX events_type ON events (type) WHERE type NOT IN ('statement.executed', 'statement.started');

DROP TRIGGER events_in_order;
CREATE TRIGGER events_in_order BEFORE INSERT ON events
WHEN new.seq - new.count IS NOT (SELECT coalesce(max(seq), 0) FROM events)
BEGIN
    SELECT raise(ABORT, 'events are append-only: seq must be the next one');
END;

-- A text that many statements share, once. text is all of it or, if packed holds all of it
-- (zlib), its beginning. used is the last day, counted from 1970, on which an event named it.
CREATE TABLE texts (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 BLOB    NOT NULL UNIQUE CHECK (length(sha256) = 32),
    bytes  INTEGER NOT NULL,
    used   INTEGER NOT NULL,
    text   TEXT    NOT NULL,
    packed BLOB
) STRICT;

CREATE VIEW v_statements AS
SELECT
    seq,
    strftime('%Y-%m-%dT%H:%M:%S', ended / 1000000, 'unixepoch') || printf('.%06dZ', ended % 1000000) AS time,
    session,
    user,
    service_account,
    database,
    client,
    kind,
    text,
    name,
    portal,
    params,
    tag,
    rows,
    sqlstate,
    message,
    outcome,
    us / 1000.0 AS duration_ms,
    tx,
    bytes_in,
    bytes_out,
    copy_in,
    copy_out,
    part,
    text_bytes,
    seq_started
FROM (
    SELECT
        e.seq - e.count + 1 + j.key AS seq,
        e.time + ifnull(j.value ->> 'at_us', 0) + ifnull(j.value ->> 'us', 0) AS ended,
        e.session AS session,
        s.user AS user,
        s.service_account AS service_account,
        s.database AS database,
        s.client AS client,
        j.value ->> 'kind' AS kind,
        coalesce(j.value ->> 'sql', t.text) AS text,
        j.value ->> 'name' AS name,
        j.value ->> 'portal' AS portal,
        j.value -> 'params' AS params,
        j.value ->> 'tag' AS tag,
        ifnull(j.value ->> 'rows', 0) AS rows,
        j.value ->> 'sqlstate' AS sqlstate,
        j.value ->> 'message' AS message,
        ifnull(j.value ->> 'outcome', 'ok') AS outcome,
        ifnull(j.value ->> 'us', 0) AS us,
        j.value ->> 'tx' AS tx,
        ifnull(j.value ->> 'in', 0) AS bytes_in,
        ifnull(j.value ->> 'out', 0) AS bytes_out,
        j.value ->> 'copy_in' AS copy_in,
        j.value ->> 'copy_out' AS copy_out,
        j.value ->> 'part' AS part,
        coalesce(j.value ->> 'text_bytes', t.bytes) AS text_bytes,
        j.value ->> 'seq_started' AS seq_started
    FROM events e
    CROSS JOIN json_each(e.body, '$.statements') j
    LEFT JOIN texts t ON t.id = j.value ->> 'text'
    LEFT JOIN sessions s ON s.session = e.session
    WHERE e.type = 'statement.executed'
      AND e.session <> ''
);

-- One row for each event, also for each statement of a block. The parts have the words of the partial
-- indexes, so that a session or a type is found by them.
DROP VIEW v_events;
CREATE VIEW v_events AS
SELECT
    e.seq AS seq,
    strftime('%Y-%m-%dT%H:%M:%S', e.time / 1000000, 'unixepoch') || printf('.%06dZ', e.time % 1000000) AS time,
    e.type AS type,
    e.session AS session,
    s.user AS user,
    s.service_account AS service_account,
    s.database AS database,
    coalesce(s.client, json_extract(e.body, '$.client')) AS client,
    e.body AS detail,
    lower(hex(e.hash)) AS hash
FROM events e
LEFT JOIN sessions s ON s.session = e.session
WHERE e.type NOT IN ('statement.executed', 'statement.started')
  AND e.session <> ''
UNION ALL
SELECT
    e.seq,
    strftime('%Y-%m-%dT%H:%M:%S', e.time / 1000000, 'unixepoch') || printf('.%06dZ', e.time % 1000000),
    e.type,
    NULL,
    NULL,
    NULL,
    NULL,
    json_extract(e.body, '$.client'),
    e.body,
    lower(hex(e.hash))
FROM events e
WHERE e.type NOT IN ('statement.executed', 'statement.started')
  AND e.session = ''
UNION ALL
SELECT
    e.seq,
    strftime('%Y-%m-%dT%H:%M:%S', e.time / 1000000, 'unixepoch') || printf('.%06dZ', e.time % 1000000),
    e.type,
    e.session,
    s.user,
    s.service_account,
    s.database,
    s.client,
    CASE WHEN t.id IS NULL THEN e.body ELSE json_set(e.body, '$.sql', t.text) END,
    lower(hex(e.hash))
FROM events e
LEFT JOIN texts t ON t.id = e.body ->> 'text'
LEFT JOIN sessions s ON s.session = e.session
WHERE e.type = 'statement.started'
  AND e.session <> ''
UNION ALL
SELECT
    e.seq - e.count + 1 + j.key,
    strftime('%Y-%m-%dT%H:%M:%S', (e.time + ifnull(j.value ->> 'at_us', 0) + ifnull(j.value ->> 'us', 0)) / 1000000, 'unixepoch')
        || printf('.%06dZ', (e.time + ifnull(j.value ->> 'at_us', 0) + ifnull(j.value ->> 'us', 0)) % 1000000),
    e.type,
    e.session,
    s.user,
    s.service_account,
    s.database,
    s.client,
    CASE WHEN t.id IS NULL THEN j.value ELSE json_set(j.value, '$.sql', t.text) END,
    lower(hex(e.hash))
FROM events e
CROSS JOIN json_each(e.body, '$.statements') j
LEFT JOIN texts t ON t.id = j.value ->> 'text'
LEFT JOIN sessions s ON s.session = e.session
WHERE e.type = 'statement.executed'
  AND e.session <> '';
