-- One person, one contact, whatever the spelling of the number. WhatsApp has one canonical form of each number. Another
-- spelling of it is a row of its own that keeps `phone_mac` and names the contact in `merged_into`, so that whoever looks
-- for the spelling finds the contact. Such a row has no LID. Its `opted_out_at` follows the contact's, for processes of an
-- older version, which do not follow `merged_into` when they look for a phone.

-- When WhatsApp named `phone_mac` as the contact's own number. Null: it is a spelling as somebody wrote it, and is looked
-- up before the first message leaves.
ALTER TABLE contact ADD COLUMN canonical_at bigint;

-- A contact with its spellings, and the list of contacts.
CREATE INDEX contact_list ON contact (org_id, id);
