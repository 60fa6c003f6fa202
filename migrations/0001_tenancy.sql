-- Organisations (tenants) and the keys their software calls with.
-- Everywhere: time is integer milliseconds UTC, ids are TypeID text, flags are 0/1,
-- `_sealed` columns are AES-256-GCM records of the vault, `_mac` columns are keyed HMACs for look-ups.

CREATE TABLE organisation (
    id          text   PRIMARY KEY,           -- org_…
    name        text   NOT NULL,              -- chosen by the operator, shown to the operator
    created_at  bigint NOT NULL
);

CREATE TABLE api_key (
    id          text   PRIMARY KEY,           -- key_…
    org_id      text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    name        text   NOT NULL,              -- what the tenant calls it
    public_id   text   NOT NULL UNIQUE,       -- the key's visible part, by which it is found
    secret_mac  blob   NOT NULL,              -- HMAC of the secret part; the secret itself is shown once and not kept
    created_at  bigint NOT NULL,
    revoked_at  bigint                        -- null while the key works
);
CREATE INDEX api_key_org ON api_key (org_id, id);

CREATE TABLE admin_key (
    id          text   PRIMARY KEY,           -- always 'admin': the key made at the first start, when none was given
    secret_mac  blob   NOT NULL,
    created_at  bigint NOT NULL
);
