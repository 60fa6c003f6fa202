-- Whether a phone number has WhatsApp, as it was last asked: asking much harms the number that asks.

CREATE TABLE number_check (
    org_id       text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    phone_mac    blob   NOT NULL,             -- HMAC of the number
    answer_sealed blob  NOT NULL,             -- JSON {on_whatsapp, lid}
    checked_at   bigint NOT NULL,
    PRIMARY KEY (org_id, phone_mac)
);
CREATE INDEX number_check_age ON number_check (checked_at);
