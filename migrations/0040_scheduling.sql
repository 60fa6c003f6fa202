-- A message may ask for a later time, and to go before or after others of its lane.

ALTER TABLE message ADD COLUMN send_at bigint NOT NULL DEFAULT 0;  -- not sent before this (outbound); 0: as soon as its lane lets it
ALTER TABLE message ADD COLUMN priority bigint NOT NULL DEFAULT 0; -- of the messages that may go, the highest goes first: 1 high, 0 normal, -1 low
DROP INDEX message_lane;
CREATE INDEX message_lane ON message (session_id, priority DESC, seq, send_at) WHERE status = 'queued';
CREATE INDEX message_send_at ON message (session_id, send_at) WHERE status = 'queued';

-- 1: the lane rests, because it has scheduled messages only. `next_at` is when the first of them may go. If another message
-- may go earlier, it goes on at `paced_until`.
ALTER TABLE lane ADD COLUMN rests bigint NOT NULL DEFAULT 0;
