-- Pace belongs to the number. Sessions that are linked to the same phone number, of one organisation or of
-- several, share its row here, so that the number sends no faster for being linked more than once.

-- A phone number. It belongs to no organisation: only claims read and write it, as statements of the system,
-- and no organisation sees that another one has linked its number. A row without a lane is deleted a day
-- after its last send.
CREATE TABLE number (
    mac           blob   PRIMARY KEY,         -- HMAC of the phone number under the store's pepper
    next_at       bigint NOT NULL,            -- no message of the number may be written to the wire before this
    last_sent_by  text,                       -- the session (ses_…) that was claimed last; another one that waits goes first
    sent          bigint NOT NULL             -- messages claimed to be sent
);
CREATE INDEX number_age ON number (next_at);

-- The number that the session is or was last linked to: `number.mac`. Null until the session connects, also in
-- an older database.
ALTER TABLE lane ADD COLUMN number_mac blob;
-- When the gap after this lane's last message ends. `next_at` may be later: other lanes of the number send, too.
ALTER TABLE lane ADD COLUMN paced_until bigint NOT NULL DEFAULT 0;
CREATE INDEX lane_number ON lane (number_mac) WHERE number_mac IS NOT NULL;
UPDATE lane SET paced_until = next_at;
