-- In a cluster with Redis a file to fetch is announced by a token, as a delivery is (0009).

-- Tokens of this file given to the transport so far. Only the last one may claim it.
ALTER TABLE media ADD COLUMN generation bigint NOT NULL DEFAULT 0;
-- When the last token was given to the transport, in milliseconds UTC; null once the file is claimed,
-- and as long as none is under way. A token is lost when this lies too far back.
ALTER TABLE media ADD COLUMN dispatched_at bigint;
CREATE INDEX media_dispatched ON media (dispatched_at, org_id) WHERE dispatched_at IS NOT NULL;
