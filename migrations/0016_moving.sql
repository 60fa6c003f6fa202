-- Hosts that share an address share how fast it may connect.

ALTER TABLE host ADD COLUMN egress text NOT NULL DEFAULT ''; -- the name of the address that it connects from

-- What becomes of a message that may have been sent when its process died or WhatsApp was silent.

ALTER TABLE session ADD COLUMN uncertain text NOT NULL DEFAULT 'resend'; -- 'resend': once more under its id; 'hold': it is 'unknown' at once
