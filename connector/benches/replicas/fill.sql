-- Half of them are of the robot that is measured. Ids are random, as those of DingTalk are; texts are as long as in
-- the fixtures.
WITH kept AS (
    INSERT INTO ddingtalk.inbox
        (client_id, bucket, msg_id, message_id, conversation_id, received_at, stored_at, acked_at, begun_at,
         ended_at, finished_at, ended, data)
    SELECT CASE n % 2 WHEN 0 THEN 'dingbench' ELSE 'dingother' END, n % 64,
        'msg' || substr(md5(n::text), 1, 16), 'frame' || substr(md5(n::text), 17, 16), 'cid' || n % 1000 || '==',
        at, at, at, at, at, at, TRUE, repeat('x', 600)
    FROM (
        SELECT n, (extract(epoch FROM now()) * 1000)::bigint - 6 * 86400000::bigint + n / 100 AS at
        FROM generate_series(:first::bigint, :last::bigint) AS n
    ) AS numbered
    RETURNING id, received_at
)
INSERT INTO ddingtalk.outbox (inbox_id, message, begun, continues, said_at, sent_at, via)
SELECT id, '{"Message":{"Text":"x"}}', TRUE, FALSE, received_at, received_at, 'sessionWebhook' FROM kept
