-- Names and texts from outside are shown in the views as they are shown on the terminal: what would move the cursor, begin a
-- line or hide text is escaped (\x1b, \n, \u202e), so that nothing of it reaches a terminal through sqlite3. In the texts of
-- statements and messages line breaks and tabs stay. JSON gets JSON's own escapes, and says the same as before. The tables
-- keep what came.
--
-- SQLite has no function for it that every shell knows: a step for each character replaces that one. Only what has such a
-- character pays for it. Of sessions those that have one are found by an index of theirs and come from a part of the view of
-- their own, so that all others are still found by the indexes on user, account and database.

CREATE INDEX sessions_escaped ON sessions (seq) WHERE (ifnull(user, '') || ifnull(requested_user, '') || ifnull(roles, '')
    || ifnull(role, '') || ifnull(service_account, '') || ifnull(database, '') || ifnull(client, '')
    || ifnull(application_name, '')) GLOB ('*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(173)
    || char(8203) || '-' || char(8207) || char(8232) || '-' || char(8238) || char(8288) || '-' || char(8303) || char(65279) || ']*');

-- The sessions that have such a character, with none.
CREATE VIEW escaped_sessions AS
SELECT
    seq,
    session,
    state,
    started,
    ended,
    CASE WHEN user GLOB ('*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(173) || char(8203) || '-'
        || char(8207) || char(8232) || '-' || char(8238) || char(8288) || '-' || char(8303) || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 1, user UNION ALL SELECT CASE i WHEN 31 THEN 127 WHEN 159 THEN 173
            WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), CASE i WHEN 7 THEN '\a' WHEN 8 THEN '\b' WHEN 9 THEN '\t' WHEN 10 THEN '\n' WHEN 11 THEN '\v'
            WHEN 12 THEN '\f' WHEN 13 THEN '\r' ELSE printf(iif(i < 128, '\x%02x', '\u%04x'), i) END) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE user END AS user,
    CASE WHEN requested_user GLOB ('*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(173) || char(8203)
        || '-' || char(8207) || char(8232) || '-' || char(8238) || char(8288) || '-' || char(8303) || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 1, requested_user UNION ALL SELECT CASE i WHEN 31 THEN 127 WHEN 159 THEN 173
            WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), CASE i WHEN 7 THEN '\a' WHEN 8 THEN '\b' WHEN 9 THEN '\t' WHEN 10 THEN '\n' WHEN 11 THEN '\v'
            WHEN 12 THEN '\f' WHEN 13 THEN '\r' ELSE printf(iif(i < 128, '\x%02x', '\u%04x'), i) END) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE requested_user END AS requested_user,
    auth_method,
    CASE WHEN roles GLOB ('*[' || char(127) || '-' || char(159) || char(173) || char(8203) || '-' || char(8207) || char(8232) || '-'
        || char(8238) || char(8288) || '-' || char(8303) || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 127, roles UNION ALL SELECT CASE i WHEN 31 THEN 127 WHEN 159 THEN 173
            WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), printf('\u%04x', i)) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE roles END AS roles,
    CASE WHEN role GLOB ('*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(173) || char(8203) || '-'
        || char(8207) || char(8232) || '-' || char(8238) || char(8288) || '-' || char(8303) || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 1, role UNION ALL SELECT CASE i WHEN 31 THEN 127 WHEN 159 THEN 173
            WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), CASE i WHEN 7 THEN '\a' WHEN 8 THEN '\b' WHEN 9 THEN '\t' WHEN 10 THEN '\n' WHEN 11 THEN '\v'
            WHEN 12 THEN '\f' WHEN 13 THEN '\r' ELSE printf(iif(i < 128, '\x%02x', '\u%04x'), i) END) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE role END AS role,
    CASE WHEN service_account GLOB ('*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(173) || char(8203)
        || '-' || char(8207) || char(8232) || '-' || char(8238) || char(8288) || '-' || char(8303) || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 1, service_account UNION ALL SELECT CASE i WHEN 31 THEN 127 WHEN 159 THEN 173
            WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), CASE i WHEN 7 THEN '\a' WHEN 8 THEN '\b' WHEN 9 THEN '\t' WHEN 10 THEN '\n' WHEN 11 THEN '\v'
            WHEN 12 THEN '\f' WHEN 13 THEN '\r' ELSE printf(iif(i < 128, '\x%02x', '\u%04x'), i) END) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE service_account END AS service_account,
    CASE WHEN database GLOB ('*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(173) || char(8203) || '-'
        || char(8207) || char(8232) || '-' || char(8238) || char(8288) || '-' || char(8303) || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 1, database UNION ALL SELECT CASE i WHEN 31 THEN 127 WHEN 159 THEN 173
            WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), CASE i WHEN 7 THEN '\a' WHEN 8 THEN '\b' WHEN 9 THEN '\t' WHEN 10 THEN '\n' WHEN 11 THEN '\v'
            WHEN 12 THEN '\f' WHEN 13 THEN '\r' ELSE printf(iif(i < 128, '\x%02x', '\u%04x'), i) END) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE database END AS database,
    CASE WHEN client GLOB ('*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(173) || char(8203) || '-'
        || char(8207) || char(8232) || '-' || char(8238) || char(8288) || '-' || char(8303) || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 1, client UNION ALL SELECT CASE i WHEN 31 THEN 127 WHEN 159 THEN 173
            WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), CASE i WHEN 7 THEN '\a' WHEN 8 THEN '\b' WHEN 9 THEN '\t' WHEN 10 THEN '\n' WHEN 11 THEN '\v'
            WHEN 12 THEN '\f' WHEN 13 THEN '\r' ELSE printf(iif(i < 128, '\x%02x', '\u%04x'), i) END) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE client END AS client,
    CASE WHEN application_name GLOB ('*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(173) || char(8203)
        || '-' || char(8207) || char(8232) || '-' || char(8238) || char(8288) || '-' || char(8303) || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 1, application_name UNION ALL SELECT CASE i WHEN 31 THEN 127 WHEN 159 THEN 173
            WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), CASE i WHEN 7 THEN '\a' WHEN 8 THEN '\b' WHEN 9 THEN '\t' WHEN 10 THEN '\n' WHEN 11 THEN '\v'
            WHEN 12 THEN '\f' WHEN 13 THEN '\r' ELSE printf(iif(i < 128, '\x%02x', '\u%04x'), i) END) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE application_name END AS application_name,
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
WHERE (ifnull(user, '') || ifnull(requested_user, '') || ifnull(roles, '') || ifnull(role, '') || ifnull(service_account, '')
    || ifnull(database, '') || ifnull(client, '') || ifnull(application_name, '')) GLOB ('*[' || char(1) || '-' || char(31)
    || char(127) || '-' || char(159) || char(173) || char(8203) || '-' || char(8207) || char(8232) || '-' || char(8238)
    || char(8288) || '-' || char(8303) || char(65279) || ']*');

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
WHERE state <> 'connecting'
  AND seq NOT IN (SELECT seq FROM escaped_sessions)
