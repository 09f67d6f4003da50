WITH kept AS (
    INSERT INTO ddingtalk.inbox
        (client_id, bucket, msg_id, message_id, conversation_id, received_at, stored_at, finished_at, ended, data)
    SELECT 'dingfiller', n % 64, 'filler' || n, 'frame' || n, 'cid' || n % 1000, at, at, at, TRUE, repeat('x', 400)
    FROM (
        SELECT n, (extract(epoch FROM now()) * 1000)::bigint - 6 * 86400000::bigint + n / 100 AS at
        FROM generate_series(:first::bigint, :last::bigint) AS n
    ) AS numbered
    RETURNING id, received_at
)
INSERT INTO ddingtalk.outbox (inbox_id, message, begun, continues, said_at, sent_at)
SELECT id, '{"Message":{"Text":"x"}}', TRUE, FALSE, received_at, received_at FROM kept
