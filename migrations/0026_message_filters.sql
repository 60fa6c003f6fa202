-- Lists of messages by contact, by group and by kind walk along those messages alone, in the order of the page.

CREATE INDEX message_of_contact ON message (org_id, contact_id, id) WHERE contact_id IS NOT NULL;
-- Of a message to a person `to_mac` is the person.
CREATE INDEX message_of_group ON message (org_id, to_mac, id) WHERE to_mac IS NOT NULL;
CREATE INDEX message_kind ON message (org_id, kind, id);
CREATE INDEX message_session_kind ON message (session_id, org_id, kind, id);
