-- Doubt: why gprxy could not follow a session to its end, or tell what became of a statement. Masking: whether its text can be
-- read in two ways. See docs/audit.md.

ALTER TABLE sessions ADD COLUMN doubt TEXT;

DROP VIEW v_sessions;
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
    end_reason,
    doubt
FROM sessions
WHERE state <> 'connecting';

DROP VIEW v_statements;
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
    seq_started,
    doubt,
    masking
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
        j.value ->> 'seq_started' AS seq_started,
        j.value ->> 'doubt' AS doubt,
        j.value ->> 'masking' AS masking
    FROM events e
    CROSS JOIN json_each(e.body, '$.statements') j
    LEFT JOIN texts t ON t.id = j.value ->> 'text'
    LEFT JOIN sessions s ON s.session = e.session
    WHERE e.type = 'statement.executed'
      AND e.session <> ''
);
