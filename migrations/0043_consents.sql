-- What messages are for, who agreed to them, and the links with which people agree.

-- An agreement of a contact to messages that it did not begin. It goes with its contact.
CREATE TABLE consent (
    id          text   NOT NULL PRIMARY KEY,  -- con_…
    org_id      text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    contact_id  text   NOT NULL REFERENCES contact (id) ON DELETE CASCADE, -- after a merge: the contact that stays
    link_id     text,                         -- the opt-in link that it was given with. Null: it was told by the API
    sealed      blob   NOT NULL,              -- JSON {source, proof}
    given_at    bigint NOT NULL,              -- when the contact agreed
    created_at  bigint NOT NULL,
    revoked_at  bigint                        -- it counts no longer since then. Null: it was not revoked
);
CREATE INDEX consent_of ON consent (contact_id, id);

-- A link to a chat with a session's number, with a code in its first message. It goes with its session.
CREATE TABLE opt_in_link (
    id          text   NOT NULL PRIMARY KEY,  -- oil_…
    org_id      text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    code_mac    blob   NOT NULL,              -- HMAC of the code
    sealed      blob   NOT NULL,              -- JSON {phone, text, code}
    created_at  bigint NOT NULL,
    expires_at  bigint                        -- its code counts until then. Null: it has no end
);
CREATE UNIQUE INDEX opt_in_link_code ON opt_in_link (session_id, code_mac);
CREATE INDEX opt_in_link_list ON opt_in_link (session_id, id);

ALTER TABLE contact ADD COLUMN refused_at bigint;  -- its last opt-out; consents from before count no more. It stays when the contact opts in again. Null: it never opted out
UPDATE contact SET refused_at = opted_out_at WHERE opted_out_at IS NOT NULL;

ALTER TABLE session ADD COLUMN purpose text;       -- the purpose of messages that name none. Null: they have none

ALTER TABLE message ADD COLUMN purpose text;       -- what it is for. Null: that was not said, and it needed none
ALTER TABLE message ADD COLUMN consent_id text;    -- the consent that allowed it. Null: it needed none
ALTER TABLE message ADD COLUMN trial bigint;       -- 1: it lacked a purpose or a consent, and its contact is one of the first people that the number wrote to

CREATE INDEX acquaintance_trial ON acquaintance (org_id, number_mac) WHERE trial = 1;
