-- Erasing. (What 0006 says of backups is wrong: one that has the sealed rows has the wrapped data key, too.)
--
-- A deleted session is gone for the API at once; its rows are deleted in small steps after that.

ALTER TABLE session ADD COLUMN deleted_at bigint; -- when it was deleted; its rows in other tables, then this one, are being deleted. Null: it exists
CREATE INDEX session_deleted ON session (org_id, deleted_at, id) WHERE deleted_at IS NOT NULL;

-- What a message said is also in its events. Null in rows from before this migration.
ALTER TABLE event ADD COLUMN message_id text;     -- the message (msg_…) whose text or file the body shows; of an edit, the edited one
CREATE INDEX event_session ON event (session_id, message_id, id) WHERE session_id IS NOT NULL;
ALTER TABLE message ADD COLUMN edit_of text;      -- the message (msg_…) that this one edits
CREATE INDEX message_edit ON message (edit_of) WHERE edit_of IS NOT NULL;

-- Sessions that were deleted before this migration left their events behind.
INSERT INTO session (id, org_id, name, desired, created_at, deleted_at)
SELECT e.session_id, e.org_id, '', 'stopped', min(e.created_at), max(e.created_at) FROM event e
WHERE e.session_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM session s WHERE s.id = e.session_id)
GROUP BY e.session_id, e.org_id;

-- A contact that no message names any more is deleted with the last session that met it.
CREATE INDEX message_contact ON message (contact_id) WHERE contact_id IS NOT NULL;

-- The session that the kept answer is about. Null in rows from before this migration, which live a day.
ALTER TABLE idempotency ADD COLUMN session_id text;
CREATE INDEX idempotency_session ON idempotency (session_id) WHERE session_id IS NOT NULL;
ALTER TABLE number_check ADD COLUMN session_id text;
CREATE INDEX number_check_session ON number_check (session_id) WHERE session_id IS NOT NULL;

-- While an organisation is suspended, its keys are refused, its sessions do not run and its webhooks wait.

ALTER TABLE organisation ADD COLUMN suspended_at bigint; -- null: it is not
CREATE INDEX organisation_suspended ON organisation (id) WHERE suspended_at IS NOT NULL;
