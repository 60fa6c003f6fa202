-- Whether a connected number shows as online, and so takes the notifications of its phone.

ALTER TABLE session ADD COLUMN presence text; -- 'phone_first': it shows as online only while it types; 'gateway_first': always. Null: 'phone_first'
