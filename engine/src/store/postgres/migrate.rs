//! Brings schema, roles and policies up to date, on a connection of the store's user.

use anyhow::Context as _;
use sqlx::{
    AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor as _,
    migrate::{Migrate as _, MigrateError, Migrator},
};

use super::connect::connect;
use crate::store::{address::Schema, migrations::MIGRATIONS};

/// Lets both engines run the same migrations: SQLite's type blob is PostgreSQL's bytea.
pub(crate) const BLOB: &str = "DO $$ BEGIN CREATE DOMAIN blob AS bytea; \
     EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// Lets one process migrate at a time. The lock is released when the connection closes. It is the
/// database's, so gateways in two schemas wait for each other here, and nowhere else.
const ALONE: &str = "DO $$ BEGIN PERFORM pg_advisory_lock(hashtext('passerelle')); END $$";

/// The tables in which is written down what was run, of both engines and of PostgreSQL alone.
const DONE: [&str; 2] = ["_sqlx_migrations", "_sqlx_migrations_postgres"];

/// PostgreSQL: a table of this name exists already.
const DUPLICATE_TABLE: &str = "42P07";

/// Counts one if `passerelle_system` exists and may read the store's tables.
const MADE: &str = "SELECT count(*) FROM pg_roles WHERE rolname = 'passerelle_system' \
     AND pg_has_role(session_user, oid, 'MEMBER') \
     AND has_table_privilege(oid, to_regclass('vault_check'), 'SELECT') \
     AND has_table_privilege(oid, to_regclass('data_key'), 'SELECT')";

/// Returns whether the store exists. Returns false while another process is creating it, and after
/// a process was killed while creating it: the tables are there, but nobody may read them yet.
pub(crate) async fn is_made(pool: &AnyPool, schema: Option<&Schema>) -> Result<bool, sqlx::Error> {
    let mut conn = connect(pool).await?;
    enter(&mut conn, schema).await?;
    let made: i64 = sqlx::query_scalar(MADE).fetch_one(&mut conn).await?;
    conn.close().await?;
    Ok(made == 1)
}

/// Runs what has not been run, and secures the tables.
pub(crate) async fn run(pool: &AnyPool, schema: Option<&Schema>) -> anyhow::Result<()> {
    let mut conn = connect(pool).await?;
    conn.execute(ALONE).await?;
    make_schema(&mut conn, schema).await?;
    enter(&mut conn, schema).await?;
    conn.execute(BLOB).await?;
    make_roles(&mut conn).await?;
    if is_behind(&mut conn).await? {
        conn.execute(AssertSqlSafe(let_the_owner_in())).await?;
    }
    MIGRATIONS.run(&mut conn).await.map_err(explained)?;
    let mut own: Migrator = sqlx::migrate!("../migrations/postgres");
    own.dangerous_set_table_name(DONE[1]);
    own.run(&mut conn).await?;
    let secure = AssertSqlSafe(format!("CALL secure_tables({})", names()));
    let secured = conn.execute(secure).await;
    secured.context("putting the tables behind row-level security")?;
    Ok(conn.close().await?)
}

/// Makes the schema of `--database-schema` the only one that this connection uses.
async fn enter(conn: &mut AnyConnection, schema: Option<&Schema>) -> Result<(), sqlx::Error> {
    let Some(schema) = schema else {
        return Ok(());
    };
    let enter = format!("SET search_path TO {}", schema.quoted());
    conn.execute(AssertSqlSafe(enter)).await.map(drop)
}

/// Creates the schema of `--database-schema`. If it exists, the user need not be allowed to create one.
async fn make_schema(conn: &mut AnyConnection, schema: Option<&Schema>) -> anyhow::Result<()> {
    let Some(schema) = schema else {
        return Ok(());
    };
    let exists = "SELECT count(*) FROM pg_namespace WHERE nspname = $1";
    let exists = sqlx::query_scalar(exists).bind(schema.name().to_owned());
    let exists: i64 = exists.fetch_one(&mut *conn).await?;
    if exists == 0 {
        let create = format!("CREATE SCHEMA {}", schema.quoted());
        let created = conn.execute(AssertSqlSafe(create)).await;
        created.context("creating the schema of --database-schema (PASSERELLE_DATABASE_SCHEMA)")?;
    }
    Ok(())
}

