-- How many bytes of files an organisation has.

ALTER TABLE media ADD COLUMN size bigint NOT NULL DEFAULT 0; -- bytes of its content; 0 until they are here, and for files of earlier versions
CREATE INDEX media_size ON media (org_id, size); -- their sum is read from the index alone