UNION ALL
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
FROM escaped_sessions
WHERE state <> 'connecting';

-- Who used which service account, and who was refused: probes that left before login are left out.
DROP VIEW v_account_use;
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
FROM (
    SELECT service_account, user, state, started, statements, rows, errors
    FROM sessions
    WHERE seq NOT IN (SELECT seq FROM escaped_sessions)
    UNION ALL
    SELECT service_account, user, state, started, statements, rows, errors
    FROM escaped_sessions
)
WHERE state <> 'connecting'
  AND (user IS NOT NULL OR service_account IS NOT NULL OR state = 'refused')
GROUP BY service_account, user;

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
    CASE WHEN text GLOB ('*[' || char(1) || '-' || char(8) || char(11) || '-' || char(31) || char(127) || '-' || char(159)
        || char(173) || char(8203) || '-' || char(8207) || char(8232) || '-' || char(8238) || char(8288) || '-' || char(8303)
        || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 1, text UNION ALL SELECT CASE i WHEN 8 THEN 11 WHEN 31 THEN 127 WHEN 159 THEN 173
            WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), CASE i WHEN 7 THEN '\a' WHEN 8 THEN '\b' WHEN 9 THEN '\t' WHEN 10 THEN '\n' WHEN 11 THEN '\v'
            WHEN 12 THEN '\f' WHEN 13 THEN '\r' ELSE printf(iif(i < 128, '\x%02x', '\u%04x'), i) END) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE text END AS text,
    CASE WHEN name GLOB ('*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(173) || char(8203) || '-'
        || char(8207) || char(8232) || '-' || char(8238) || char(8288) || '-' || char(8303) || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 1, name UNION ALL SELECT CASE i WHEN 31 THEN 127 WHEN 159 THEN 173
            WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), CASE i WHEN 7 THEN '\a' WHEN 8 THEN '\b' WHEN 9 THEN '\t' WHEN 10 THEN '\n' WHEN 11 THEN '\v'
            WHEN 12 THEN '\f' WHEN 13 THEN '\r' ELSE printf(iif(i < 128, '\x%02x', '\u%04x'), i) END) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE name END AS name,
    CASE WHEN portal GLOB ('*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(173) || char(8203) || '-'
        || char(8207) || char(8232) || '-' || char(8238) || char(8288) || '-' || char(8303) || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 1, portal UNION ALL SELECT CASE i WHEN 31 THEN 127 WHEN 159 THEN 173
            WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), CASE i WHEN 7 THEN '\a' WHEN 8 THEN '\b' WHEN 9 THEN '\t' WHEN 10 THEN '\n' WHEN 11 THEN '\v'
            WHEN 12 THEN '\f' WHEN 13 THEN '\r' ELSE printf(iif(i < 128, '\x%02x', '\u%04x'), i) END) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE portal END AS portal,
    CASE WHEN params GLOB ('*[' || char(127) || '-' || char(159) || char(173) || char(8203) || '-' || char(8207) || char(8232)
        || '-' || char(8238) || char(8288) || '-' || char(8303) || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 127, params UNION ALL SELECT CASE i WHEN 31 THEN 127 WHEN 159 THEN 173
            WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), printf('\u%04x', i)) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE params END AS params,
    tag,
    rows,
    sqlstate,
    CASE WHEN message GLOB ('*[' || char(1) || '-' || char(8) || char(11) || '-' || char(31) || char(127) || '-' || char(159)
        || char(173) || char(8203) || '-' || char(8207) || char(8232) || '-' || char(8238) || char(8288) || '-' || char(8303)
        || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 1, message UNION ALL SELECT CASE i WHEN 8 THEN 11 WHEN 31 THEN 127
            WHEN 159 THEN 173 WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), CASE i WHEN 7 THEN '\a' WHEN 8 THEN '\b' WHEN 9 THEN '\t' WHEN 10 THEN '\n' WHEN 11 THEN '\v'
            WHEN 12 THEN '\f' WHEN 13 THEN '\r' ELSE printf(iif(i < 128, '\x%02x', '\u%04x'), i) END) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE message END AS message,
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
      AND ifnull(s.seq, 0) NOT IN (SELECT seq FROM escaped_sessions)
    UNION ALL
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
    FROM escaped_sessions s
    CROSS JOIN events e INDEXED BY events_session ON e.session = s.session
    CROSS JOIN json_each(e.body, '$.statements') j
    LEFT JOIN texts t ON t.id = j.value ->> 'text'
    WHERE e.type = 'statement.executed'
      AND e.session <> ''
);

