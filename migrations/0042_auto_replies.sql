-- Automatic replies: rules, and which messages they sent.

-- A rule of an organisation. One that names a session is erased with it; the others stay until they are deleted.
CREATE TABLE auto_reply (
    id           text   PRIMARY KEY,
    org_id       text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    session_id   text   REFERENCES session (id) ON DELETE CASCADE, -- only messages to this session. Null: to every session
    position     bigint NOT NULL,          -- rules are tried in this order, then by id
    rule_sealed  blob   NOT NULL,          -- JSON: `model::auto_reply::Rule`
    media_id     text,                     -- the file of its answer, kept as long as the rule is there
    hits         bigint NOT NULL DEFAULT 0, -- how often it fired
    last_hit_at  bigint,                   -- when it last fired. Null: never
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL
);
CREATE INDEX auto_reply_list ON auto_reply (org_id, id);
CREATE INDEX auto_reply_session ON auto_reply (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX auto_reply_media ON auto_reply (media_id) WHERE media_id IS NOT NULL;

ALTER TABLE organisation ADD COLUMN auto_replies text; -- another text after each change of its rules. Null: it has none
ALTER TABLE contact ADD COLUMN automation_rests_until bigint; -- no automatic reply to the contact before then. Null: none was asked for

-- Of an outbound message: the rule that sent it, `alr_…`. Of an inbound one: `loop`, if automatic replies to its chat were stopped
-- at it. Null: neither.
ALTER TABLE message ADD COLUMN automation text;
CREATE INDEX message_automation ON message (org_id, contact_id, id) WHERE automation IS NOT NULL OR source IS NOT NULL;
CREATE INDEX message_automation_group ON message (org_id, to_mac, id) WHERE automation IS NOT NULL OR source IS NOT NULL;
