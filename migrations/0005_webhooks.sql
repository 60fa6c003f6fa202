-- Events, and their delivery to webhook endpoints.

CREATE TABLE endpoint (
    id             text   PRIMARY KEY,        -- whe_…
    org_id         text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    url_sealed     blob   NOT NULL,
    secret_sealed  blob   NOT NULL,           -- whsec_…
    old_secret_sealed blob,                   -- the one before a rotation, also signed with until old_secret_until
    old_secret_until  bigint,
    events         text   NOT NULL,           -- JSON array of event types; [] means all
    disabled_at    bigint,                    -- null while deliveries are made
    disabled_why   text,                      -- stable code
    failing_since  bigint,                    -- first failure since the last success
    created_at     bigint NOT NULL
);
CREATE INDEX endpoint_org ON endpoint (org_id, id);

CREATE TABLE event (
    id           text   PRIMARY KEY,          -- evt_…, the webhook-id of every attempt
    org_id       text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    session_id   text,
    type         text   NOT NULL,             -- 'message.received', …
    sequence     bigint NOT NULL,             -- gap-free per session
    body_sealed  blob   NOT NULL,             -- the JSON that is posted
    created_at   bigint NOT NULL
);
CREATE INDEX event_org ON event (org_id, id);

CREATE TABLE delivery (
    id           text   PRIMARY KEY,          -- dlv_…
    org_id       text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    event_id     text   NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    endpoint_id  text   NOT NULL REFERENCES endpoint (id) ON DELETE CASCADE,
    status       text   NOT NULL,             -- 'due', 'running', 'delivered', 'dead'
    attempts     bigint NOT NULL,             -- attempts made
    due_at       bigint NOT NULL,             -- next attempt not before; while running: when the claim lapses
    created_at   bigint NOT NULL
);
CREATE UNIQUE INDEX delivery_once ON delivery (event_id, endpoint_id);
CREATE INDEX delivery_due ON delivery (due_at) WHERE status IN ('due', 'running');
CREATE INDEX delivery_running ON delivery (endpoint_id, due_at) WHERE status = 'running';
CREATE INDEX delivery_endpoint ON delivery (endpoint_id, id);

CREATE TABLE attempt (
    id            text   PRIMARY KEY,         -- att_…
    org_id        text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    delivery_id   text   NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
    number        bigint NOT NULL,            -- 1 for the first
    started_at    bigint NOT NULL,
    took_ms       bigint NOT NULL,
    http_status   bigint,                     -- null when no reply came
    error         text,                       -- stable code when it failed: 'timeout', 'url_not_allowed', …
    reply_sealed  blob                        -- the first 16 KiB of the reply
);
CREATE INDEX attempt_delivery ON attempt (delivery_id, number);
