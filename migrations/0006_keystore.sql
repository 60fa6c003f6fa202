-- What the WhatsApp library keeps for a session: Signal keys, app-state sync, contact tokens.
-- Every `sealed` value is under the session's data key; every `_mac` is a look-up HMAC under it.
-- The rows go with the session; the data key goes with them, so nothing of a backup opens.

-- One value under one name.
CREATE TABLE key_record (
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    kind        text   NOT NULL,              -- 'signal_identity', 'signal_session', 'sender_key', 'sync_key', 'sync_latest', 'sync_version', 'base_key', 'device_list', 'group_info', 'device'
    name_mac    blob   NOT NULL,              -- the name: a Signal address, a collection, a user, …
    user_mac    blob,                         -- the user part of a Signal address: is anything known of this user?
    sealed      blob   NOT NULL,
    PRIMARY KEY (session_id, kind, name_mac)
);
CREATE INDEX key_record_user ON key_record (session_id, user_mac) WHERE user_mac IS NOT NULL;

-- Pre-keys, which have numbers for names.
CREATE TABLE key_prekey (
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    signed      bigint NOT NULL,              -- 1: a signed pre-key; 0: a one-time pre-key
    number      bigint NOT NULL,
    uploaded    bigint NOT NULL,              -- 1: WhatsApp's server has been given it
    sealed      blob   NOT NULL,
    PRIMARY KEY (session_id, signed, number)
);

-- Members of a named set.
CREATE TABLE key_member (
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    kind        text   NOT NULL,              -- 'sender_key_device' (devices of a group), 'mutation_mac' (entries of an app-state collection)
    set_mac     blob   NOT NULL,              -- the group or the collection
    member_mac  blob   NOT NULL,              -- the device or the entry
    sealed      blob   NOT NULL,
    PRIMARY KEY (session_id, kind, set_mac, member_mac)
);
CREATE INDEX key_member_device ON key_member (session_id, member_mac) WHERE kind = 'sender_key_device';

-- Which LID and which phone number are one account.
CREATE TABLE key_lid (
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    lid_mac     blob   NOT NULL,
    phone_mac   blob   NOT NULL,              -- several LIDs may have had one phone number: the latest counts
    turn        bigint NOT NULL,              -- grows with each write
    sealed      blob   NOT NULL,              -- the mapping
    PRIMARY KEY (session_id, lid_mac)
);
CREATE INDEX key_lid_phone ON key_lid (session_id, phone_mac, turn);

-- Messages kept for a while: sent ones for a retry, received ones until the gateway has them.
CREATE TABLE key_message (
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    kind        text   NOT NULL,              -- 'sent_message', 'pending_inbound'
    name_mac    blob   NOT NULL,              -- chat and id; chat, sender and id
    stored_at   bigint NOT NULL,              -- seconds UTC
    sealed      blob   NOT NULL,
    PRIMARY KEY (session_id, kind, name_mac)
);

-- Secrets of single messages, which later reactions, edits and votes are encrypted with.
CREATE TABLE key_secret (
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    name_mac    blob   NOT NULL,              -- chat, sender and message id
    expires_at  bigint NOT NULL,              -- seconds UTC; 0: kept for ever
    message_at  bigint NOT NULL,              -- when the message was sent, seconds UTC; 0: unknown
    sealed      blob   NOT NULL,
    PRIMARY KEY (session_id, name_mac)
);
CREATE INDEX key_secret_expiry ON key_secret (session_id, expires_at) WHERE expires_at > 0;

-- Privacy tokens of contacts: without one, WhatsApp may refuse a first message.
CREATE TABLE key_token (
    session_id    text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    name_mac      blob   NOT NULL,            -- the contact
    name_sealed   blob   NOT NULL,
    token_sealed  blob,                       -- what the contact gave us; null: nothing yet
    token_at      bigint NOT NULL,            -- when it did, seconds UTC
    sender_at     bigint,                     -- when we last gave the contact ours, seconds UTC
    PRIMARY KEY (session_id, name_mac)
);
