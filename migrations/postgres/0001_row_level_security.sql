-- What only PostgreSQL has. This set has numbers of its own, is kept in a table of its own
-- (_sqlx_migrations_postgres) and runs after the other one. On a new store that one has reached its
-- end by then, on an old store it has not: name no table here that may come or go, ask the catalogue.
--
-- Row-level security. Statements run as one of two roles, neither of which owns anything:
--   passerelle_app     sees and changes the rows of the organisation that the transaction names
--                      (SET LOCAL passerelle.org), and none where it names none
--   passerelle_system  sees and changes every row: claims, leases, sweeps, key look-up
-- The roles belong to the server, not to one database: engine/src/store/postgres.rs makes them.

-- Puts every table behind row-level security that has rows of organisations, and gives the roles
-- what they may do. Called after the migrations at each start; what is done already is left alone, so
-- that it waits for nobody. A table comes to belong to organisations by a column org_id, or session_id
-- where the session's organisation owns the row; tests/it/row_level_security.rs lists the others.
CREATE PROCEDURE secure_tables() LANGUAGE plpgsql AS $procedure$
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
$procedure$;
