-- Link previews that are still to be fetched: the message's row is the job.

ALTER TABLE message ADD COLUMN preview_due_at bigint; -- its link's page is to be fetched: not before this; while it is being fetched: when the claim lapses; null: nothing to fetch
CREATE INDEX message_preview ON message (preview_due_at) WHERE preview_due_at IS NOT NULL;
CREATE INDEX message_preview_org ON message (org_id, preview_due_at) WHERE preview_due_at IS NOT NULL; -- how many of an organisation's are being fetched

-- How long an organisation's files are kept.

ALTER TABLE organisation ADD COLUMN media_retention_hours bigint; -- null: as long as the gateway keeps files
ALTER TABLE media ADD COLUMN needed_until bigint NOT NULL DEFAULT 0; -- a message that waits needs it until then, whatever its organisation keeps
CREATE INDEX media_org ON media (org_id); -- all of an organisation's, when that time changes
