-- A SQLite database as f6cb169 leaves it, see tests/it/neighbour/older.rs. Made with `sqlite3 passerelle.db .dump`.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES(1,'tenancy','2026-11-29 20:28:39',1,X'0fe530aa490befd1bc5a46d5ca7131f176392c4a0122b13ad0c77b9ec2533054493e42b3882e81c820182146df7127c6',706822);
INSERT INTO _sqlx_migrations VALUES(2,'vault','2026-11-29 20:28:39',1,X'afaf89e3fcd2ebfea4d5e8c4ee69ced29fb06b1c3474ebde36fd96440bd602ad7fccb3a693a3b6f7c2407dbe47dd023c',2727330);
INSERT INTO _sqlx_migrations VALUES(3,'sessions','2026-11-29 20:28:39',1,X'c9611f8680f6535984a2a3d4c9de450a9d612509b2383528a25e2a12f5c24572610add271c756171b94ccdb1df650357',873851);
INSERT INTO _sqlx_migrations VALUES(4,'messages','2026-11-29 20:28:39',1,X'953b4172750d56394feaaf8bd16949bc67d655e49e9248c7f8c2d6561086efbaa4a72e06030c11503481d0ebdab6af45',1144894);
INSERT INTO _sqlx_migrations VALUES(5,'webhooks','2026-11-29 20:28:39',1,X'9a0b8349d461d831489e872cbee60a3ac0f8cc4f31abcb0b3d19882eb20c66d4ca475061c6ddea5e3b2b3dec19235014',1091425);
INSERT INTO _sqlx_migrations VALUES(6,'keystore','2026-11-29 20:28:39',1,X'bae69cc1ec611dbbfb74de6b29ea9e49fb33202c8efd18e76da2e5f56b9e28d38ccb79b9c79236b30a83f05c585e4cd9',1898025);
INSERT INTO _sqlx_migrations VALUES(7,'list indexes','2026-11-29 20:28:39',1,X'69d869b6e0a8d4a6f1688a7461cd63354215bc36ce842fd3e7fa85e9fbb274ecfb4a2cb26b20f966c1ddb878b8e9f300',676207);
INSERT INTO _sqlx_migrations VALUES(8,'cluster','2026-11-29 20:28:39',1,X'e7fbad628260e21f1a3df7c970c763f96eeed14b75ed4f8cda1bf4825e79cfd78adc6f262ab3821ca8c294dd7c87ea8e',950034);
INSERT INTO _sqlx_migrations VALUES(9,'dispatches','2026-11-29 20:28:39',1,X'c3cfa09904a9513497cc764cb78f788af47c049faf0d006cf16039ef52a2b9095a973ee21e529ef229b14959802ba172',961512);
INSERT INTO _sqlx_migrations VALUES(10,'content','2026-11-29 20:28:39',1,X'0f13be2d0c153e416e22c13bf3330d822b3f44a93d2f5309e8f5ed5be6d428430f54585098070a33f8a3b8c60c3e7795',1356850);
INSERT INTO _sqlx_migrations VALUES(11,'media','2026-11-29 20:28:39',1,X'0f16625c4cc0a9871790f54294a81feb3141fe06e8a5425f5b07f7b81e5c933a7b779c98f53537fdb1cf8a91ecaefd3e',728744);
INSERT INTO _sqlx_migrations VALUES(12,'inline media','2026-11-29 20:28:39',1,X'c56b9e6b975a6abfea907ea12bfc3e8e03a065d73061fa086908f9f025fc087c1a6d997a63bf4ea84220b7c8a247a580',894772);
INSERT INTO _sqlx_migrations VALUES(13,'number checks','2026-11-29 20:28:39',1,X'd333164747ea6f6afbc472c56373c0b83b439b12ee5ddb15aceee1e2ea4472b777d7c2d1ff6834e2fa3baeda985347ef',537970);
INSERT INTO _sqlx_migrations VALUES(14,'contacts','2026-11-29 20:28:39',1,X'8975e966d66aa33f8b2d664be8764606014caf1a1b1a95ea444e570482fabeadddc9622c03da5bd1bf2ae13713a9e46c',718530);
INSERT INTO _sqlx_migrations VALUES(15,'previews retention','2026-11-29 20:28:39',1,X'4b8963a834d9422eb8b33e0ebe60a6c0bbaa7ff2fa786d13962c2b3184fad8f173df01db5115f7740649c6ba9aa12532',1776154);
INSERT INTO _sqlx_migrations VALUES(16,'moving','2026-11-29 20:28:40',1,X'a0f6508462403abcb08b1f7971cbe6abd8ffd2322b9ff4d85bb2a70d40aaa328264cdbcd1fb86c1bb1804bbba202c546',4858111);
INSERT INTO _sqlx_migrations VALUES(17,'media dispatches','2026-11-29 20:28:40',1,X'a63b01687c80bbb92f8b30a97ae2f477431f844ca7398730f070f8106f17d4c407e25804c17ab90a1cfe2cfd8b6fb8ee',1098465);
CREATE TABLE organisation (
    id          text   PRIMARY KEY,           -- org_…
    name        text   NOT NULL,              -- chosen by the operator, shown to the operator
    created_at  bigint NOT NULL
, media_retention_hours bigint);
INSERT INTO organisation VALUES('org_01m8mfxph4e4xbd820e9z3zv0n','Old & Sons',1795984120356,NULL);
CREATE TABLE api_key (
    id          text   PRIMARY KEY,           -- key_…
    org_id      text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    name        text   NOT NULL,              -- what the tenant calls it
    public_id   text   NOT NULL UNIQUE,       -- the key's visible part, by which it is found
    secret_mac  blob   NOT NULL,              -- HMAC of the secret part; the secret itself is shown once and not kept
    created_at  bigint NOT NULL,
    revoked_at  bigint                        -- null while the key works
);
INSERT INTO api_key VALUES('key_01m8mfxpj6et4brt4aapw4na22','org_01m8mfxph4e4xbd820e9z3zv0n','tests','zSgHlou9cZt1',X'80f88d544d7e6da9cb3a3184f3a273c18fcb5dfae5ca3fb8f126acd32c240297',1795984120390,NULL);
CREATE TABLE admin_key (
    id          text   PRIMARY KEY,           -- always 'admin': the key made at the first start, when none was given
    secret_mac  blob   NOT NULL,
    created_at  bigint NOT NULL
);
CREATE TABLE data_key (
    id          text   PRIMARY KEY,           -- the owner's id: org_… or ses_…
    org_id      text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    kek_id      text   NOT NULL,              -- which key-encryption key wraps it
    wrapped     blob   NOT NULL,              -- nonce, data key and tag
    created_at  bigint NOT NULL
);
INSERT INTO data_key VALUES('org_01m8mfxph4e4xbd820e9z3zv0n','org_01m8mfxph4e4xbd820e9z3zv0n','k1',X'017c84ba6685573e02e4a148449e019628291ea2ccf15ae21f8d241ca39c46f0f82520416f7c03d8f37bac62eed4638136b921a9cd049e76a373ab9326',1795984120370);
INSERT INTO data_key VALUES('ses_01m8mfxpnfete8krrmv9d17ppg','org_01m8mfxph4e4xbd820e9z3zv0n','k1',X'018c94b2f43d96ead7e148d9900e1765b8c29f87ea9ac1ea6a813719125f7c54e1c7ad2e9f5469d19bc459efb4d316e1440a90a963ed117880e6bf76bf',1795984120496);
CREATE TABLE vault_check (
    kek_id      text   PRIMARY KEY,           -- a key-encryption key that has been used here
    sealed      blob   NOT NULL,              -- the store's pepper (the key of look-ups that belong to no organisation) under it: opens only with the right key
    created_at  bigint NOT NULL
);
INSERT INTO vault_check VALUES('k1',X'0151faaf35b7cc9182a3edcabf52259b6da50511d8ff4dc7c77dbd31a2efd9a9d21aed65428a4d60e0a9e208580a0b390ffab730a8e2506a28902d3b6f',1795984120033);
CREATE TABLE session (
    id          text   PRIMARY KEY,           -- ses_…
    org_id      text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    name        text   NOT NULL,              -- the tenant's name for it
    desired     text   NOT NULL,              -- 'running' or 'stopped': the tenant's will, never written by connection code
    created_at  bigint NOT NULL
, uncertain text NOT NULL DEFAULT 'resend');
INSERT INTO session VALUES('ses_01m8mfxpnfete8krrmv9d17ppg','org_01m8mfxph4e4xbd820e9z3zv0n','front desk','stopped',1795984120495,'resend');
CREATE TABLE link (
    session_id    text   PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    org_id        text   NOT NULL,
    linked_at     bigint,                     -- null: not linked, a QR is needed
    me_sealed     blob,                       -- the linked number: JSON {phone, lid} (organisation's key)
    ended         text,                       -- why the last link or run ended: 'logged_out', 'banned', 'replaced', 'outdated', …
    ended_at      bigint,
    banned_until  bigint                      -- end of a temporary ban, when WhatsApp told it
);
INSERT INTO link VALUES('ses_01m8mfxpnfete8krrmv9d17ppg','org_01m8mfxph4e4xbd820e9z3zv0n',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE host (
    id          text   PRIMARY KEY,
    boot_id     text   NOT NULL,              -- new at each start
    seen_at     bigint NOT NULL               -- heartbeat, by the database's clock
, draining bigint NOT NULL DEFAULT 0, egress text NOT NULL DEFAULT '');
INSERT INTO host VALUES('embedded','e44b81224730d86c',1795984120062,1,'embedded');
CREATE TABLE lease (
    session_id  text   PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    org_id      text   NOT NULL,
    host_id     text,                         -- null: nobody runs it
    epoch       bigint NOT NULL               -- + 1 at every change of owner or boot
);
INSERT INTO lease VALUES('ses_01m8mfxpnfete8krrmv9d17ppg','org_01m8mfxph4e4xbd820e9z3zv0n',NULL,0);
CREATE TABLE lane (
    session_id   text   PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    org_id       text   NOT NULL,
    last_seq     bigint NOT NULL,             -- seq of the newest outbound message
    pending      bigint NOT NULL,             -- messages queued or sending
    next_at      bigint NOT NULL,             -- no message may be written to the wire before this
    running_id   text,                        -- the one message in flight
    open_epoch   bigint NOT NULL,             -- the lane takes claims while this equals the lease's epoch: set on connect, 0 on disconnect
    last_event   bigint NOT NULL              -- sequence of the session's newest event
);
INSERT INTO lane VALUES('ses_01m8mfxpnfete8krrmv9d17ppg','org_01m8mfxph4e4xbd820e9z3zv0n',3,2,0,NULL,0,1);
CREATE TABLE contact (
    id               text   PRIMARY KEY,      -- ctc_…, our own stable id over phone and LID
    org_id           text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    phone_mac        blob,
    phone_sealed     blob,
    lid_mac          blob,
    lid_sealed       blob,
    last_inbound_at  bigint,                  -- opens the customer-service window
    opted_out_at     bigint,                  -- the contact wants no more messages; null: may be written to
    created_at       bigint NOT NULL
, merged_into text);
INSERT INTO contact VALUES('ctc_01m8mfxpr0e5h853kq4573ktej','org_01m8mfxph4e4xbd820e9z3zv0n',X'951ec06b3a38bf0d546b77b197d080229c888f0959de2bc69bf9cb03e37f1266',X'01cbddbb58228b50bb5ef6e80b4350c2a1eb91066318498ef2c84746dfad6881de98c4d13f3dcd311571fd',NULL,NULL,NULL,NULL,1795984120576,NULL);
CREATE TABLE message (
    id              text   PRIMARY KEY,       -- msg_…
    org_id          text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    session_id      text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    direction       text   NOT NULL,          -- 'outbound' or 'inbound'
    status          text   NOT NULL,          -- outbound: queued sending unknown sent delivered read played failed expired canceled; inbound: received
    kind            text   NOT NULL,          -- 'text', …
    wa_id           text   NOT NULL,          -- WhatsApp's message id; chosen at accept for outbound, kept over resends
    seq             bigint,                   -- place in the lane (outbound)
    to_mac          blob,                     -- the recipient, as contacts are found by their phone number (outbound)
    chat_mac        blob,                     -- chat and sender as WhatsApp names them (inbound): one message per (session, chat, sender, wa_id)
    sender_mac      blob,
    contact_id      text,                     -- who sent it (inbound)
    peer_sealed     blob   NOT NULL,          -- the other side: recipient (outbound) or sender (inbound), JSON {phone, lid}
    content_sealed  blob   NOT NULL,          -- JSON of the content
    resends         bigint NOT NULL,          -- times the same id went out again by itself, at most 1
    error           text,                     -- stable code, when failed
    created_at      bigint NOT NULL,
    expires_at      bigint,                   -- not sent after this (outbound)
    sent_at         bigint,                   -- WhatsApp's server acknowledged it
    delivered_at    bigint,
    read_at         bigint,
    played_at       bigint
, context_sealed blob, edited_at bigint, edited_by text, deleted_at bigint, preview_due_at bigint);
INSERT INTO message VALUES('msg_01m8mfxpr0e5h853kq4bkhatx0','org_01m8mfxph4e4xbd820e9z3zv0n','ses_01m8mfxpnfete8krrmv9d17ppg','outbound','queued','text','3EB0165C974C68ECE97EBD',1,X'951ec06b3a38bf0d546b77b197d080229c888f0959de2bc69bf9cb03e37f1266',NULL,NULL,'ctc_01m8mfxpr0e5h853kq4573ktej',X'010ff73cfda7d8d6406022e2e99ab3b5fb6da06d2d14ce8fb8d55d06d5ad7ae5553e7cb521a7e692a90ae52c954299e5c2ae35f570f6d3',X'01b602a2706f63dd2b1e9524dfb7904a0d59a7c729efb37d4723fc26d5d3085911d2e8a879826351047381e07d91fc50b50043a83d359cdddaa068e807c98a40d0d96bb9c2605a4b44770717b56cd69230b2aed5',0,NULL,1795984120576,1796070520576,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO message VALUES('msg_01m8mfxpr9etj9qc2xan3gb76s','org_01m8mfxph4e4xbd820e9z3zv0n','ses_01m8mfxpnfete8krrmv9d17ppg','outbound','canceled','text','3EB0C40ADF602648A3F940',2,X'951ec06b3a38bf0d546b77b197d080229c888f0959de2bc69bf9cb03e37f1266',NULL,NULL,'ctc_01m8mfxpr0e5h853kq4573ktej',X'01aa86321b8a5359e4be7086b5c605e0e7a7e8d83a7325289e2731dc3e372187de59980b513e6555219b8b546a4e056992cd4ed7caa5e7',X'01ef56295bc81116f00d0c65b73b84128d68e3cfb40b69c07d625d40a83e5130640e85417072d045f2d778b6141ac874d84b1a25628832c4d9365baa5bcd3f1948',0,NULL,1795984120585,1796070520585,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO message VALUES('msg_01m8mfxprhe6fs1t5shb4wj2sr','org_01m8mfxph4e4xbd820e9z3zv0n','ses_01m8mfxpnfete8krrmv9d17ppg','outbound','queued','document','3EB0C3879A1600730DFB1A',3,X'951ec06b3a38bf0d546b77b197d080229c888f0959de2bc69bf9cb03e37f1266',NULL,NULL,'ctc_01m8mfxpr0e5h853kq4573ktej',X'015e45c32a01571d64f0d11dd48cccfbc43718643f8c58fd80d8dfa234f223256d9ec2841417cb65693a91a4487db23e9e67342c7123f4',X'01868d63ecdaa760246d1a3e6e6da54558e544f1f394c68c7b68563bef771a4e5ae2af11d2e923738576359cb4517d9c95351cc017de317b6f45c1f86f3121b86b508a4f57c5f290579d44cba402e4c7e1a0f43076b92ea2a461fbe2923d4b0b1424041db6bb2b59ea15ca9c773c3def589b31425dffbfb599854f0b2495925fdcb921ae956db1ebba5efc3c14c612f715112a68c4db08d0cf26f2da7627ea839e3f749d04bb912808efc1c7cd5c0b74e3fc84803a886f1f11bfcf11fe8891a0ebc1b62e4de98b6574fdf57f9ad8fdbbb0d4955ad81e5ea8a2396b6fc3eaf0a8388aa6c028ae800471707f0a7f5c133768a23f1722d207fbd895',0,NULL,1795984120593,1796070520593,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE idempotency (
    org_id         text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    key_mac        blob   NOT NULL,           -- HMAC of the key
    request_mac    blob   NOT NULL,           -- HMAC of route and body: another request under the same key is refused
    answer_sealed  blob   NOT NULL,           -- what the first request was answered
    created_at     bigint NOT NULL,
    PRIMARY KEY (org_id, key_mac)
);
CREATE TABLE endpoint (
    id             text   PRIMARY KEY,        -- whe_…
    org_id         text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    url_sealed     blob   NOT NULL,
    secret_sealed  blob   NOT NULL,           -- whsec_…
    old_secret_sealed blob,                   -- the one before a rotation, also signed with until old_secret_until
    old_secret_until  bigint,
    events         text   NOT NULL,           -- JSON array of event types; [] means all
    disabled_at    bigint,                    -- null while deliveries are made
    disabled_why   text,                      -- stable code
    failing_since  bigint,                    -- first failure since the last success
    created_at     bigint NOT NULL
, inline_media bigint NOT NULL DEFAULT 0);
INSERT INTO endpoint VALUES('whe_01m8mfxpk8en490a5bepp6qd11','org_01m8mfxph4e4xbd820e9z3zv0n',X'01c83f0eb63714d35416e27716011f72b6b2dccbc2b34a182b0745bb5c90b58bf165f1006f4072293cc3a4a03f03808b74db4d00aa',X'011a7a84dc7903b3776e0bdfdd3afbd2e720dd889c12f2e487060d8ca9a282404da63f68251146a01646cec551991fed6189cb682bc3007d4ccdcc7b14a6222e6bc3c33b1733c135590a633b91ffa9',NULL,NULL,'["message.canceled"]',NULL,NULL,1795984120590,1795984120424,0);
CREATE TABLE event (
    id           text   PRIMARY KEY,          -- evt_…, the webhook-id of every attempt
    org_id       text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    session_id   text,
    type         text   NOT NULL,             -- 'message.received', …
    sequence     bigint NOT NULL,             -- gap-free per session
    body_sealed  blob   NOT NULL,             -- the JSON that is posted
    created_at   bigint NOT NULL
);
INSERT INTO event VALUES('evt_01m8mfxprceants343jr2nesxe','org_01m8mfxph4e4xbd820e9z3zv0n','ses_01m8mfxpnfete8krrmv9d17ppg','message.canceled',1,X'01a068220393cedb6b57b44c6a562a6babb8b94866491950f150ebc36463eb6e8415b40d0e1269835bae36aff9ecf97d874686950333f2f8a936579a34023d014e606bbf1efdd5f2c322fd8c4368dca85d4e1f4271e62b5d717627d224417165dbd5b7839bdaf03dcc2978be4d286c4e32a208a4fc96299356d3120a5791a708cce5e5447351cadc121130dd9cafdfa814a3b8277aa5bac5d0b434c2545f6eedcbee6ffc811ded6fcf65089c318203ea17a00c0ca86cafc71d72194cb64ddb7545eda0f1947dca04562873fd8c5765db137485824f30d1e5fe72d59619f0a6fc0ac45a2e6a0b0f9eef0dce723f1e86f3e6ef8b8234b61bc0c7b0c2b4ba1f37082ebff981effaf57f3e42668802c9c16fe37f8d55fe370a9b96fdf71654df4a5e840f3bdfe9d6588add320c67a249ea10951a0cfed5f07925959520e81b277df67f95bdc24baf5a96509dea685b4f312191e30765bae06f37ac5743a14b07976a366c4bf8eae33e62a7467928345935dc1b0ea44d53a63dac1ef0b42ce6ab18cd64f2fdb2730ad17057bc3a87eb5f72fab0225cf839cb2467de21fcf2b53cdc0849ca7294a00c9c67d57f22b4b4a4ab93d5998b4623dd0c9f88d56b65edf841610947738eb0952bf75ef6a1202a5da6319e56491b87fa8d521f05c0ce4fb91ba3731f1a40c8a2084e253985df0042960f4d83d5fd2aef1896e7596dee8cc88481755658a4a5f3b5a16dc04767d673d7e1f00931d12760b3b06949c2374e422c4e46e9ee81dbeaef9b054d4de37b2706eca464992dc5967205031c4d87a29624996ea529bbf242d03d980cdb73aafff3612f586926c6adf25ed260ea14d539f4cb08d8f014610cce57475f03c108b3d7faa9e0e6918ffd85487d4417cc7b69daabd0fbffb2961400b2b1f1cb0fc9a293fbae1bfcfaf601100595c2901ccbfff00ed100d329a8ff5cee67b3e44490d4',1795984120588);
INSERT INTO event VALUES('evt_01m8mfxps3e7yspjgb22mdy0dc','org_01m8mfxph4e4xbd820e9z3zv0n','ses_01m8mfxpnse07afwj1pm975vwr','message.canceled',1,X'01881f8223f15fdb08a8c78fc259660ffe0b09630b1574d957d0591690a862d109a2adc71641c1077f620544000aea811ee9e4d541bb8b9f6c6d9f9802b4464b0941eec8dac89c64ccd9a46fdad34ff77967705d7bcb3d06ed27a1d69456f93a465517f7551766f610ef84e3db0120cde1a2df2bf84a49eebf4dd28e7ebb583e1b5f2d2444ec14a2214dca3bf46bc8ec04a94cc15498cb8e252c11de9baa1f11e00e79c70d235b029953a0c1afc14c0be809b33e6dc19a4f44b66bd0ad416e6394ef421ae9956a2414169fe420e7bfd36c42cfdd94552fcd13c191762949acf8d0c9b86b3165bdac58fa41e6a220ea01e9927c11d4681446e1eaece42acb57194543953bd09907594f8b0c549d3a19a932800ac146a8ec2e74fa16b2c2db02bd98f895559dd61f5292b327b2b6cf48ef42ad12386540ae057d5e904745b7ff6bedc1ad125a3aa38a140264bd2e25ff67841317f06699be6d05aca664c450dae232246b43871c6ddf65becfd12c529e48680ab4c2cc1357212f7c0afa6165dc0032949c5846a0afb65787bfdaaeaafc3c92aa136d128027cf37d048b691136b7e05915cc149f219ead543321ac26c750feb9bbfbe8c7e496b0485537a2330141387585c8028eae72c01349b349bcbfa9421aa8397f2535a8319202aa9eea65a5bf94c0f9b7f0f1e03f5010a173acde043e2291e3200aec10f0833e5f91d5008a0063a5d2c5cbb64f6b5f66fed257472bd71799da95adbde9740ea8996bae0660f8a1236ca4a1aaebbbcecb3c914f79267f43800b96485da6dd5571b81c8b3bc996c285816d3466ad3a8a89a5bcfdc19e0a8055aff354e166458128ef83989354de127ddc5b3808095d950fd98f3def4df2d9d4cdeee3a35b4ff39f74157e1dbffb64183ba4c9751a2cbcaf7ee57eca4c35ba44e02815cde43bb960f12c992885749c4ffd8f9082d52e5d997b9545ed6377a868c540d65bb22013bad95be9f4460',1795984120611);
CREATE TABLE delivery (
    id           text   PRIMARY KEY,          -- dlv_…
    org_id       text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    event_id     text   NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    endpoint_id  text   NOT NULL REFERENCES endpoint (id) ON DELETE CASCADE,
    status       text   NOT NULL,             -- 'due', 'running', 'delivered', 'dead'
    attempts     bigint NOT NULL,             -- attempts made
    due_at       bigint NOT NULL,             -- next attempt not before; while running: when the claim lapses
    created_at   bigint NOT NULL
, generation bigint NOT NULL DEFAULT 0, dispatched_at bigint);
INSERT INTO delivery VALUES('dlv_01m8mfxprceants343jyc2db5h','org_01m8mfxph4e4xbd820e9z3zv0n','evt_01m8mfxprceants343jr2nesxe','whe_01m8mfxpk8en490a5bepp6qd11','due',1,1795984125829,1795984120588,0,NULL);
INSERT INTO delivery VALUES('dlv_01m8mfxps3e7yspjgb272vrsrw','org_01m8mfxph4e4xbd820e9z3zv0n','evt_01m8mfxps3e7yspjgb22mdy0dc','whe_01m8mfxpk8en490a5bepp6qd11','due',1,1795984125796,1795984120611,0,NULL);
CREATE TABLE attempt (
    id            text   PRIMARY KEY,         -- att_…
    org_id        text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    delivery_id   text   NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
    number        bigint NOT NULL,            -- 1 for the first
    started_at    bigint NOT NULL,
    took_ms       bigint NOT NULL,
    http_status   bigint,                     -- null when no reply came
    error         text,                       -- stable code when it failed: 'timeout', 'url_not_allowed', …
    reply_sealed  blob                        -- the first 16 KiB of the reply
);
INSERT INTO attempt VALUES('att_01m8mfxpreeszs2mdg1krs63ap','org_01m8mfxph4e4xbd820e9z3zv0n','dlv_01m8mfxprceants343jyc2db5h',1,1795984120590,0,NULL,'connection_failed',NULL);
INSERT INTO attempt VALUES('att_01m8mfxps7evh9kkb957gf2ggj','org_01m8mfxph4e4xbd820e9z3zv0n','dlv_01m8mfxps3e7yspjgb272vrsrw',1,1795984120614,0,NULL,'connection_failed',NULL);
CREATE TABLE key_record (
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    kind        text   NOT NULL,              -- 'signal_identity', 'signal_session', 'sender_key', 'sync_key', 'sync_latest', 'sync_version', 'base_key', 'device_list', 'group_info', 'device'
    name_mac    blob   NOT NULL,              -- the name: a Signal address, a collection, a user, …
    user_mac    blob,                         -- the user part of a Signal address: is anything known of this user?
    sealed      blob   NOT NULL,
    PRIMARY KEY (session_id, kind, name_mac)
);
CREATE TABLE key_prekey (
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    signed      bigint NOT NULL,              -- 1: a signed pre-key; 0: a one-time pre-key
    number      bigint NOT NULL,
    uploaded    bigint NOT NULL,              -- 1: WhatsApp's server has been given it
    sealed      blob   NOT NULL,
    PRIMARY KEY (session_id, signed, number)
);
CREATE TABLE key_member (
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    kind        text   NOT NULL,              -- 'sender_key_device' (devices of a group), 'mutation_mac' (entries of an app-state collection)
    set_mac     blob   NOT NULL,              -- the group or the collection
    member_mac  blob   NOT NULL,              -- the device or the entry
    sealed      blob   NOT NULL,
    PRIMARY KEY (session_id, kind, set_mac, member_mac)
);
CREATE TABLE key_lid (
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    lid_mac     blob   NOT NULL,
    phone_mac   blob   NOT NULL,              -- several LIDs may have had one phone number: the latest counts
    turn        bigint NOT NULL,              -- grows with each write
    sealed      blob   NOT NULL,              -- the mapping
    PRIMARY KEY (session_id, lid_mac)
);
CREATE TABLE key_message (
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    kind        text   NOT NULL,              -- 'sent_message', 'pending_inbound'
    name_mac    blob   NOT NULL,              -- chat and id; chat, sender and id
    stored_at   bigint NOT NULL,              -- seconds UTC
    sealed      blob   NOT NULL,
    PRIMARY KEY (session_id, kind, name_mac)
);
CREATE TABLE key_secret (
    session_id  text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    name_mac    blob   NOT NULL,              -- chat, sender and message id
    expires_at  bigint NOT NULL,              -- seconds UTC; 0: kept for ever
    message_at  bigint NOT NULL,              -- when the message was sent, seconds UTC; 0: unknown
    sealed      blob   NOT NULL,
    PRIMARY KEY (session_id, name_mac)
);
CREATE TABLE key_token (
    session_id    text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    name_mac      blob   NOT NULL,            -- the contact
    name_sealed   blob   NOT NULL,
    token_sealed  blob,                       -- what the contact gave us; null: nothing yet
    token_at      bigint NOT NULL,            -- when it did, seconds UTC
    sender_at     bigint,                     -- when we last gave the contact ours, seconds UTC
    PRIMARY KEY (session_id, name_mac)
);
CREATE TABLE live (
    session_id     text   PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    org_id         text   NOT NULL,
    epoch          bigint NOT NULL,
    boot_id        text   NOT NULL,
    state          text   NOT NULL,           -- 'connecting', 'qr', 'pairing', 'connected', 'disconnected'
    qr_sealed      blob                       -- the QR of the moment: JSON {code, expires_at} (organisation's key)
);
CREATE TABLE command (
    id             text   PRIMARY KEY,        -- cmd_…
    org_id         text   NOT NULL,
    session_id     text   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    asked_sealed   blob   NOT NULL,           -- JSON of the command (organisation's key)
    answer_sealed  blob,                      -- JSON of the answer; null: none yet
    taken_epoch    bigint,                    -- the lease under which a host took it; null: nobody did
    created_at     bigint NOT NULL            -- by the database's clock: an old one is not taken any more
);
CREATE TABLE media (
    id             text   PRIMARY KEY,        -- med_…
    org_id         text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    session_id     text   REFERENCES session (id) ON DELETE CASCADE, -- through which it came in; null: the tenant's own
    message_id     text,                      -- the inbound message that carries it
    kind           text   NOT NULL,           -- image, video, audio, voice, document, sticker: what it was checked and made ready for
    status         text   NOT NULL,           -- 'pending': to be fetched; 'fetching'; 'deferred': to be fetched, when the disk has room; 'available'; 'failed'; 'expired': WhatsApp keeps it no longer
    error          text,                      -- stable code, when failed
    origin_sealed  blob,                      -- where it is to be fetched, JSON; null once it is here
    object         text   UNIQUE,             -- obj_…: the name of its bytes; null until they are here. Each try to fetch it writes to a name of its own
    file_sealed    blob,                      -- what opens it and how it looks, JSON; null until it is here
    attempts       bigint NOT NULL,           -- tries to fetch it
    due_at         bigint NOT NULL,           -- next try not before; while fetching: when the claim lapses
    created_at     bigint NOT NULL,
    delete_at      bigint NOT NULL            -- row and bytes are deleted after this
, needed_until bigint NOT NULL DEFAULT 0, generation bigint NOT NULL DEFAULT 0, dispatched_at bigint);
INSERT INTO media VALUES('med_01m8mfxprfexebnbhzxfjr4kp1','org_01m8mfxph4e4xbd820e9z3zv0n',NULL,NULL,'document','available',NULL,NULL,'obj_01m8mfxprfexebnbhzx8479syj',X'010a112692ad8798b8f7f6c386a3c27aa39db9e9e55e23f91b4278bfd68818352699f24e3d39d1021b6b3a43a9dd5822ac830e792497e9e6015154a6e33af292a775eefb574b69a0cfa1a4f2b9e9d6bfad943ea37a0ee8158832ac5f37ddb7494b56769f92f2fb0011d33e1ddfaff9ee21bb635bcc218c647e70cc5bca2110052ca3b16f9a1fe026400f864084907add44e675fb13c7c3df8ee58958eafe3a9f4df14128d568a7ca9f5d4a41de8ca264667eb723386f9c1437cfae3632adab917402d1ee1867ceb3f16c61845f90043c42f60bf6c65a162954c125bc54d085278604eaaac6d0068239c285ebd2c04a855fda549cc5d0ae1d77bbde06866e349d76020a4bf8e9618a552323b26aa06b4cc471eaf9c5f5f2774d39a191a6c530e1492df343a27de874bdbec74b29158cc52bad39f1d2a782d4fff1aac09cbbbdadf4415dd9206bababea34a85a48cc6b859835',0,1795984120591,1795984120591,1827520120591,1796074120593,0,NULL);
CREATE TABLE number_check (
    org_id       text   NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    phone_mac    blob   NOT NULL,             -- HMAC of the number
    answer_sealed blob  NOT NULL,             -- JSON {on_whatsapp, lid}
    checked_at   bigint NOT NULL,
    PRIMARY KEY (org_id, phone_mac)
);
CREATE INDEX api_key_org ON api_key (org_id, id);
CREATE INDEX data_key_org ON data_key (org_id);
CREATE INDEX session_org ON session (org_id, id);
CREATE INDEX lease_host ON lease (host_id);
CREATE INDEX lane_due ON lane (next_at) WHERE running_id IS NULL AND pending > 0 AND open_epoch > 0;
CREATE UNIQUE INDEX contact_phone ON contact (org_id, phone_mac);
CREATE UNIQUE INDEX contact_lid ON contact (org_id, lid_mac);
CREATE UNIQUE INDEX message_seq ON message (session_id, seq);
CREATE INDEX message_wa ON message (session_id, wa_id);
CREATE INDEX message_lane ON message (session_id, seq) WHERE status = 'queued';
CREATE INDEX message_expiry ON message (expires_at) WHERE status = 'queued';
CREATE INDEX message_list ON message (org_id, id);
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE INDEX endpoint_org ON endpoint (org_id, id);
CREATE INDEX event_org ON event (org_id, id);
CREATE UNIQUE INDEX delivery_once ON delivery (event_id, endpoint_id);
CREATE INDEX delivery_due ON delivery (due_at) WHERE status IN ('due', 'running');
CREATE INDEX delivery_running ON delivery (endpoint_id, due_at) WHERE status = 'running';
CREATE INDEX attempt_delivery ON attempt (delivery_id, number);
CREATE INDEX key_record_user ON key_record (session_id, user_mac) WHERE user_mac IS NOT NULL;
CREATE INDEX key_member_device ON key_member (session_id, member_mac) WHERE kind = 'sender_key_device';
CREATE INDEX key_lid_phone ON key_lid (session_id, phone_mac, turn);
CREATE INDEX key_secret_expiry ON key_secret (session_id, expires_at) WHERE expires_at > 0;
CREATE INDEX message_session ON message (session_id, org_id, id);
CREATE UNIQUE INDEX message_inbound ON message (session_id, chat_mac, sender_mac, wa_id) WHERE direction = 'inbound';
CREATE INDEX delivery_list ON delivery (org_id, id);
CREATE INDEX delivery_endpoint ON delivery (endpoint_id, org_id, id);
CREATE INDEX command_open ON command (session_id) WHERE taken_epoch IS NULL;
CREATE INDEX command_age ON command (created_at);
CREATE INDEX delivery_dispatched ON delivery (dispatched_at, endpoint_id) WHERE dispatched_at IS NOT NULL;
CREATE INDEX media_due ON media (due_at) WHERE status IN ('pending', 'deferred', 'fetching');
CREATE INDEX media_fetching ON media (org_id) WHERE status = 'fetching';
CREATE INDEX media_age ON media (delete_at);
CREATE INDEX media_session ON media (session_id);
CREATE INDEX media_message ON media (org_id, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX number_check_age ON number_check (checked_at);
CREATE INDEX contact_merged ON contact (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX message_preview ON message (preview_due_at) WHERE preview_due_at IS NOT NULL;
CREATE INDEX message_preview_org ON message (org_id, preview_due_at) WHERE preview_due_at IS NOT NULL;
CREATE INDEX media_org ON media (org_id);
CREATE INDEX media_dispatched ON media (dispatched_at, org_id) WHERE dispatched_at IS NOT NULL;
COMMIT;
