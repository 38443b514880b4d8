-- The append-only events, the sessions projection, and the views for people. See docs/audit.md.

PRAGMA application_id = 0x67707879; -- "gpxy"

-- One row is one fact. time is microseconds since 1970 UTC, body the fact's JSON (NULL is
-- kept for bodies that retention gives up), hash SHA-256(previous hash || SHA-256(line)).
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    time    INTEGER NOT NULL,
    type    TEXT    NOT NULL,
    session TEXT    NOT NULL,
    body    TEXT,
    hash    BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX events_time ON events (time);
CREATE INDEX events_session ON events (session) WHERE session <> '';

-- Statements will be most of the rows and are found without an index of types.
CREATE INDEX events_type ON events (type) WHERE type <> 'statement.executed';

CREATE TRIGGER events_no_update BEFORE UPDATE ON events
BEGIN
    SELECT raise(ABORT, 'events are append-only: no UPDATE');
END;

CREATE TRIGGER events_no_delete BEFORE DELETE ON events
BEGIN
    SELECT raise(ABORT, 'events are append-only: no DELETE');
END;

-- Without this, INSERT OR REPLACE would be an UPDATE that the triggers above do not see.
CREATE TRIGGER events_in_order BEFORE INSERT ON events
WHEN new.seq IS NOT 1 + (SELECT coalesce(max(seq), 0) FROM events)
BEGIN
    SELECT raise(ABORT, 'events are append-only: seq must be the next one');
END;

-- Fold of the events (store/session.go); changes in the same transaction as its events.
-- seq is the session.connected that began the session, so rows stand in the order of the log.
CREATE TABLE sessions (
    seq              INTEGER PRIMARY KEY,
    session          TEXT    NOT NULL UNIQUE,
    state            TEXT    NOT NULL,
    started          INTEGER NOT NULL,
    ended            INTEGER,
    user             TEXT,
    requested_user   TEXT,
    auth_method      TEXT,
    roles            TEXT,
    role             TEXT,
    service_account  TEXT,
    database         TEXT,
    client           TEXT,
    application_name TEXT,
    tls              TEXT,
    backend_pid      INTEGER,
    statements       INTEGER,
    rows             INTEGER,
    errors           INTEGER,
    bytes_in         INTEGER,
    bytes_out        INTEGER,
    end_reason       TEXT
) STRICT;

CREATE INDEX sessions_started ON sessions (started);
CREATE INDEX sessions_ended ON sessions (ended) WHERE ended IS NOT NULL;
CREATE INDEX sessions_user ON sessions (user, started) WHERE user IS NOT NULL;
CREATE INDEX sessions_service_account ON sessions (service_account, started) WHERE service_account IS NOT NULL;
CREATE INDEX sessions_database ON sessions (database, started);
CREATE INDEX sessions_open ON sessions (state, started) WHERE state IN ('connecting', 'active');

CREATE VIEW v_events AS
SELECT
    e.seq AS seq,
    strftime('%Y-%m-%dT%H:%M:%S', e.time / 1000000, 'unixepoch') || printf('.%06dZ', e.time % 1000000) AS time,
    e.type AS type,
    nullif(e.session, '') AS session,
    s.user AS user,
    s.service_account AS service_account,
    s.database AS database,
    coalesce(s.client, json_extract(e.body, '$.client')) AS client,
    e.body AS detail,
    lower(hex(e.hash)) AS hash
FROM events e
LEFT JOIN sessions s ON e.session <> '' AND s.session = e.session;

CREATE VIEW v_sessions AS
SELECT
    session,
    state,
    strftime('%Y-%m-%dT%H:%M:%S', started / 1000000, 'unixepoch') || printf('.%06dZ', started % 1000000) AS started,
    strftime('%Y-%m-%dT%H:%M:%S', ended / 1000000, 'unixepoch') || printf('.%06dZ', ended % 1000000) AS ended,
    user,
    requested_user,
    auth_method,
    roles,
    role,
    service_account,
    database,
    client,
    application_name,
    tls,
    backend_pid,
    statements,
    rows,
    errors,
    bytes_in,
    bytes_out,
    end_reason
FROM sessions
WHERE state <> 'connecting';

-- Who used which service account, and who was refused: probes that left before login are left out.
CREATE VIEW v_account_use AS
SELECT
    service_account,
    user,
    sum(state <> 'refused') AS sessions,
    sum(state = 'active') AS active,
    sum(state = 'refused') AS refused,
    strftime('%Y-%m-%dT%H:%M:%S', min(started) / 1000000, 'unixepoch') || printf('.%06dZ', min(started) % 1000000) AS first,
    strftime('%Y-%m-%dT%H:%M:%S', max(started) / 1000000, 'unixepoch') || printf('.%06dZ', max(started) % 1000000) AS last,
    sum(statements) AS statements,
    sum(rows) AS rows,
    sum(errors) AS errors
FROM sessions
WHERE state <> 'connecting'
  AND (user IS NOT NULL OR service_account IS NOT NULL OR state = 'refused')
GROUP BY service_account, user;