DROP VIEW v_events;
CREATE VIEW v_events AS
SELECT
    seq,
    time,
    type,
    session,
    user,
    service_account,
    database,
    client,
    CASE WHEN detail GLOB ('*[' || char(127) || '-' || char(159) || char(173) || char(8203) || '-' || char(8207) || char(8232)
        || '-' || char(8238) || char(8288) || '-' || char(8303) || char(65279) || ']*') THEN
        (WITH RECURSIVE step (i, v) AS (SELECT 127, detail UNION ALL SELECT CASE i WHEN 31 THEN 127 WHEN 159 THEN 173
            WHEN 173 THEN 8203 WHEN 8207 THEN 8232 WHEN 8238 THEN 8288 WHEN 8303 THEN 65279 ELSE i + 1 END,
            replace(v, char(i), printf('\u%04x', i)) FROM step WHERE i < 65280)
            SELECT v FROM step WHERE i = 65280)
        ELSE detail END AS detail,
    hash
FROM (
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
      AND ifnull(s.seq, 0) NOT IN (SELECT seq FROM escaped_sessions)
    UNION ALL
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
    FROM escaped_sessions s
    CROSS JOIN events e INDEXED BY events_session ON e.session = s.session
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
      AND ifnull(s.seq, 0) NOT IN (SELECT seq FROM escaped_sessions)
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
    FROM escaped_sessions s
    CROSS JOIN events e INDEXED BY events_session ON e.session = s.session
    LEFT JOIN texts t ON t.id = e.body ->> 'text'
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
      AND e.session <> ''
      AND ifnull(s.seq, 0) NOT IN (SELECT seq FROM escaped_sessions)
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
    FROM escaped_sessions s
    CROSS JOIN events e INDEXED BY events_session ON e.session = s.session
    CROSS JOIN json_each(e.body, '$.statements') j
    LEFT JOIN texts t ON t.id = j.value ->> 'text'
    WHERE e.type = 'statement.executed'
      AND e.session <> ''
);
