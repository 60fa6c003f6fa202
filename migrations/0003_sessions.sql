-- Sessions: what the tenant wants, what the connection learned, and who may run them.

CREATE TABLE session (
    id          text   PRIMARY KEY,           -- ses_…
    org_id      text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    name        text   NOT NULL,              -- the tenant's name for it
    desired     text   NOT NULL,              -- 'running' or 'stopped': the tenant's will, never written by connection code
    created_at  bigint NOT NULL
);
CREATE INDEX session_org ON session (org_id, id);

-- What the connection learned of the device's link with WhatsApp. Written under the lease only.
CREATE TABLE link (
    session_id    text   PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    org_id        text   NOT NULL,
    linked_at     bigint,                     -- null: not linked, a QR is needed
    me_sealed     blob,                       -- the linked number: JSON {phone, lid} (organisation's key)
    ended         text,                       -- why the last link or run ended: 'logged_out', 'banned', 'replaced', 'outdated', …
    ended_at      bigint,
    banned_until  bigint                      -- end of a temporary ban, when WhatsApp told it
);

-- A host is a process that runs sessions.
CREATE TABLE host (
    id          text   PRIMARY KEY,
    boot_id     text   NOT NULL,              -- new at each start
    seen_at     bigint NOT NULL               -- heartbeat, by the database's clock
);

-- The fenced right to run a session. Every write a host makes for a session reads this row first.
CREATE TABLE lease (
    session_id  text   PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    org_id      text   NOT NULL,
    host_id     text,                         -- null: nobody runs it
    epoch       bigint NOT NULL               -- + 1 at every change of owner or boot
);
CREATE INDEX lease_host ON lease (host_id);
