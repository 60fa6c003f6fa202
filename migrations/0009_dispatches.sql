-- In a cluster with Redis an attempt is announced by a token that travels through it. These columns
-- say what has been announced; the tokens themselves are never believed. Elsewhere they stay as they are.

-- Tokens of this delivery given to the transport so far. Only the last one may claim it.
ALTER TABLE delivery ADD COLUMN generation bigint NOT NULL DEFAULT 0;
-- When the last token was given to the transport, in milliseconds UTC; null once the delivery is
-- claimed, and as long as none is under way. A token is lost when this lies too far back.
ALTER TABLE delivery ADD COLUMN dispatched_at bigint;
CREATE INDEX delivery_dispatched ON delivery (dispatched_at, endpoint_id) WHERE dispatched_at IS NOT NULL;
