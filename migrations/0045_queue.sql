-- The queue of a session can be paused, and an organisation can be more careful than the gateway.

-- When the tenant paused the queue; null: it goes on. When it is resumed, `opened_at` becomes that time, as after a
-- connect: the first message after a pause takes its time
ALTER TABLE lane ADD COLUMN paused_at bigint;
-- Since when the lane waits for what `hold` names; null: it waits for nothing
ALTER TABLE lane ADD COLUMN hold_since bigint;
DROP INDEX lane_due;
CREATE INDEX lane_due ON lane (next_at) WHERE running_id IS NULL AND pending > 0 AND open_epoch > 0 AND paused_at IS NULL;

-- What held the message and since when, oldest first: JSON arrays `["why", since, until]` in milliseconds, separated by
-- commas. Null: nothing. The last ones are left out if they are very many
ALTER TABLE message ADD COLUMN waits text;
-- When a message ended without being sent: it failed, expired or was canceled, or nobody knows whether it was sent. Null: it
-- did not, or an earlier version ended it
ALTER TABLE message ADD COLUMN ended_at bigint;

-- JSON: the organisation's own limits, `safety::tighten::Tightening`. What it does not name is the gateway's. Null: none
ALTER TABLE organisation ADD COLUMN policy text;
