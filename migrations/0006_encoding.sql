-- Encoding: what a statement's text was decoded from, or that it could not be. See docs/audit.md.

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
    masking,
    encoding
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
        j.value ->> 'masking' AS masking,
        j.value ->> 'encoding' AS encoding
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
        j.value ->> 'masking' AS masking,
        j.value ->> 'encoding' AS encoding
    FROM escaped_sessions s
    CROSS JOIN events e INDEXED BY events_session ON e.session = s.session
    CROSS JOIN json_each(e.body, '$.statements') j
    LEFT JOIN texts t ON t.id = j.value ->> 'text'
    WHERE e.type = 'statement.executed'
      AND e.session <> ''
);
