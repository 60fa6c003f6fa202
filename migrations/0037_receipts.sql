-- A message is found by WhatsApp's id. SQLite takes the index that fits most columns of a condition, and each condition
-- names the organisation, too: without it in the index, it walked all messages of the session.

DROP INDEX message_wa;
CREATE INDEX message_wa ON message (session_id, org_id, wa_id);

-- Who of a group has a message: a row for each member whose phone said so.

-- How many members the group had when the message was sent, this number included. Null: it was sent to a person, by
-- an earlier version or by another device of the number.
ALTER TABLE message ADD COLUMN members bigint;

CREATE TABLE receipt (
    id             text   PRIMARY KEY,        -- rct_…
    org_id         text   NOT NULL,
    message_id     text   NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    member_mac     blob   NOT NULL,           -- the member, as contacts are found by their LID, or by their phone if the LID is not known
    phone_mac      blob,                      -- the member's phone, as contacts are found by it; null: not known
    member_sealed  blob   NOT NULL,           -- JSON {phone, lid}
    delivered_at   bigint,
    read_at        bigint,
    played_at      bigint
);
CREATE UNIQUE INDEX receipt_member ON receipt (message_id, member_mac);
