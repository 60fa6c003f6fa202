//! A host that gives everything in `public` to roles of the web, as Supabase does, and a store's user who is
//! no superuser.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, Setup, backing::Database};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::path::Path;

use super::{converse, execute, run, texts, world_on};

/// Every table of the schema, and whether row-level security applies to it, and to its owner.
const OPEN: &str = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') \
     AND relnamespace = 'public'::regnamespace AND relname <> 'of_another_program' AND NOT (relrowsecurity \
     AND (relforcerowsecurity OR starts_with(relname, '_sqlx_'))) ORDER BY 1";
const TABLES: &str = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') \
     AND relnamespace = 'public'::regnamespace AND relname <> 'of_another_program' ORDER BY 1";

/// PostgreSQL's code of a statement that the role has no right to.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// A database whose owner has a host's usual rights, and whose web roles have the usual grants.
struct Host {
    /// Its address as a superuser.
    admin: String,
    /// Its address as the store's user.
    url: String,
    /// Its roles of the web.
    web: [String; 2],
}

impl Host {
    async fn new() -> Result<Self> {
        let database = Database::create(Backing::Postgres, Path::new("")).await?;
        let (server, name) = database.url.rsplit_once('/').context("a database")?;
        let (_, server) = server.split_once('@').context("a user")?;
        let owner = format!("owner_{name}");
        let web = [format!("anon_{name}"), format!("service_{name}")];
        let [anon, service] = &web;
        execute(
            &database.url,
            &[
                &format!("CREATE ROLE {anon} NOLOGIN"),
                &format!("CREATE ROLE {service} NOLOGIN BYPASSRLS"),
                &format!("CREATE ROLE {owner} LOGIN CREATEROLE CREATEDB BYPASSRLS"),
                &format!("ALTER DATABASE {name} OWNER TO {owner}"),
                &format!("GRANT ALL ON SCHEMA public TO {owner}"),
                &format!("GRANT USAGE ON SCHEMA public TO {anon}, {service}"),
                &format!("ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT ALL ON TABLES TO {anon}, {service}"),
                &format!("ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT ALL ON FUNCTIONS TO {anon}, {service}"),
            ],
        )
        .await?;
        let roles = "SELECT rolname::text FROM pg_roles WHERE rolname = 'passerelle_roles'";
        if !texts(&database.url, roles).await?.is_empty() {
            execute(
                &database.url,
                &[&format!("GRANT passerelle_roles TO {owner}")],
            )
            .await?;
        }
        Ok(Self {
            url: format!("postgres://{owner}@{server}/{name}"),
            admin: database.url,
            web,
        })
    }

    /// Checks that a role of the web reads, changes and empties no table, whatever it tries.
    async fn web_is_kept_out(&self) -> Result<()> {
        let tables = texts(&self.admin, TABLES).await?;
        assert!(tables.len() >= 28, "{tables:?}");
        for role in &self.web {
            let mut conn = PgConnection::connect(&self.admin).await?;
            let act = AssertSqlSafe(format!("SET ROLE {role}"));
            sqlx::query(act).execute(&mut conn).await?;
            for table in &tables {
                for statement in [
                    format!("SELECT count(*) FROM {table}"),
                    format!("DELETE FROM {table}"),
                    format!("INSERT INTO {table} DEFAULT VALUES"),
                    format!("TRUNCATE {table} CASCADE"),
                ] {
                    let done = sqlx::query(AssertSqlSafe(statement.clone())).execute(&mut conn);
                    let refused = done.await.err();
                    let code = refused
                        .as_ref()
                        .and_then(|error| error.as_database_error()?.code());
                    assert_eq!(
                        code.as_deref(),
                        Some(INSUFFICIENT_PRIVILEGE),
                        "{role}: {statement}: {refused:?}"
                    );
                }
            }
            let call = sqlx::query("CALL secure_tables(ARRAY['session'])");
            drop(call.execute(&mut conn).await);
        }
        assert_eq!(texts(&self.admin, OPEN).await?, Vec::<String>::new());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_of_the_web_see_and_change_nothing_and_the_next_start_works() -> Result<()> {
    let host = Host::new().await?;
    // The schema has a table of another program, which is left alone.
    let other = [
        "CREATE TABLE of_another_program (org_id text)",
        "INSERT INTO of_another_program VALUES ('theirs')",
    ];
    execute(&host.url, &other).await?;
    let world = world_on(&host.url, Backing::Postgres, Setup::quick()).await?;
    converse(&world).await?;
    host.web_is_kept_out().await?;
    let seen = format!("SET ROLE {}", host.web[0]);
    let mut conn = PgConnection::connect(&host.admin).await?;
    sqlx::query(AssertSqlSafe(seen)).execute(&mut conn).await?;
    let theirs = sqlx::query_scalar("SELECT org_id FROM of_another_program");
    let theirs: Vec<String> = theirs.fetch_all(&mut conn).await?;
    assert_eq!(theirs, ["theirs"]);
    let mut world = world;
    assert!(world.gateway.stop().await?.success());
    world.gateway.start().await?;
    host.web_is_kept_out().await?;
    // What an operator grants later stays.
    let [_, service] = &host.web;
    execute(
        &host.url,
        &[&format!("GRANT SELECT ON session TO {service}")],
    )
    .await?;
    let (migrated, told) = run(&["migrate"], &[("PASSERELLE_DATABASE_URL", &host.url)]).await?;
    assert!(migrated, "{told}");
    let may = format!("SELECT has_table_privilege('{service}', 'session', 'SELECT')::text");
    assert_eq!(texts(&host.admin, &may).await?, ["true"]);
    let _finished: Finished = world.finish().await?;
    Ok(())
}

#[tokio::test]
async fn a_store_of_an_earlier_version_is_closed_at_its_next_start() -> Result<()> {
    let host = Host::new().await?;
    let env = [("PASSERELLE_DATABASE_URL", host.url.as_str())];
    let (migrated, told) = run(&["migrate"], &env).await?;
    assert!(migrated, "{told}");
    // As an earlier version left it.
    let [anon, service] = &host.web;
    execute(
        &host.url,
        &[
            "DELETE FROM _sqlx_migrations_postgres WHERE version = 2",
            "DROP PROCEDURE secure_tables(text[])",
            &format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {anon}, {service}"),
        ],
    )
    .await?;
    for table in [
        "vault_check",
        "admin_key",
        "host",
        "_sqlx_migrations",
        "_sqlx_migrations_postgres",
    ] {
        let off =
            format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY");
        execute(&host.url, &[&off]).await?;
    }
    for table in ["vault_check", "admin_key", "host"] {
        for policy in ["system", "tenant"] {
            execute(
                &host.url,
                &[&format!("DROP POLICY IF EXISTS {policy} ON {table}")],
            )
            .await?;
        }
    }
    assert_eq!(texts(&host.admin, OPEN).await?.len(), 5);
    let (migrated, told) = run(&["migrate"], &env).await?;
    assert!(migrated, "{told}");
    host.web_is_kept_out().await
}
