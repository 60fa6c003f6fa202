-- Pacing by class: what a number knows of the people it writes to, and what it has sent.

-- A phone number of an organisation and one of its contacts, since the first message between them. It goes with the
-- contact or the session, and is forgotten half a year after its last message.
CREATE TABLE acquaintance (
    org_id           text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    number_mac       blob   NOT NULL,           -- the number: `number.mac`
    contact_id       text   NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
    last_inbound_at  bigint,                    -- the contact's last message to the number; null: none yet
    trial            bigint NOT NULL DEFAULT 0, -- 1: one of the first people that the number wrote to
    opened_at        bigint,                    -- when the number first wrote to a contact who did not know it; null: it did not
    unanswered       text,                      -- JSON array of the times of messages since the contact's last one, oldest first; null: none
    answered         text,                      -- what `number.state` has not taken back yet: such arrays that the contact has answered, separated by ';', with '!' before the first one of all; null: none
    used_at          bigint NOT NULL,           -- the last message between them, either way
    PRIMARY KEY (org_id, number_mac, contact_id)
);
CREATE INDEX acquaintance_contact ON acquaintance (contact_id);
CREATE INDEX acquaintance_age ON acquaintance (used_at);
CREATE INDEX acquaintance_answered ON acquaintance (number_mac) WHERE answered IS NOT NULL;

ALTER TABLE number ADD COLUMN first_linked_at bigint; -- when the number was first linked here; null: it was not, or it is not known
ALTER TABLE number ADD COLUMN state text;             -- JSON: what it sent and when, `safety::state::State`. Null: nothing yet
UPDATE number SET first_linked_at = (SELECT min(k.linked_at) FROM lane l JOIN link k ON k.session_id = l.session_id WHERE l.number_mac = number.mac);

ALTER TABLE lane ADD COLUMN opened_at bigint NOT NULL DEFAULT 0; -- when the session last connected
ALTER TABLE lane ADD COLUMN hold text;                -- what the lane waits for while it rests; null: for the time of a scheduled message

-- reply, warm or cold: how well the number knows the recipient of an outbound message. An earlier version that still runs
-- does not know it. Null: an inbound message, one to a group, or one of such a version
ALTER TABLE message ADD COLUMN class text;
ALTER TABLE message ADD COLUMN hold text;             -- what holds it until `send_at`; null: nothing, or the tenant's own `send_at`
ALTER TABLE message ADD COLUMN wanted_at bigint;      -- the tenant's own `send_at` while it is held
ALTER TABLE message ADD COLUMN calling_code text;     -- of the recipient's phone number, for quiet hours. Null: not known
ALTER TABLE message ADD COLUMN typing_ms bigint NOT NULL DEFAULT 1000; -- how long the recipient sees the number typing or recording before it
ALTER TABLE message ADD COLUMN decision text;         -- JSON: why it went or waited, and when. Null: nothing was decided
CREATE INDEX message_class ON message (session_id, class, priority DESC, seq, send_at) WHERE status = 'queued';
CREATE INDEX message_waits ON message (contact_id) WHERE status = 'queued';

-- What a first message says, as a keyed fingerprint that tells nothing about the text. It is forgotten a day after the
-- message went, and with the message.
CREATE TABLE fingerprint (
    message_id  text   PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    org_id      text   NOT NULL,
    contact_id  text   NOT NULL,
    value       blob   NOT NULL,                -- `safety::likeness::Fingerprint`
    at          bigint NOT NULL,                -- when the message was accepted; when it goes, once that is known
    sent        bigint NOT NULL DEFAULT 0       -- 1: it went
);
CREATE INDEX fingerprint_recent ON fingerprint (org_id, at);
CREATE INDEX fingerprint_age ON fingerprint (at);
