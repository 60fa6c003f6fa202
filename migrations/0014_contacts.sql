-- Who is who: a contact that was met under a phone number and under a LID becomes one. And groups: what
-- 0004 says of `message.to_mac` is of what goes out to a person. Of what goes out to a group, or came in
-- in one, it is the group, as groups are found by their name; a message that came in from a person to
-- the number alone has none.

ALTER TABLE contact ADD COLUMN merged_into text;  -- the contact (ctc_…) that this one turned out to be: it has their names now, this id leads to it
CREATE INDEX contact_merged ON contact (merged_into) WHERE merged_into IS NOT NULL;
