-- Endpoints that want the bytes of a small file in the event that tells of it.

ALTER TABLE endpoint ADD COLUMN inline_media bigint NOT NULL DEFAULT 0; -- 1: in base64, at most 1 MiB
