//! The migrations of both engines.

use sqlx::migrate::Migrator;

/// The migrations for both engines. PostgreSQL has more of its own, in `postgres/migrate.rs`.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");