/// Says what to do if another program's tables are in the way.
fn explained(error: MigrateError) -> anyhow::Error {
    let sql = match &error {
        MigrateError::Execute(sql) | MigrateError::ExecuteMigration(sql, _) => Some(sql),
        _ => None,
    };
    let taken = sql
        .and_then(sqlx::Error::as_database_error)
        .is_some_and(|error| error.code().as_deref() == Some(DUPLICATE_TABLE));
    let error = anyhow::Error::from(error);
    if taken {
        return error.context("the schema has tables of another program: give the gateway a schema of its own with --database-schema (PASSERELLE_DATABASE_SCHEMA)");
    }
    error
}

/// Returns the names of all tables that the migrations make, as they are written there. The schema
/// may have tables of other programs, which must be left alone.
fn tables() -> Vec<&'static str> {
    let texts = MIGRATIONS.iter().map(|migration| migration.sql.as_str());
    let created = texts.flat_map(|text| text.split("CREATE TABLE ").skip(1));
    let word = |rest: &'static str| rest.split([' ', '(', '\n']).next();
    created.filter_map(word).chain(DONE).collect()
}

/// Returns these names as an array of SQL.
fn names() -> String {
    format!("ARRAY['{}']", tables().join("', '"))
}

/// Row-level security applies to the owner too, so a migration that changes rows would silently
/// find none. This switches it off for the owner; `secure_tables` switches it on again.
pub(crate) fn let_the_owner_in() -> String {
    format!(
        "DO $$ DECLARE t regclass; BEGIN \
         FOR t IN SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND relname = ANY ({}) \
         AND relnamespace = current_schema()::regnamespace AND row_security_active(oid) LOOP \
         EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', t); COMMIT; END LOOP; END $$",
        names()
    )
}

/// Returns whether a migration for both engines has not run yet.
async fn is_behind(conn: &mut AnyConnection) -> anyhow::Result<bool> {
    conn.ensure_migrations_table(DONE[0]).await?;
    let applied = conn.list_applied_migrations(DONE[0]).await?;
    let is_new = |version| applied.iter().all(|done| done.version != version);
    Ok(MIGRATIONS.iter().any(|migration| is_new(migration.version)))
}

/// `passerelle_roles` does not inherit. If it did, the policies of both roles would apply to the
/// store's user, who would see every row.
const ROLES: [&str; 5] = [
    "CREATE ROLE passerelle_app NOLOGIN",
    "CREATE ROLE passerelle_system NOLOGIN",
    "CREATE ROLE passerelle_roles NOLOGIN NOINHERIT",
    "GRANT passerelle_app, passerelle_system TO passerelle_roles",
    "GRANT passerelle_roles TO SESSION_USER",
];

/// Creates the roles and allows this user to switch to them, unless that is already so. Roles
/// belong to the whole server, so another process may be creating them at the same time.
async fn make_roles(conn: &mut AnyConnection) -> anyhow::Result<()> {
    if may_act(conn).await.is_ok() {
        return Ok(());
    }
    for statement in ROLES {
        if let Err(error) = conn.execute(statement).await {
            // It may exist already. The check below decides.
            tracing::debug!(%error, statement, "could not create a role");
        }
    }
    let Err(error) = may_act(conn).await else {
        return Ok(());
    };
    let user: String = sqlx::query_scalar("SELECT quote_ident(session_user)")
        .fetch_one(conn)
        .await?;
    let all = ROLES.join("; ").replace("SESSION_USER", &user);
    Err(anyhow::Error::from(error)).with_context(|| {
        format!("the store's user may not create the roles that separate organisations; ask an administrator of the server to run this once: {all};")
    })
}

async fn may_act(conn: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let act = "SET ROLE passerelle_app; SET ROLE passerelle_system; RESET ROLE";
    conn.execute(act).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_those_of_the_migrations() {
        let tables = tables();
        for table in ["organisation", "message", "host", "vault_check", DONE[0]] {
            assert!(tables.contains(&table), "{table}: {tables:?}");
        }
        assert!(tables.iter().all(|table| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            table.bytes().all(plain)
        }));
    }
}
