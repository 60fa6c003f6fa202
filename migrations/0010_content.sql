-- What stands beside a message's content, and what was done to the message later. (What 0004 says of
-- `message.kind`: its words are the types of the API, such as 'text', 'location', 'reaction'.)

ALTER TABLE message ADD COLUMN context_sealed blob;  -- JSON {reply_to, mentions, forwarded, …}; null: nothing stands beside it
ALTER TABLE message ADD COLUMN edited_at bigint;     -- when its writer last edited it: `content_sealed` holds what it says now
ALTER TABLE message ADD COLUMN edited_by text;       -- the message (msg_…) that did; an older one that comes later changes nothing
ALTER TABLE message ADD COLUMN deleted_at bigint;    -- when its writer deleted it for everybody: its content is gone from `content_sealed`
