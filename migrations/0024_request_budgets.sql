-- The requests of an organisation are limited for all processes together. Each process adds here what it let
-- through, and learns what the others did.

CREATE TABLE request_budget (
    org_id   text   PRIMARY KEY REFERENCES organisation (id) ON DELETE CASCADE,
    full_at  bigint NOT NULL,                 -- when the budget is whole again if no request comes, in nanoseconds
    added    bigint NOT NULL                  -- by how much the last process moved `full_at`
);
