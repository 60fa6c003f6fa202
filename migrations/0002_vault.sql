-- Data keys, each wrapped by a key-encryption key that never lies in the store.

CREATE TABLE data_key (
    id          text   PRIMARY KEY,           -- the owner's id: org_… or ses_…
    org_id      text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    kek_id      text   NOT NULL,              -- which key-encryption key wraps it
    wrapped     blob   NOT NULL,              -- nonce, data key and tag
    created_at  bigint NOT NULL
);
CREATE INDEX data_key_org ON data_key (org_id);

CREATE TABLE vault_check (
    kek_id      text   PRIMARY KEY,           -- a key-encryption key that has been used here
    sealed      blob   NOT NULL,              -- the store's pepper (the key of look-ups that belong to no organisation) under it: opens only with the right key
    created_at  bigint NOT NULL
);
