-- What happens to calls to a session's number.

ALTER TABLE session ADD COLUMN auto_reject_sealed blob; -- JSON {text}: a call is rejected at once, and the caller gets the text. Null: it rings
