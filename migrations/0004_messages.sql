-- Lanes and messages. A lane is a session's single-file send queue; the message row is the job.

CREATE TABLE lane (
    session_id   text   PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    org_id       text   NOT NULL,
    last_seq     bigint NOT NULL,             -- seq of the newest outbound message
    pending      bigint NOT NULL,             -- messages queued or sending
    next_at      bigint NOT NULL,             -- no message may be written to the wire before this
    running_id   text,                        -- the one message in flight
    open_epoch   bigint NOT NULL,             -- the lane takes claims while this equals the lease's epoch: set on connect, 0 on disconnect
    last_event   bigint NOT NULL              -- sequence of the session's newest event
);
CREATE INDEX lane_due ON lane (next_at) WHERE running_id IS NULL AND pending > 0 AND open_epoch > 0;

CREATE TABLE contact (
    id               text   PRIMARY KEY,      -- ctc_…, our own stable id over phone and LID
    org_id           text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    phone_mac        blob,
    phone_sealed     blob,
    lid_mac          blob,
    lid_sealed       blob,
    last_inbound_at  bigint,                  -- opens the customer-service window
    opted_out_at     bigint,                  -- the contact wants no more messages; null: may be written to
    created_at       bigint NOT NULL
);
CREATE UNIQUE INDEX contact_phone ON contact (org_id, phone_mac);
CREATE UNIQUE INDEX contact_lid ON contact (org_id, lid_mac);

CREATE TABLE message (
    id              text   PRIMARY KEY,       -- msg_…
    org_id          text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    session_id      text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    direction       text   NOT NULL,          -- 'outbound' or 'inbound'
    status          text   NOT NULL,          -- outbound: queued sending unknown sent delivered read played failed expired canceled; inbound: received
    kind            text   NOT NULL,          -- 'text', …
    wa_id           text   NOT NULL,          -- WhatsApp's message id; chosen at accept for outbound, kept over resends
    seq             bigint,                   -- place in the lane (outbound)
    to_mac          blob,                     -- the recipient, as contacts are found by their phone number (outbound)
    chat_mac        blob,                     -- chat and sender as WhatsApp names them (inbound): one message per (session, chat, sender, wa_id)
    sender_mac      blob,
    contact_id      text,                     -- who sent it (inbound)
    peer_sealed     blob   NOT NULL,          -- the other side: recipient (outbound) or sender (inbound), JSON {phone, lid}
    content_sealed  blob   NOT NULL,          -- JSON of the content
    resends         bigint NOT NULL,          -- times the same id went out again by itself, at most 1
    error           text,                     -- stable code, when failed
    created_at      bigint NOT NULL,
    expires_at      bigint,                   -- not sent after this (outbound)
    sent_at         bigint,                   -- WhatsApp's server acknowledged it
    delivered_at    bigint,
    read_at         bigint,
    played_at       bigint
);
CREATE UNIQUE INDEX message_seq ON message (session_id, seq);
CREATE UNIQUE INDEX message_inbound ON message (session_id, chat_mac, sender_mac, wa_id);
CREATE INDEX message_wa ON message (session_id, wa_id);
CREATE INDEX message_lane ON message (session_id, seq) WHERE status = 'queued';
CREATE INDEX message_expiry ON message (expires_at) WHERE status = 'queued';
CREATE INDEX message_list ON message (org_id, id);

-- One row per Idempotency-Key used, in the same transaction as its effect.
CREATE TABLE idempotency (
    org_id         text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    key_mac        blob   NOT NULL,           -- HMAC of the key
    request_mac    blob   NOT NULL,           -- HMAC of route and body: another request under the same key is refused
    answer_sealed  blob   NOT NULL,           -- what the first request was answered
    created_at     bigint NOT NULL,
    PRIMARY KEY (org_id, key_mac)
);
CREATE INDEX idempotency_age ON idempotency (created_at);
