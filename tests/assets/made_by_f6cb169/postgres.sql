-- A PostgreSQL database as f6cb169 leaves it, see tests/it/neighbour/older.rs. Made with `pg_dump --inserts --no-owner`.
-- The gateway had created the roles. They belong to the server, so they are not in the dump.
DO $$ BEGIN CREATE ROLE passerelle_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE passerelle_system NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE DOMAIN public.blob AS bytea;
CREATE PROCEDURE public.secure_tables()
    LANGUAGE plpgsql
    AS $_$
DECLARE
    tenant CONSTANT text := $$nullif(current_setting('passerelle.org', true), '')$$;
    -- Of no organisation, and read beside its rows: whether a session's host is alive.
    read_by_all CONSTANT text[] := ARRAY['host'];
    t record;
    owned text;
BEGIN
    IF NOT has_schema_privilege('passerelle_app', current_schema(), 'USAGE')
        OR NOT has_schema_privilege('passerelle_system', current_schema(), 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO passerelle_app, passerelle_system', current_schema());
    END IF;
    FOR t IN
        SELECT c.oid, c.oid::regclass AS name, c.relname, c.relrowsecurity, c.relforcerowsecurity,
            array_agg(a.attname::text) FILTER (WHERE a.attnum > 0 AND NOT a.attisdropped) AS columns
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
            AND NOT starts_with(c.relname, '_sqlx_')
        GROUP BY c.oid ORDER BY c.relname
    LOOP
        IF NOT has_table_privilege('passerelle_system', t.oid, 'DELETE') THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO passerelle_system', t.name);
        END IF;
        owned := CASE
            WHEN t.relname = 'organisation' THEN format('id = %s', tenant)
            WHEN 'org_id' = ANY (t.columns) THEN format('org_id = %s', tenant)
            WHEN 'session_id' = ANY (t.columns) THEN format(
                'EXISTS (SELECT FROM session WHERE session.id = %s.session_id AND session.org_id = %s)', t.name, tenant)
        END;
        IF owned IS NOT NULL THEN
            IF NOT t.relrowsecurity THEN
                EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.name);
            END IF;
            IF NOT t.relforcerowsecurity THEN
                -- The owner, too: without it, a statement that forgot its role would see every row.
                EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t.name);
            END IF;
            IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = t.oid AND polname = 'tenant') THEN
                EXECUTE format('CREATE POLICY tenant ON %s TO passerelle_app USING (%s)', t.name, owned);
            END IF;
            IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = t.oid AND polname = 'system') THEN
                -- Exactly true: any other condition keeps a claim's statements from their indexes.
                EXECUTE format('CREATE POLICY system ON %s TO passerelle_system USING (true)', t.name);
            END IF;
            IF NOT has_table_privilege('passerelle_app', t.oid, 'DELETE') THEN
                EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO passerelle_app', t.name);
            END IF;
        ELSIF t.relname = ANY (read_by_all) AND NOT has_table_privilege('passerelle_app', t.oid, 'SELECT') THEN
            EXECUTE format('GRANT SELECT ON %s TO passerelle_app', t.name);
        END IF;
        -- One table locked at a time: others are at work.
        COMMIT;
    END LOOP;
