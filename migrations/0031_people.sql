-- What contacts are called, and the tenant's own values.

ALTER TABLE contact ADD COLUMN name_sealed blob;           -- the tenant's own name for the contact
ALTER TABLE contact ADD COLUMN push_name_sealed blob;      -- the name that the person chose, as their last message said
ALTER TABLE contact ADD COLUMN verified_name_sealed blob;  -- the name of a business that WhatsApp verified
ALTER TABLE contact ADD COLUMN metadata_sealed blob;       -- JSON, texts by name

-- The words of these names, by which a contact is found.
CREATE TABLE contact_word (
    org_id      text NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    word_mac    blob NOT NULL,                -- HMAC of the word, without case and accents
    contact_id  text NOT NULL REFERENCES contact (id) ON DELETE CASCADE,
    PRIMARY KEY (org_id, word_mac, contact_id)
);
CREATE INDEX contact_word_of ON contact_word (contact_id);
