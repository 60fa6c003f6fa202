-- Opt-outs: how each came about, what organisations set, and what is still queued for who opted out.

ALTER TABLE contact ADD COLUMN opted_out_by text;     -- how the contact opted out: word, button, api. Null: it did not, or an earlier version wrote it
ALTER TABLE contact ADD COLUMN dequeue_since bigint;  -- since then, the messages that are queued for the contact have to be ended. Null: there is nothing to do
CREATE INDEX contact_opted_out ON contact (org_id, id) WHERE opted_out_at IS NOT NULL;
CREATE INDEX contact_dequeue ON contact (dequeue_since) WHERE dequeue_since IS NOT NULL;

ALTER TABLE organisation ADD COLUMN opt_out_sealed blob; -- JSON {ambiguous_words, confirmation}. Null: the defaults

-- 1: it tells the contact that the opt-out was understood. It is sent although the contact opted out. An earlier version
-- does not know this, and fails it.
ALTER TABLE message ADD COLUMN confirms_opt_out bigint;
