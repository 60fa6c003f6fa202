-- Lists by session and by endpoint walk along the ids of that session or endpoint alone. (What
-- 0004 says of `message.resends` holds no longer: ARCHITECTURE, "Up to five resends by itself".)

CREATE INDEX message_session ON message (session_id, org_id, id);
-- Messages out have no chat and no sender: they stand in it no longer.
DROP INDEX message_inbound;
CREATE UNIQUE INDEX message_inbound ON message (session_id, chat_mac, sender_mac, wa_id) WHERE direction = 'inbound';

CREATE INDEX delivery_list ON delivery (org_id, id);
DROP INDEX delivery_endpoint;
CREATE INDEX delivery_endpoint ON delivery (endpoint_id, org_id, id);
