-- Puts every table of ours behind row-level security, also those of no organisation, and takes from other
-- roles what default privileges gave them. Some hosts give everything in the schema public to roles that
-- the web uses, and TRUNCATE asks no policy.
--
-- Called after the migrations at each start, with the names of our tables: the schema may have tables of
-- other programs. What is done already is left alone, so that it waits for nobody. A table comes to belong
-- to organisations by a column org_id, or session_id where the session's organisation owns the row.
-- The procedure of the same name without an argument is what earlier versions call.
CREATE PROCEDURE secure_tables(ours text[]) LANGUAGE plpgsql AS $procedure$
DECLARE
    tenant CONSTANT text := $$nullif(current_setting('passerelle.org', true), '')$$;
    -- Of no organisation, and read beside its rows: whether a session's host is alive.
    read_by_all CONSTANT text[] := ARRAY['host'];
    t record;
    other text;
    owned text;
BEGIN
    IF NOT has_schema_privilege('passerelle_app', current_schema(), 'USAGE')
        OR NOT has_schema_privilege('passerelle_system', current_schema(), 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO passerelle_app, passerelle_system', current_schema());
    END IF;
    FOR t IN
        SELECT c.oid, c.oid::regclass AS name, c.relname, c.relrowsecurity, c.relforcerowsecurity,
            starts_with(c.relname, '_sqlx_') AS of_migrations,
            array_agg(a.attname::text) FILTER (WHERE a.attnum > 0 AND NOT a.attisdropped) AS columns
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
            AND c.relname = ANY (ours)
        GROUP BY c.oid ORDER BY c.relname
    LOOP
        IF NOT t.relrowsecurity THEN
            -- A new table. What an operator grants later stays.
            FOR other IN
                SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
                FROM pg_class c, aclexplode(c.relacl)
                WHERE c.oid = t.oid AND grantee <> c.relowner
                    AND grantee NOT IN ('passerelle_app'::regrole, 'passerelle_system'::regrole)
            LOOP
                EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', t.name, other);
            END LOOP;
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.name);
        END IF;
        -- The owner reads and writes what was migrated, and nobody else does.
        IF NOT t.of_migrations THEN
            IF NOT t.relforcerowsecurity THEN
                -- The owner, too: without it, a statement that forgot its role would see every row.
                EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t.name);
            END IF;
            owned := CASE
                WHEN t.relname = 'organisation' THEN format('id = %s', tenant)
                WHEN 'org_id' = ANY (t.columns) THEN format('org_id = %s', tenant)
                WHEN 'session_id' = ANY (t.columns) THEN format(
                    'EXISTS (SELECT FROM session WHERE session.id = %s.session_id AND session.org_id = %s)', t.name, tenant)
            END;
            IF t.relname = ANY (read_by_all) THEN
                IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = t.oid AND polname = 'tenant') THEN
                    EXECUTE format('CREATE POLICY tenant ON %s FOR SELECT TO passerelle_app USING (true)', t.name);
                END IF;
                IF NOT has_table_privilege('passerelle_app', t.oid, 'SELECT') THEN
                    EXECUTE format('GRANT SELECT ON %s TO passerelle_app', t.name);
                END IF;
            ELSIF owned IS NOT NULL THEN
                IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = t.oid AND polname = 'tenant') THEN
                    EXECUTE format('CREATE POLICY tenant ON %s TO passerelle_app USING (%s)', t.name, owned);
                END IF;
                IF NOT has_table_privilege('passerelle_app', t.oid, 'DELETE') THEN
                    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO passerelle_app', t.name);
                END IF;
            END IF;
            IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = t.oid AND polname = 'system') THEN
                -- Exactly true: any other condition keeps a claim's statements from their indexes.
                EXECUTE format('CREATE POLICY system ON %s TO passerelle_system USING (true)', t.name);
            END IF;
            IF NOT has_table_privilege('passerelle_system', t.oid, 'DELETE') THEN
                EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO passerelle_system', t.name);
            END IF;
        END IF;
        -- One table locked at a time: others are at work.
        COMMIT;
    END LOOP;
END
$procedure$;

-- Tables that an earlier version secured keep what default privileges gave. Once, it is taken back.
DO $$
DECLARE
    g record;
BEGIN
    FOR g IN
        SELECT DISTINCT p.polrelid::regclass AS name,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS other
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid, aclexplode(c.relacl) a
        WHERE p.polname = 'system' AND 'passerelle_system'::regrole = ANY (p.polroles)
            AND c.relnamespace = current_schema()::regnamespace AND a.grantee <> c.relowner
            AND a.grantee NOT IN ('passerelle_app'::regrole, 'passerelle_system'::regrole)
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', g.name, g.other);
    END LOOP;
END
$$;
