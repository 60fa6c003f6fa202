-- Many processes over one store: what one of them has to know of another.

-- 1: the host is going down and takes no more sessions.
ALTER TABLE host ADD COLUMN draining bigint NOT NULL DEFAULT 0;

-- What the process that runs a session last told of it, for those that do not. Believed only while
-- the lease stands at this epoch and the host is seen under this boot.
CREATE TABLE live (
    session_id     text   PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    org_id         text   NOT NULL,
    epoch          bigint NOT NULL,
    boot_id        text   NOT NULL,
    state          text   NOT NULL,           -- 'connecting', 'qr', 'pairing', 'connected', 'disconnected'
    qr_sealed      blob                       -- the QR of the moment: JSON {code, expires_at} (organisation's key)
);

-- What is asked of a session's connection, and what came of it. The process that asked deletes it.
CREATE TABLE command (
    id             text   PRIMARY KEY,        -- cmd_…
    org_id         text   NOT NULL,
    session_id     text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    asked_sealed   blob   NOT NULL,           -- JSON of the command (organisation's key)
    answer_sealed  blob,                      -- JSON of the answer; null: none yet
    taken_epoch    bigint,                    -- the lease under which a host took it; null: nobody did
    created_at     bigint NOT NULL            -- by the database's clock: an old one is not taken any more
);
CREATE INDEX command_open ON command (session_id) WHERE taken_epoch IS NULL;
CREATE INDEX command_age ON command (created_at);