END
$_$;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
CREATE TABLE public._sqlx_migrations_postgres (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
CREATE TABLE public.admin_key (
    id text NOT NULL,
    secret_mac public.blob NOT NULL,
    created_at bigint NOT NULL
);
CREATE TABLE public.api_key (
    id text NOT NULL,
    org_id text NOT NULL,
    name text NOT NULL,
    public_id text NOT NULL,
    secret_mac public.blob NOT NULL,
    created_at bigint NOT NULL,
    revoked_at bigint
);
ALTER TABLE ONLY public.api_key FORCE ROW LEVEL SECURITY;
CREATE TABLE public.attempt (
    id text NOT NULL,
    org_id text NOT NULL,
    delivery_id text NOT NULL,
    number bigint NOT NULL,
    started_at bigint NOT NULL,
    took_ms bigint NOT NULL,
    http_status bigint,
    error text,
    reply_sealed public.blob
);
ALTER TABLE ONLY public.attempt FORCE ROW LEVEL SECURITY;
CREATE TABLE public.command (
    id text NOT NULL,
    org_id text NOT NULL,
    session_id text NOT NULL,
    asked_sealed public.blob NOT NULL,
    answer_sealed public.blob,
    taken_epoch bigint,
    created_at bigint NOT NULL
);
ALTER TABLE ONLY public.command FORCE ROW LEVEL SECURITY;
CREATE TABLE public.contact (
    id text NOT NULL,
    org_id text NOT NULL,
    phone_mac public.blob,
    phone_sealed public.blob,
    lid_mac public.blob,
    lid_sealed public.blob,
    last_inbound_at bigint,
    opted_out_at bigint,
    created_at bigint NOT NULL,
    merged_into text
);
ALTER TABLE ONLY public.contact FORCE ROW LEVEL SECURITY;
CREATE TABLE public.data_key (
    id text NOT NULL,
    org_id text NOT NULL,
    kek_id text NOT NULL,
    wrapped public.blob NOT NULL,
    created_at bigint NOT NULL
);
ALTER TABLE ONLY public.data_key FORCE ROW LEVEL SECURITY;
CREATE TABLE public.delivery (
    id text NOT NULL,
    org_id text NOT NULL,
    event_id text NOT NULL,
    endpoint_id text NOT NULL,
    status text NOT NULL,
    attempts bigint NOT NULL,
    due_at bigint NOT NULL,
    created_at bigint NOT NULL,
    generation bigint DEFAULT 0 NOT NULL,
    dispatched_at bigint
);
ALTER TABLE ONLY public.delivery FORCE ROW LEVEL SECURITY;
CREATE TABLE public.endpoint (
    id text NOT NULL,
    org_id text NOT NULL,
    url_sealed public.blob NOT NULL,
    secret_sealed public.blob NOT NULL,
    old_secret_sealed public.blob,
    old_secret_until bigint,
    events text NOT NULL,
    disabled_at bigint,
    disabled_why text,
    failing_since bigint,
    created_at bigint NOT NULL,
    inline_media bigint DEFAULT 0 NOT NULL
);
ALTER TABLE ONLY public.endpoint FORCE ROW LEVEL SECURITY;
CREATE TABLE public.event (
    id text NOT NULL,
    org_id text NOT NULL,
    session_id text,
    type text NOT NULL,
    sequence bigint NOT NULL,
    body_sealed public.blob NOT NULL,
    created_at bigint NOT NULL
);
ALTER TABLE ONLY public.event FORCE ROW LEVEL SECURITY;
CREATE TABLE public.host (
    id text NOT NULL,
    boot_id text NOT NULL,
    seen_at bigint NOT NULL,
    draining bigint DEFAULT 0 NOT NULL,
    egress text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.idempotency (
    org_id text NOT NULL,
    key_mac public.blob NOT NULL,
    request_mac public.blob NOT NULL,
    answer_sealed public.blob NOT NULL,
    created_at bigint NOT NULL
);
ALTER TABLE ONLY public.idempotency FORCE ROW LEVEL SECURITY;
CREATE TABLE public.key_lid (
    session_id text NOT NULL,
    lid_mac public.blob NOT NULL,
    phone_mac public.blob NOT NULL,
    turn bigint NOT NULL,
    sealed public.blob NOT NULL
);
ALTER TABLE ONLY public.key_lid FORCE ROW LEVEL SECURITY;
CREATE TABLE public.key_member (
    session_id text NOT NULL,
    kind text NOT NULL,
    set_mac public.blob NOT NULL,
    member_mac public.blob NOT NULL,
    sealed public.blob NOT NULL
);
ALTER TABLE ONLY public.key_member FORCE ROW LEVEL SECURITY;
CREATE TABLE public.key_message (
    session_id text NOT NULL,
    kind text NOT NULL,
    name_mac public.blob NOT NULL,
    stored_at bigint NOT NULL,
    sealed public.blob NOT NULL
);
ALTER TABLE ONLY public.key_message FORCE ROW LEVEL SECURITY;
CREATE TABLE public.key_prekey (
    session_id text NOT NULL,
    signed bigint NOT NULL,
    number bigint NOT NULL,
    uploaded bigint NOT NULL,
    sealed public.blob NOT NULL
);
ALTER TABLE ONLY public.key_prekey FORCE ROW LEVEL SECURITY;
CREATE TABLE public.key_record (
    session_id text NOT NULL,
    kind text NOT NULL,
    name_mac public.blob NOT NULL,
    user_mac public.blob,
    sealed public.blob NOT NULL
);
ALTER TABLE ONLY public.key_record FORCE ROW LEVEL SECURITY;
CREATE TABLE public.key_secret (
    session_id text NOT NULL,
    name_mac public.blob NOT NULL,
    expires_at bigint NOT NULL,
    message_at bigint NOT NULL,
    sealed public.blob NOT NULL
);
ALTER TABLE ONLY public.key_secret FORCE ROW LEVEL SECURITY;
CREATE TABLE public.key_token (
    session_id text NOT NULL,
    name_mac public.blob NOT NULL,
    name_sealed public.blob NOT NULL,
    token_sealed public.blob,
    token_at bigint NOT NULL,
    sender_at bigint
);
ALTER TABLE ONLY public.key_token FORCE ROW LEVEL SECURITY;
CREATE TABLE public.lane (
    session_id text NOT NULL,
    org_id text NOT NULL,
    last_seq bigint NOT NULL,
    pending bigint NOT NULL,
    next_at bigint NOT NULL,
    running_id text,
    open_epoch bigint NOT NULL,
    last_event bigint NOT NULL
);
ALTER TABLE ONLY public.lane FORCE ROW LEVEL SECURITY;
CREATE TABLE public.lease (
    session_id text NOT NULL,
    org_id text NOT NULL,
    host_id text,
    epoch bigint NOT NULL
);
ALTER TABLE ONLY public.lease FORCE ROW LEVEL SECURITY;
CREATE TABLE public.link (
    session_id text NOT NULL,
    org_id text NOT NULL,
    linked_at bigint,
    me_sealed public.blob,
    ended text,
    ended_at bigint,
    banned_until bigint
);
ALTER TABLE ONLY public.link FORCE ROW LEVEL SECURITY;
CREATE TABLE public.live (
    session_id text NOT NULL,
    org_id text NOT NULL,
    epoch bigint NOT NULL,
    boot_id text NOT NULL,
    state text NOT NULL,
    qr_sealed public.blob
);
ALTER TABLE ONLY public.live FORCE ROW LEVEL SECURITY;
CREATE TABLE public.media (
    id text NOT NULL,
    org_id text NOT NULL,
    session_id text,
    message_id text,
    kind text NOT NULL,
    status text NOT NULL,
    error text,
    origin_sealed public.blob,
    object text,
    file_sealed public.blob,
    attempts bigint NOT NULL,
    due_at bigint NOT NULL,
    created_at bigint NOT NULL,
    delete_at bigint NOT NULL,
    needed_until bigint DEFAULT 0 NOT NULL,
    generation bigint DEFAULT 0 NOT NULL,
    dispatched_at bigint
);
ALTER TABLE ONLY public.media FORCE ROW LEVEL SECURITY;
CREATE TABLE public.message (
    id text NOT NULL,
    org_id text NOT NULL,
    session_id text NOT NULL,
    direction text NOT NULL,
    status text NOT NULL,
    kind text NOT NULL,
    wa_id text NOT NULL,
    seq bigint,
    to_mac public.blob,
    chat_mac public.blob,
    sender_mac public.blob,
    contact_id text,
    peer_sealed public.blob NOT NULL,
    content_sealed public.blob NOT NULL,
    resends bigint NOT NULL,
    error text,
    created_at bigint NOT NULL,
    expires_at bigint,
    sent_at bigint,
    delivered_at bigint,
    read_at bigint,
    played_at bigint,
    context_sealed public.blob,
    edited_at bigint,
    edited_by text,
    deleted_at bigint,
    preview_due_at bigint
);
ALTER TABLE ONLY public.message FORCE ROW LEVEL SECURITY;
CREATE TABLE public.number_check (
    org_id text NOT NULL,
    phone_mac public.blob NOT NULL,
    answer_sealed public.blob NOT NULL,
    checked_at bigint NOT NULL
);
ALTER TABLE ONLY public.number_check FORCE ROW LEVEL SECURITY;
CREATE TABLE public.organisation (
    id text NOT NULL,
    name text NOT NULL,
    created_at bigint NOT NULL,
    media_retention_hours bigint
);
ALTER TABLE ONLY public.organisation FORCE ROW LEVEL SECURITY;
CREATE TABLE public.session (
    id text NOT NULL,
    org_id text NOT NULL,
    name text NOT NULL,
    desired text NOT NULL,
    created_at bigint NOT NULL,
    uncertain text DEFAULT 'resend'::text NOT NULL
);
ALTER TABLE ONLY public.session FORCE ROW LEVEL SECURITY;
CREATE TABLE public.vault_check (
    kek_id text NOT NULL,
    sealed public.blob NOT NULL,
    created_at bigint NOT NULL
);
INSERT INTO public._sqlx_migrations VALUES (1, 'tenancy', '2026-11-29 20:28:44.001263+00', true, '\x0fe530aa490befd1bc5a46d5ca7131f176392c4a0122b13ad0c77b9ec2533054493e42b3882e81c820182146df7127c6', 67732232);
INSERT INTO public._sqlx_migrations VALUES (2, 'vault', '2026-11-29 20:28:44.069664+00', true, '\xafaf89e3fcd2ebfea4d5e8c4ee69ced29fb06b1c3474ebde36fd96440bd602ad7fccb3a693a3b6f7c2407dbe47dd023c', 18222683);
INSERT INTO public._sqlx_migrations VALUES (3, 'sessions', '2026-11-29 20:28:44.087915+00', true, '\xc9611f8680f6535984a2a3d4c9de450a9d612509b2383528a25e2a12f5c24572610add271c756171b94ccdb1df650357', 19252315);
INSERT INTO public._sqlx_migrations VALUES (4, 'messages', '2026-11-29 20:28:44.107234+00', true, '\x953b4172750d56394feaaf8bd16949bc67d655e49e9248c7f8c2d6561086efbaa4a72e06030c11503481d0ebdab6af45', 43977986);
INSERT INTO public._sqlx_migrations VALUES (5, 'webhooks', '2026-11-29 20:28:44.151941+00', true, '\x9a0b8349d461d831489e872cbee60a3ac0f8cc4f31abcb0b3d19882eb20c66d4ca475061c6ddea5e3b2b3dec19235014', 63583668);
INSERT INTO public._sqlx_migrations VALUES (6, 'keystore', '2026-11-29 20:28:44.215808+00', true, '\xbae69cc1ec611dbbfb74de6b29ea9e49fb33202c8efd18e76da2e5f56b9e28d38ccb79b9c79236b30a83f05c585e4cd9', 113875913);
INSERT INTO public._sqlx_migrations VALUES (7, 'list indexes', '2026-11-29 20:28:44.329895+00', true, '\x69d869b6e0a8d4a6f1688a7461cd63354215bc36ce842fd3e7fa85e9fbb274ecfb4a2cb26b20f966c1ddb878b8e9f300', 3395554);
INSERT INTO public._sqlx_migrations VALUES (8, 'cluster', '2026-11-29 20:28:44.336663+00', true, '\xe7fbad628260e21f1a3df7c970c763f96eeed14b75ed4f8cda1bf4825e79cfd78adc6f262ab3821ca8c294dd7c87ea8e', 19817406);
INSERT INTO public._sqlx_migrations VALUES (9, 'dispatches', '2026-11-29 20:28:44.357134+00', true, '\xc3cfa09904a9513497cc764cb78f788af47c049faf0d006cf16039ef52a2b9095a973ee21e529ef229b14959802ba172', 4369824);
INSERT INTO public._sqlx_migrations VALUES (10, 'content', '2026-11-29 20:28:44.360838+00', true, '\x0f13be2d0c153e416e22c13bf3330d822b3f44a93d2f5309e8f5ed5be6d428430f54585098070a33f8a3b8c60c3e7795', 6340387);
INSERT INTO public._sqlx_migrations VALUES (11, 'media', '2026-11-29 20:28:44.367264+00', true, '\x0f16625c4cc0a9871790f54294a81feb3141fe06e8a5425f5b07f7b81e5c933a7b779c98f53537fdb1cf8a91ecaefd3e', 28639978);
INSERT INTO public._sqlx_migrations VALUES (12, 'inline media', '2026-11-29 20:28:44.396029+00', true, '\xc56b9e6b975a6abfea907ea12bfc3e8e03a065d73061fa086908f9f025fc087c1a6d997a63bf4ea84220b7c8a247a580', 4519487);
INSERT INTO public._sqlx_migrations VALUES (13, 'number checks', '2026-11-29 20:28:44.400623+00', true, '\xd333164747ea6f6afbc472c56373c0b83b439b12ee5ddb15aceee1e2ea4472b777d7c2d1ff6834e2fa3baeda985347ef', 22939253);
INSERT INTO public._sqlx_migrations VALUES (14, 'contacts', '2026-11-29 20:28:44.423719+00', true, '\x8975e966d66aa33f8b2d664be8764606014caf1a1b1a95ea444e570482fabeadddc9622c03da5bd1bf2ae13713a9e46c', 3629673);
INSERT INTO public._sqlx_migrations VALUES (15, 'previews retention', '2026-11-29 20:28:44.43016+00', true, '\x4b8963a834d9422eb8b33e0ebe60a6c0bbaa7ff2fa786d13962c2b3184fad8f173df01db5115f7740649c6ba9aa12532', 6685310);
INSERT INTO public._sqlx_migrations VALUES (16, 'moving', '2026-11-29 20:28:44.436925+00', true, '\xa0f6508462403abcb08b1f7971cbe6abd8ffd2322b9ff4d85bb2a70d40aaa328264cdbcd1fb86c1bb1804bbba202c546', 8830153);
INSERT INTO public._sqlx_migrations VALUES (17, 'media dispatches', '2026-11-29 20:28:44.454788+00', true, '\xa63b01687c80bbb92f8b30a97ae2f477431f844ca7398730f070f8106f17d4c407e25804c17ab90a1cfe2cfd8b6fb8ee', 1169150);
INSERT INTO public._sqlx_migrations_postgres VALUES (1, 'row level security', '2026-11-29 20:28:44.46958+00', true, '\x100737561cff109d39402de05d9b51bf7fd625afb1d39f26d94fae89dad606ae283bc60c456aa56a5418473a9f0bd244', 57438752);
INSERT INTO public.api_key VALUES ('key_01m8mfxvs0e75s3pn3d94b4abf', 'org_01m8mfxvk1ejjvvwk14185ja1x', 'tests', 'n2KUL8JSgszq', '\x4c16929b23d6cd9f3e0a2236717cd9d46802bd8d94c437e4cc9b8878ce6a90b2', 1795984125728, NULL);
INSERT INTO public.attempt VALUES ('att_01m8mfxwd4ezp9q0jjq5w0m9n0', 'org_01m8mfxvk1ejjvvwk14185ja1x', 'dlv_01m8mfxwaweewvw22jj6gbrxvv', 1, 1795984126371, 0, NULL, 'connection_failed', NULL);
INSERT INTO public.attempt VALUES ('att_01m8mfxwqseyet8030w51yq4gm', 'org_01m8mfxvk1ejjvvwk14185ja1x', 'dlv_01m8mfxwkvev2s46gta949wp18', 1, 1795984126711, 2, NULL, 'connection_failed', NULL);
INSERT INTO public.contact VALUES ('ctc_01m8mfxw5xennbekmxkk0ns0eg', 'org_01m8mfxvk1ejjvvwk14185ja1x', '\x075d3f18e630d5c33500109464dcb4f6bc0b97d145b172a8940306a224941770', '\x0138653112031d6e7101229d72277a2529ffd35a434a0ad5aa5925321683dc4f45d9d233d8b538f7b1aad7', NULL, NULL, NULL, NULL, 1795984126137, NULL);
INSERT INTO public.data_key VALUES ('org_01m8mfxvk1ejjvvwk14185ja1x', 'org_01m8mfxvk1ejjvvwk14185ja1x', 'k1', '\x0196ca65cac664ae1ee6544cc643e77d0129de7f244a36fb74b950fac048773be5f1b7392ed1f3a367758ece13b1ec8ed2f2f0420af2bf9f991e578e81', 1795984125726);
INSERT INTO public.data_key VALUES ('ses_01m8mfxw22e1vvgtv2cp29dkzz', 'org_01m8mfxvk1ejjvvwk14185ja1x', 'k1', '\x01f8b1a7a76ef23839af59c8e0881e5547e0e93006a68a05eb49c96af88049405fc07f460402ac07e9cf4ccdaa34bdeb240234542d7fddd70f35025630', 1795984126024);
INSERT INTO public.delivery VALUES ('dlv_01m8mfxwaweewvw22jj6gbrxvv', 'org_01m8mfxvk1ejjvvwk14185ja1x', 'evt_01m8mfxwatek5t59waycbagkmf', 'whe_01m8mfxvyke0v8e9bmta9xshqj', 'due', 1, 1795984131805, 1795984126300, 0, NULL);
INSERT INTO public.delivery VALUES ('dlv_01m8mfxwkvev2s46gta949wp18', 'org_01m8mfxvk1ejjvvwk14185ja1x', 'evt_01m8mfxwktecdtc5e943z1wgfv', 'whe_01m8mfxvyke0v8e9bmta9xshqj', 'due', 1, 1795984132594, 1795984126587, 0, NULL);
INSERT INTO public.endpoint VALUES ('whe_01m8mfxvyke0v8e9bmta9xshqj', 'org_01m8mfxvk1ejjvvwk14185ja1x', '\x01a0a0b7c714ab7d0260fbc4008a3632c13e894c14df18cec6576a7fcd41d2ea85ef7d0476caeaa036381e59120e2d7778e241ea71', '\x01d00ccfcebe1a23a8a8fd50bf1caa61c0d1c9c89ba080e713bfd1c831feccd1b397839d8b6236d7b40f6cb68c443dfca51e2253dfb1d8dcb1660f1c02728ba7acd4608576ab2f9b9835f3bf4c520c', NULL, NULL, '["message.canceled"]', NULL, NULL, 1795984126372, 1795984125907, 0);
INSERT INTO public.event VALUES ('evt_01m8mfxwatek5t59waycbagkmf', 'org_01m8mfxvk1ejjvvwk14185ja1x', 'ses_01m8mfxw22e1vvgtv2cp29dkzz', 'message.canceled', 1, '\x013f422b17fdc00bed82223c828195706115a59514e3613a4e82a41b72700ce33cd6eb691edc1359bbda219a0efdc0e1bcf4d879ab66529a3f36340fd6d2016f1caa00f98a73065b639235ed8a2e28e958210f36227ffa061d0942321bb173e03b7fa79d8e6cbdf4d5d92efd4201eaea8729b870be6b05e4c010d6157ad653fbaa1572cb5193a54cdb0d4eb6e0521d5d2c40e917ca329c9ec190a2c1d52dd90bacfe5815b956440c6088e089632bfa1d5967f8d33e0cf9f710c3c9e6ad42267d65e7151d56fbbeb81f100727e56f028d5a48909802fcdc6dee4247efa619492804de5023b42cb974c759b7de13a26195b10e98d0bdf1543083d004e5fc746138cf915777fb8e6fa3d931d8a6313d06303d3258d382a809969a29c00538716e839df9e8e57954add867ef94996b21ef88480d4c47c3a95825d93f517704e4f36ac82dd7b3500315d4dbbefa69b9118462e93509b399784b570974df56ded3810d06ff183a220073a5f440ce9bf0fe1cd34c1dd8bb4caba1e0eac608bf4d41e34f31b5cd2224b2c904f01add0966025554749e1362a927f4f62d33207535b101b17a9d73eb29689a18f6a8cb25722f2c995cba8f79bfd45946622ea894ae482b6efca33ce71f432778a771f236ed3d4513315a5c48affaf82ada1f7aabd9472a59ebd5f923abcdc8ec0cafd6599c901bee49d1a692fc7d85724fa5a6045580ea9eb7770469ef73b9e0f5a7327bd92fa0fc8083f8245c1067e48a8fd9222dcd1e50ad42d249eb143501e5b60f3d7438efbe3c54cb8c903c95d200dc87412fa2632016442dab73a86c885ce00f5efa33244b0a9f5374df23c895d03511fc7dc811d0dbcf7d8867cc5be7aeb6981e571eb9df77929f5bf51807d2c30a2511b079e27c08813a5a2300d635ea9104009bc8c5ac4d32b57be8d38ef20d6d04f1f74d87b3a644af32a001a8f6d8f83f345836', 1795984126298);
INSERT INTO public.event VALUES ('evt_01m8mfxwktecdtc5e943z1wgfv', 'org_01m8mfxvk1ejjvvwk14185ja1x', 'ses_01m8mfxw4se3r8sjgm8688p181', 'message.canceled', 1, '\x012a58c9b9a38bf1a2ac8b26ed66ffdd9493f5846a61a7e4f27fad5b37fb3624b9dce70fc0e61305a58044386bcb38a67c5c89ed0c76dc743a66f2a1f5cc9a90fbd90c3435288fd7bf2b0b5d3813c53c4143e43d27c27c6c4bdc7417ff565022ad0203db19565121b276e5d43d44b62e0fbc111cc1472474c6f137c221fd8d12c77c1ebeb85676a9a35fa6a77bc6d0f8dc22d6cde5695e2afa54297813e5373a403ddd1cbb35c6e155e49681a3d335f012aa451bc0c8793ce4236252a0ee796b4d8611a4d421e01555f37715b853bd5e936614dc6a7511270c0d8db45ca81a104e2d538108e5d7c7e8dc5816d7b5bad06d747c5e649d8ba06737cb6f6e94090d397b623f4db08c26f39979e07969250f71714bc90cfd4c8983d572ed81107e464fb5c19aaad63fd79a4823330cbd60ea30901a62ec104a9234a5016ecd83c66916c9856a403cb2322182445987eb06f497d4f749534464710415886b36de131465da85d8503f64d0f4b1ebc9c7ed534eb51b3a903ebacbb5b6f3b871acaace28370f36585bc2a4042c6b300819182aabcc480965a6a84f990b60ff5b21900a47e8e6a0abb81a3250bf3af6c6be596d694580e2249b76e1cbb7a8b2a3a1c2ce4afef59e3273a8db7c635dfa21e6dd9b2433924020dd746d0eaad880e6b89388122d92f4b0339b76dacded0556d9fa336d511eb9205c8626ae4f645658fe1e3d6b0b14ece7f71af848249c3ac710227557ec32fdee2b98c79e0216bfe1a7d9b948ddfb522aa92f07d8a0ef94368b40aae5d867b3d3b69cde0a1fa4ea4e03fc39f69a31934cb1b45591a34ccec634637cda20ea402f6f1d1b81730ffb19b3b78fd04e9a89f03254757035ddc249c62c66c386e6c7f141115ca7b7fb02f73f60f0c3363becc152237c29f5e73f5190bb2a37996abc725a667c7b0fb4673f97bfb9ec31ed93b200fcb67d3c36127b455faab3dc5f5a0d529b0ef4791b7d2431e4f68b', 1795984126586);
INSERT INTO public.host VALUES ('embedded', '8aaeee0a643d5127', 1795984124913, 1, 'embedded');
INSERT INTO public.lane VALUES ('ses_01m8mfxw22e1vvgtv2cp29dkzz', 'org_01m8mfxvk1ejjvvwk14185ja1x', 3, 2, 0, NULL, 0, 1);
INSERT INTO public.lease VALUES ('ses_01m8mfxw22e1vvgtv2cp29dkzz', 'org_01m8mfxvk1ejjvvwk14185ja1x', NULL, 0);
INSERT INTO public.link VALUES ('ses_01m8mfxw22e1vvgtv2cp29dkzz', 'org_01m8mfxvk1ejjvvwk14185ja1x', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.media VALUES ('med_01m8mfxwc8erm8b48tv132wkp2', 'org_01m8mfxvk1ejjvvwk14185ja1x', NULL, NULL, 'document', 'available', NULL, NULL, 'obj_01m8mfxwbdercb941zm4tmnmdb', '\x010e644b8caf8e9f100f71122158090908eed453aa27ab68836b723ad3d217eb5a36046aa333160b0a62fe419897e680af8d65072d9f49ef13dce248d18728bfcb5a482ef22139d7823a00fbed1f321d402a0921d8b7a26f9a8c542f144907da368c765f8b7aa294ab6806969119063f6eaa9d52ceb4bdfd5eeb40bad6d8acb1315c291e95319b942f511ece4c9f86ed33b8a10e2c9cb079821ba5fde247069b64f9ef43a335beca3672917238d67a2f27e06f7bc8af5ec57a2599376b0d76815e5374d8245543d1a0fd42b369aed75d9b5a21dcfb3bf7dae69b650a331109f3f06dd29c6645afd8f838dccb039791a21e46a80e57555cf642c4aa911d79dfb630a8358d219601c636b847264dea7f2e9c3d434cd4ab6dcae4673a1a900c4f63dd9334585a3e5f27086fa692221ab5f54558c46a48915442b8a630e40da27e80581862b07a9326c7b762dccfc0d172b8c260', 0, 1795984126344, 1795984126344, 1827520126344, 1796074126377, 0, NULL);
INSERT INTO public.message VALUES ('msg_01m8mfxw5xennbekmxkm74y9kp', 'org_01m8mfxvk1ejjvvwk14185ja1x', 'ses_01m8mfxw22e1vvgtv2cp29dkzz', 'outbound', 'queued', 'text', '3EB05F1B4782F4091D4770', 1, '\x075d3f18e630d5c33500109464dcb4f6bc0b97d145b172a8940306a224941770', NULL, NULL, 'ctc_01m8mfxw5xennbekmxkk0ns0eg', '\x011dfd8d27ab3869615646b1abecbec69138246f0c1ebf5a42761a122446f1477f83c1ef21348163d60628f23f224e8f89ce730ef5d2e2', '\x01d503568da957440282d20ea13f3e36bb247e162b3d447b5ebda99e0df5e4c9fcf587703f77e86e33179dc0227874667fe191685a356746a10ccf1ca1928e981251434f98ca54c647584c04dcb5dad20a256d11', 0, NULL, 1795984126137, 1796070526137, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.message VALUES ('msg_01m8mfxw7eenr8wxqqm5htkpmb', 'org_01m8mfxvk1ejjvvwk14185ja1x', 'ses_01m8mfxw22e1vvgtv2cp29dkzz', 'outbound', 'canceled', 'text', '3EB0A36DF7810A6CEFDBCB', 2, '\x075d3f18e630d5c33500109464dcb4f6bc0b97d145b172a8940306a224941770', NULL, NULL, 'ctc_01m8mfxw5xennbekmxkk0ns0eg', '\x013a06aca19c11888dae470d56279aec61c0b49aaf46a4406b8abc0d539f3a9f3af6ed4dd0426918aa25d7cccde38eb8318e86cb577941', '\x01c26de74ef54df8fed5e2c88c33f94aa57c5100e8c24e68648ac1a0a49a058702af8698b29e92787b70019b5e6837cf83adbc6730e696e22804fc571823e84743', 0, NULL, 1795984126189, 1796070526189, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.message VALUES ('msg_01m8mfxweee5btm3b0rap92baa', 'org_01m8mfxvk1ejjvvwk14185ja1x', 'ses_01m8mfxw22e1vvgtv2cp29dkzz', 'outbound', 'queued', 'document', '3EB076F715D7E1070BDDA4', 3, '\x075d3f18e630d5c33500109464dcb4f6bc0b97d145b172a8940306a224941770', NULL, NULL, 'ctc_01m8mfxw5xennbekmxkk0ns0eg', '\x018caf60cb38f95dd972d05b390d7b4acff493c3b6fec49c196189f400ead533a792fb6feb111cf5a0d3826ec9f707fbf20a0fc4fc7d16', '\x01e1e801d36a311990017b3320a638cd69674bbd615924415d4758eb790f2db14e8f34e164ddfa73563bdd7de055ed203a287b3e7f90b546965ee1ded0f8ec3e9113805b95bcd36a0789028e7bbe15be1b7ae15e43d4eef396f2ab089cd2f8d0ff0942068fa4442647fbe740907f70b67e8d41337959b2489f5f2aed30e7c6d7627d9232c5b923e3a4ca80b2664d410be9bbf5c2713b1d692bdc46e88a0f213b2568e71f2c8275f1c10b788a69f6275a0bc2fa0cf8cd87b196a7e13996ad8e328f14b60339eabcefb300269dc7fefcee447ef13a749b0fe475eeaba9e814c72244e78cbb97cc249ca8c038087209c6c2169f800303f0501a5a84', 0, NULL, 1795984126377, 1796070526377, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.organisation VALUES ('org_01m8mfxvk1ejjvvwk14185ja1x', 'Old & Sons', 1795984125537, NULL);
INSERT INTO public.session VALUES ('ses_01m8mfxw22e1vvgtv2cp29dkzz', 'org_01m8mfxvk1ejjvvwk14185ja1x', 'front desk', 'stopped', 1795984126018, 'resend');
INSERT INTO public.vault_check VALUES ('k1', '\x01ad502e847cbef5f494bf35435b2c2524c0416c430e159c32190159d373b2a6eed469117c9f50c6d0881b6b44d59755c3ab2110dd071fc8346e49a913', 1795984124695);
ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public._sqlx_migrations_postgres
    ADD CONSTRAINT _sqlx_migrations_postgres_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.admin_key
    ADD CONSTRAINT admin_key_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_public_id_key UNIQUE (public_id);
ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT attempt_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.command
    ADD CONSTRAINT command_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.contact
    ADD CONSTRAINT contact_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.data_key
    ADD CONSTRAINT data_key_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT delivery_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.endpoint
    ADD CONSTRAINT endpoint_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.host
    ADD CONSTRAINT host_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (org_id, key_mac);
ALTER TABLE ONLY public.key_lid
    ADD CONSTRAINT key_lid_pkey PRIMARY KEY (session_id, lid_mac);
ALTER TABLE ONLY public.key_member
    ADD CONSTRAINT key_member_pkey PRIMARY KEY (session_id, kind, set_mac, member_mac);
ALTER TABLE ONLY public.key_message
    ADD CONSTRAINT key_message_pkey PRIMARY KEY (session_id, kind, name_mac);
ALTER TABLE ONLY public.key_prekey
    ADD CONSTRAINT key_prekey_pkey PRIMARY KEY (session_id, signed, number);
ALTER TABLE ONLY public.key_record
    ADD CONSTRAINT key_record_pkey PRIMARY KEY (session_id, kind, name_mac);
ALTER TABLE ONLY public.key_secret
    ADD CONSTRAINT key_secret_pkey PRIMARY KEY (session_id, name_mac);
ALTER TABLE ONLY public.key_token
    ADD CONSTRAINT key_token_pkey PRIMARY KEY (session_id, name_mac);
ALTER TABLE ONLY public.lane
    ADD CONSTRAINT lane_pkey PRIMARY KEY (session_id);
ALTER TABLE ONLY public.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (session_id);
ALTER TABLE ONLY public.link
    ADD CONSTRAINT link_pkey PRIMARY KEY (session_id);
ALTER TABLE ONLY public.live
    ADD CONSTRAINT live_pkey PRIMARY KEY (session_id);
ALTER TABLE ONLY public.media
    ADD CONSTRAINT media_object_key UNIQUE (object);
ALTER TABLE ONLY public.media
    ADD CONSTRAINT media_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.message
    ADD CONSTRAINT message_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.number_check
    ADD CONSTRAINT number_check_pkey PRIMARY KEY (org_id, phone_mac);
ALTER TABLE ONLY public.organisation
    ADD CONSTRAINT organisation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.vault_check
    ADD CONSTRAINT vault_check_pkey PRIMARY KEY (kek_id);
CREATE INDEX api_key_org ON public.api_key USING btree (org_id, id);
CREATE INDEX attempt_delivery ON public.attempt USING btree (delivery_id, number);
CREATE INDEX command_age ON public.command USING btree (created_at);
CREATE INDEX command_open ON public.command USING btree (session_id) WHERE (taken_epoch IS NULL);
CREATE UNIQUE INDEX contact_lid ON public.contact USING btree (org_id, lid_mac);
CREATE INDEX contact_merged ON public.contact USING btree (merged_into) WHERE (merged_into IS NOT NULL);
CREATE UNIQUE INDEX contact_phone ON public.contact USING btree (org_id, phone_mac);
CREATE INDEX data_key_org ON public.data_key USING btree (org_id);
CREATE INDEX delivery_dispatched ON public.delivery USING btree (dispatched_at, endpoint_id) WHERE (dispatched_at IS NOT NULL);
CREATE INDEX delivery_due ON public.delivery USING btree (due_at) WHERE (status = ANY (ARRAY['due'::text, 'running'::text]));
CREATE INDEX delivery_endpoint ON public.delivery USING btree (endpoint_id, org_id, id);
CREATE INDEX delivery_list ON public.delivery USING btree (org_id, id);
CREATE UNIQUE INDEX delivery_once ON public.delivery USING btree (event_id, endpoint_id);
CREATE INDEX delivery_running ON public.delivery USING btree (endpoint_id, due_at) WHERE (status = 'running'::text);
CREATE INDEX endpoint_org ON public.endpoint USING btree (org_id, id);
CREATE INDEX event_org ON public.event USING btree (org_id, id);
CREATE INDEX idempotency_age ON public.idempotency USING btree (created_at);
CREATE INDEX key_lid_phone ON public.key_lid USING btree (session_id, phone_mac, turn);
CREATE INDEX key_member_device ON public.key_member USING btree (session_id, member_mac) WHERE (kind = 'sender_key_device'::text);
CREATE INDEX key_record_user ON public.key_record USING btree (session_id, user_mac) WHERE (user_mac IS NOT NULL);
CREATE INDEX key_secret_expiry ON public.key_secret USING btree (session_id, expires_at) WHERE (expires_at > 0);
CREATE INDEX lane_due ON public.lane USING btree (next_at) WHERE ((running_id IS NULL) AND (pending > 0) AND (open_epoch > 0));
CREATE INDEX lease_host ON public.lease USING btree (host_id);
CREATE INDEX media_age ON public.media USING btree (delete_at);
CREATE INDEX media_dispatched ON public.media USING btree (dispatched_at, org_id) WHERE (dispatched_at IS NOT NULL);
CREATE INDEX media_due ON public.media USING btree (due_at) WHERE (status = ANY (ARRAY['pending'::text, 'deferred'::text, 'fetching'::text]));
CREATE INDEX media_fetching ON public.media USING btree (org_id) WHERE (status = 'fetching'::text);
CREATE INDEX media_message ON public.media USING btree (org_id, message_id) WHERE (message_id IS NOT NULL);
CREATE INDEX media_org ON public.media USING btree (org_id);
CREATE INDEX media_session ON public.media USING btree (session_id);
CREATE INDEX message_expiry ON public.message USING btree (expires_at) WHERE (status = 'queued'::text);
CREATE UNIQUE INDEX message_inbound ON public.message USING btree (session_id, chat_mac, sender_mac, wa_id) WHERE (direction = 'inbound'::text);
CREATE INDEX message_lane ON public.message USING btree (session_id, seq) WHERE (status = 'queued'::text);
CREATE INDEX message_list ON public.message USING btree (org_id, id);
CREATE INDEX message_preview ON public.message USING btree (preview_due_at) WHERE (preview_due_at IS NOT NULL);
CREATE INDEX message_preview_org ON public.message USING btree (org_id, preview_due_at) WHERE (preview_due_at IS NOT NULL);
CREATE UNIQUE INDEX message_seq ON public.message USING btree (session_id, seq);
CREATE INDEX message_session ON public.message USING btree (session_id, org_id, id);
CREATE INDEX message_wa ON public.message USING btree (session_id, wa_id);
CREATE INDEX number_check_age ON public.number_check USING btree (checked_at);
CREATE INDEX session_org ON public.session USING btree (org_id, id);
ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organisation(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT attempt_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES public.delivery(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT attempt_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organisation(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.command
    ADD CONSTRAINT command_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.contact
    ADD CONSTRAINT contact_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organisation(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.data_key
    ADD CONSTRAINT data_key_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organisation(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT delivery_endpoint_id_fkey FOREIGN KEY (endpoint_id) REFERENCES public.endpoint(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT delivery_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.event(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT delivery_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organisation(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.endpoint
    ADD CONSTRAINT endpoint_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organisation(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.event
    ADD CONSTRAINT event_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organisation(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organisation(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.key_lid
    ADD CONSTRAINT key_lid_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.key_member
    ADD CONSTRAINT key_member_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.key_message
    ADD CONSTRAINT key_message_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.key_prekey
    ADD CONSTRAINT key_prekey_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.key_record
    ADD CONSTRAINT key_record_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.key_secret
    ADD CONSTRAINT key_secret_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.key_token
    ADD CONSTRAINT key_token_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.lane
    ADD CONSTRAINT lane_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.lease
    ADD CONSTRAINT lease_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.link
    ADD CONSTRAINT link_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.live
    ADD CONSTRAINT live_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.media
    ADD CONSTRAINT media_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organisation(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.media
    ADD CONSTRAINT media_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.message
    ADD CONSTRAINT message_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organisation(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.message
    ADD CONSTRAINT message_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.session(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.number_check
    ADD CONSTRAINT number_check_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organisation(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organisation(id) ON DELETE CASCADE;
ALTER TABLE public.api_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.attempt ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.command ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.contact ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.data_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.delivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.endpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.event ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.key_lid ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.key_member ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.key_message ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.key_prekey ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.key_record ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.key_secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.key_token ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.lane ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.lease ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.link ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.live ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.media ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.message ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.number_check ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.organisation ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.session ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON public.api_key TO passerelle_system USING (true);
CREATE POLICY system ON public.attempt TO passerelle_system USING (true);
CREATE POLICY system ON public.command TO passerelle_system USING (true);
CREATE POLICY system ON public.contact TO passerelle_system USING (true);
CREATE POLICY system ON public.data_key TO passerelle_system USING (true);
CREATE POLICY system ON public.delivery TO passerelle_system USING (true);
CREATE POLICY system ON public.endpoint TO passerelle_system USING (true);
CREATE POLICY system ON public.event TO passerelle_system USING (true);
CREATE POLICY system ON public.idempotency TO passerelle_system USING (true);
CREATE POLICY system ON public.key_lid TO passerelle_system USING (true);
CREATE POLICY system ON public.key_member TO passerelle_system USING (true);
CREATE POLICY system ON public.key_message TO passerelle_system USING (true);
CREATE POLICY system ON public.key_prekey TO passerelle_system USING (true);
CREATE POLICY system ON public.key_record TO passerelle_system USING (true);
CREATE POLICY system ON public.key_secret TO passerelle_system USING (true);
CREATE POLICY system ON public.key_token TO passerelle_system USING (true);
CREATE POLICY system ON public.lane TO passerelle_system USING (true);
CREATE POLICY system ON public.lease TO passerelle_system USING (true);
CREATE POLICY system ON public.link TO passerelle_system USING (true);
CREATE POLICY system ON public.live TO passerelle_system USING (true);
CREATE POLICY system ON public.media TO passerelle_system USING (true);
CREATE POLICY system ON public.message TO passerelle_system USING (true);
CREATE POLICY system ON public.number_check TO passerelle_system USING (true);
CREATE POLICY system ON public.organisation TO passerelle_system USING (true);
CREATE POLICY system ON public.session TO passerelle_system USING (true);
CREATE POLICY tenant ON public.api_key TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.attempt TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.command TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.contact TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.data_key TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.delivery TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.endpoint TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.event TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.idempotency TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.key_lid TO passerelle_app USING ((EXISTS ( SELECT
   FROM public.session
  WHERE ((session.id = key_lid.session_id) AND (session.org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text))))));
CREATE POLICY tenant ON public.key_member TO passerelle_app USING ((EXISTS ( SELECT
   FROM public.session
  WHERE ((session.id = key_member.session_id) AND (session.org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text))))));
CREATE POLICY tenant ON public.key_message TO passerelle_app USING ((EXISTS ( SELECT
   FROM public.session
  WHERE ((session.id = key_message.session_id) AND (session.org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text))))));
CREATE POLICY tenant ON public.key_prekey TO passerelle_app USING ((EXISTS ( SELECT
   FROM public.session
  WHERE ((session.id = key_prekey.session_id) AND (session.org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text))))));
CREATE POLICY tenant ON public.key_record TO passerelle_app USING ((EXISTS ( SELECT
   FROM public.session
  WHERE ((session.id = key_record.session_id) AND (session.org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text))))));
CREATE POLICY tenant ON public.key_secret TO passerelle_app USING ((EXISTS ( SELECT
   FROM public.session
  WHERE ((session.id = key_secret.session_id) AND (session.org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text))))));
CREATE POLICY tenant ON public.key_token TO passerelle_app USING ((EXISTS ( SELECT
   FROM public.session
  WHERE ((session.id = key_token.session_id) AND (session.org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text))))));
CREATE POLICY tenant ON public.lane TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.lease TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.link TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.live TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.media TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.message TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.number_check TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.organisation TO passerelle_app USING ((id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
CREATE POLICY tenant ON public.session TO passerelle_app USING ((org_id = NULLIF(current_setting('passerelle.org'::text, true), ''::text)));
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.admin_key TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.api_key TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.api_key TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.attempt TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.attempt TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.command TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.command TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.contact TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.contact TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.data_key TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.data_key TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.delivery TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.delivery TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.endpoint TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.endpoint TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.event TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.event TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.host TO passerelle_system;
GRANT SELECT ON TABLE public.host TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.idempotency TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.idempotency TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_lid TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_lid TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_member TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_member TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_message TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_message TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_prekey TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_prekey TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_record TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_record TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_secret TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_secret TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_token TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.key_token TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.lane TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.lane TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.lease TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.lease TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.link TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.link TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.live TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.live TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.media TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.media TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.message TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.message TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.number_check TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.number_check TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.organisation TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.organisation TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.session TO passerelle_system;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.session TO passerelle_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.vault_check TO passerelle_system;
