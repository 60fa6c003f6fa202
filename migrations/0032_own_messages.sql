-- Messages that the number's owner writes on the phone or on another linked device. They are outbound and were
-- sent: no lane has them, so they have no `seq` and no `expires_at`.

ALTER TABLE message ADD COLUMN source text; -- 'phone' or 'linked_device': what its owner wrote it on; null: the gateway sent it, or it is inbound
