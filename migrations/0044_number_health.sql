-- What WhatsApp signals about a number, and what the gateway makes of it.

ALTER TABLE number ADD COLUMN health text; -- JSON: level, reasons and counters, `safety::health::Health`. Null: nothing was ever wrong
ALTER TABLE number ADD COLUMN health_due_at bigint; -- when it may recover, so that its sessions are told; null: it does not by itself
CREATE INDEX number_health_due ON number (health_due_at) WHERE health_due_at IS NOT NULL;
-- The last first messages of a session, to count how many were not received and whose recipients opted out.
CREATE INDEX message_cold ON message (session_id, created_at) WHERE class = 'cold';
