-- Endpoints that their tenant changes while deliveries run.

-- JSON array of event types and groups such as "message.*", as the tenant wrote them. Null: as `events`, which has the
-- types that they meant when they were written, for processes of an older version.
ALTER TABLE endpoint ADD COLUMN wanted text;
-- JSON array of the sessions whose events are wanted. Null: all events.
ALTER TABLE endpoint ADD COLUMN sessions text;
-- JSON object of further headers, names in lower case. Null: none.
ALTER TABLE endpoint ADD COLUMN headers_sealed blob;
-- + 1 at each change. An attempt that began before a change says nothing about the endpoint's health.
ALTER TABLE endpoint ADD COLUMN revision bigint NOT NULL DEFAULT 0;
CREATE INDEX endpoint_disabled ON endpoint (id) WHERE disabled_at IS NOT NULL;
-- 1: an example that the owner of an endpoint asked for.
ALTER TABLE event ADD COLUMN test bigint NOT NULL DEFAULT 0;
