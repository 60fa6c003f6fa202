-- Pairing codes that were requested of WhatsApp, to limit them. WhatsApp limits how often it shows one on a phone.

CREATE TABLE pairing_code (
    org_id      text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    session_id  text   NOT NULL,              -- counts for the organisation after the session is deleted, too
    asked_at    bigint NOT NULL               -- rows older than an hour are deleted
);
CREATE INDEX pairing_code_org ON pairing_code (org_id, asked_at);
CREATE INDEX pairing_code_age ON pairing_code (asked_at);
