-- No organisation takes the webhooks and the lists of another.

-- Attempts in a row that failed: an endpoint with many is tried one at a time until one succeeds.
ALTER TABLE endpoint ADD COLUMN failures bigint NOT NULL DEFAULT 0;

-- One index for each filter of the lists, in the order of the pages. The direction 'inbound' is the
-- status 'received', which no other message has.
CREATE INDEX message_status ON message (org_id, status, id);
CREATE INDEX message_outbound ON message (org_id, id) WHERE direction = 'outbound';
CREATE INDEX message_session_status ON message (session_id, org_id, status, id);
CREATE INDEX message_session_outbound ON message (session_id, org_id, id) WHERE direction = 'outbound';
CREATE INDEX delivery_status ON delivery (org_id, status, id);
CREATE INDEX delivery_endpoint_status ON delivery (endpoint_id, org_id, status, id);
