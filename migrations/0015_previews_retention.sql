-- Link previews that are still to be fetched: the message's row is the job.

ALTER TABLE message ADD COLUMN preview_due_at bigint; -- its link's page is to be fetched: not before this; while it is being fetched: when the claim lapses; null: nothing to fetch
CREATE INDEX message_preview ON message (preview_due_at) WHERE preview_due_at IS NOT NULL;
CREATE INDEX message_preview_org ON message (org_id, preview_due_at) WHERE preview_due_at IS NOT NULL; -- how many of an organisation's are being fetched
