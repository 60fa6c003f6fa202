-- A number writes to a group only when it has been in it for some time, where its policy says so.

-- JSON: when it came into groups, as `[[group, when], …]` with at most 64 of the last two days, `safety::groups::GroupTimes`. A group
-- is a part of its keyed hash. Null: none, or it is not known
ALTER TABLE number ADD COLUMN joined text;
