-- Pacing by class: what a number knows of the people it writes to, and what it has sent.

-- A phone number of an organisation and one of its contacts, since the first message between them. It goes with the
-- contact, and is forgotten half a year after its last message.
CREATE TABLE acquaintance (
    org_id           text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    number_mac       blob   NOT NULL,         -- the number: `number.mac`
    contact_id       text   NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
    last_inbound_at  bigint,                  -- the contact's last message to the number; null: none yet
    trial            bigint NOT NULL DEFAULT 0, -- 1: one of the first people that the number wrote to
    unanswered       text,                    -- JSON array of the times of messages since the contact's last one, oldest first
    used_at          bigint NOT NULL,         -- the last message between them, either way
    PRIMARY KEY (org_id, number_mac, contact_id)
);
CREATE INDEX acquaintance_contact ON acquaintance (contact_id);
CREATE INDEX acquaintance_age ON acquaintance (used_at);

ALTER TABLE number ADD COLUMN first_linked_at bigint; -- when the number was first linked here. Null: by an earlier version
ALTER TABLE number ADD COLUMN state text;             -- JSON: what was sent and when, `safety::state::State`. Null: nothing

-- reply, warm or cold, as it was decided when the message was accepted and when its contact wrote. Null: an earlier version
-- accepted it
ALTER TABLE message ADD COLUMN class text;
ALTER TABLE message ADD COLUMN held_until bigint NOT NULL DEFAULT 0; -- its contact's limits let it go from then on
ALTER TABLE message ADD COLUMN decision text;         -- JSON: why it went, waits or was refused. Null: nothing was decided
