-- Endpoints that want a message as WhatsApp's schema has it, beside what the gateway reads of it.

ALTER TABLE endpoint ADD COLUMN raw bigint NOT NULL DEFAULT 0; -- 1: as JSON, at most 64 KiB
