-- Whether a connected number shows as online, and so takes the notifications of its phone.

ALTER TABLE session ADD COLUMN presence text; -- 'phone_first': it shows as online only while it types; 'gateway_first': always. Null: 'phone_first'

-- Chats whose messages disappear after a time.

CREATE TABLE chat_timer (
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    org_id      text   NOT NULL,
    contact_id  text,                         -- the chat with this person (ctc_…)
    group_mac   blob,                         -- or the group, as in `message.to_mac`
    seconds     bigint NOT NULL,              -- messages disappear so long after they were sent; 0: they stay
    set_at      bigint NOT NULL               -- by WhatsApp's clock; what was set earlier and comes later changes nothing
);
CREATE UNIQUE INDEX chat_timer_contact ON chat_timer (session_id, contact_id);
CREATE UNIQUE INDEX chat_timer_group ON chat_timer (session_id, group_mac);

ALTER TABLE message ADD COLUMN expires_in bigint; -- it disappears from the chat so many seconds after it was sent; null: it stays. Set by the claim (outbound)
