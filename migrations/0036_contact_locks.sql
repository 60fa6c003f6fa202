-- On PostgreSQL a change of a column of a unique index without a condition needs a lock that waits for every transaction
-- that names the row. Two of them that both learn a LID then wait for each other. With a condition it does not wait.
DROP INDEX contact_phone;
CREATE UNIQUE INDEX contact_phone ON contact (org_id, phone_mac) WHERE phone_mac IS NOT NULL;
DROP INDEX contact_lid;
CREATE UNIQUE INDEX contact_lid ON contact (org_id, lid_mac) WHERE lid_mac IS NOT NULL;
