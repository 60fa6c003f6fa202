-- What tenants attach to their messages and sessions: a reference and metadata of their own.

ALTER TABLE message ADD COLUMN client_sealed blob;   -- JSON {client_ref, metadata}. Null: nothing
ALTER TABLE message ADD COLUMN client_ref_mac blob;  -- the reference, as messages are found by it
CREATE INDEX message_client_ref ON message (org_id, client_ref_mac, id) WHERE client_ref_mac IS NOT NULL;
ALTER TABLE session ADD COLUMN client_sealed blob;   -- as in message
