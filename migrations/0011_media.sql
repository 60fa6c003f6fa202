-- Files, out and in. The bytes lie in the object store as WhatsApp encrypts them, under `org_id/object`; what
-- opens them is sealed here, so that deleting a row makes its bytes worthless.

CREATE TABLE media (
    id             text   PRIMARY KEY,        -- med_…
    org_id         text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    session_id     text   REFERENCES session (id) ON DELETE CASCADE, -- through which it came in; null: the tenant's own
    message_id     text,                      -- the inbound message that carries it
    kind           text   NOT NULL,           -- image, video, audio, voice, document, sticker: what it was checked and made ready for
    status         text   NOT NULL,           -- 'pending': to be fetched; 'fetching'; 'deferred': to be fetched, when the disk has room; 'available'; 'failed'; 'expired': WhatsApp keeps it no longer
    error          text,                      -- stable code, when failed
    origin_sealed  blob,                      -- where it is to be fetched, JSON; null once it is here
    object         text   UNIQUE,             -- obj_…: the name of its bytes; null until they are here. Each try to fetch it writes to a name of its own
    file_sealed    blob,                      -- what opens it and how it looks, JSON; null until it is here
    attempts       bigint NOT NULL,           -- tries to fetch it
    due_at         bigint NOT NULL,           -- next try not before; while fetching: when the claim lapses
    created_at     bigint NOT NULL,
    delete_at      bigint NOT NULL            -- row and bytes are deleted after this
);
CREATE INDEX media_due ON media (due_at) WHERE status IN ('pending', 'deferred', 'fetching');
CREATE INDEX media_fetching ON media (org_id) WHERE status = 'fetching';
CREATE INDEX media_age ON media (delete_at);
CREATE INDEX media_session ON media (session_id);
CREATE INDEX media_message ON media (org_id, message_id) WHERE message_id IS NOT NULL;
