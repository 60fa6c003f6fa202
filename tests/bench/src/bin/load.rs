//! Load for the accept benchmark, and its reference. `load accept BASE TARGETS CONNECTIONS SECONDS` posts
//! messages over keep-alive connections. `load inserts FROM INTO` inserts FROM's message rows into a copy
//! of the same database, 32 per commit. Each prints one JSON object.

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::json;
use sqlx::{
    Any, AnyConnection, AssertSqlSafe, Column, Connection as _, Executor as _, Row as _,
    TypeInfo as _, ValueRef as _,
    any::{AnyArguments, AnyRow},
    query::Query,
};
use std::{io::Write as _, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

#[derive(Debug, Deserialize)]
struct Target {
    key: String,
    session: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = match arguments.as_slice() {
        ["accept", base, targets, connections, seconds] => {
            let targets = serde_json::from_slice(&std::fs::read(targets)?)?;
            accept(
                base,
                targets,
                connections.parse()?,
                Duration::from_secs(seconds.parse()?),
            )
            .await?
        }
        ["inserts", from, into] => inserts(from, into).await?,
        _ => bail!("load accept BASE TARGETS CONNECTIONS SECONDS | load inserts FROM INTO"),
    };
    writeln!(std::io::stdout(), "{told}")?;
    Ok(())
}

/// The results of one connection.
#[derive(Default)]
struct Seen {
    millis: Vec<f64>,
    refused: u32,
}

async fn accept(
    base: &str,
    targets: Vec<Target>,
    connections: usize,
    time: Duration,
) -> Result<serde_json::Value> {
    let address: Arc<str> = base
        .strip_prefix("http://")
        .context("the address is not http")?
        .into();
    let targets: Arc<[Target]> = targets.into();
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for n in 0..connections {
        tasks.spawn(connection(
            address.clone(),
            targets.clone(),
            n,
            begin + time,
        ));
    }
    let mut all = Seen::default();
    while let Some(seen) = tasks.join_next().await {
        let seen = seen??;
        all.millis.extend(seen.millis);
        all.refused += seen.refused;
    }
    let seconds = begin.elapsed().as_secs_f64();
    all.millis.sort_unstable_by(f64::total_cmp);
    ensure!(!all.millis.is_empty(), "nothing was accepted");
    let at = |percent: usize| all.millis[(all.millis.len() - 1) * percent / 100];
    let count = f64::from(u32::try_from(all.millis.len())?);
    Ok(json!({
        "per_second": count / seconds, "p50_ms": at(50), "p99_ms": at(99), "refused": all.refused,
    }))
}

/// Sends one request after the other until `end`, each for another session.
async fn connection(
    address: Arc<str>,
    targets: Arc<[Target]>,
    first: usize,
    end: Instant,
) -> Result<Seen> {
    let stream = TcpStream::connect(&*address).await?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut seen = Seen::default();
    let mut n = first;
    while Instant::now() < end {
        let target = &targets[n % targets.len()];
        let request = request(&address, target, n);
        let asked = Instant::now();
        stream.get_mut().write_all(request.as_bytes()).await?;
        if answer(&mut stream).await? == 202 {
            seen.millis.push(asked.elapsed().as_secs_f64() * 1000.0);
        } else {
            seen.refused += 1;
        }
        n += 7;
    }
    Ok(seen)
}

fn request(address: &str, target: &Target, n: usize) -> String {
    let body = json!({
        "session_id": target.session,
        "type": "text",
        "to": format!("+491519{:07}", n % 10_000_000),
        "text": { "body": format!("Your order {n} has left the warehouse and arrives tomorrow before noon.") },
    })
    .to_string();
    let (key, length) = (&target.key, body.len());
    format!(
        "POST /v1/messages HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Reads an answer to its end and returns its status.
async fn answer(stream: &mut BufReader<TcpStream>) -> Result<u16> {
    let (mut status, mut length, mut line) = (0, 0, String::new());
    loop {
        line.clear();
        ensure!(
            stream.read_line(&mut line).await? > 0,
            "the gateway closed the connection"
        );
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if let Some(rest) = text.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse()?;
        }
        if let Some(value) = text.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(status)
}

/// A database value.
enum Value {
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
}

/// Inserts every message row of one database into another one that has the same sessions.
async fn inserts(from: &str, into: &str) -> Result<serde_json::Value> {
    sqlx::any::install_default_drivers();
    let mut source = AnyConnection::connect(from).await?;
    let rows = sqlx::query("SELECT * FROM message ORDER BY id LIMIT 30000")
        .fetch_all(&mut source)
        .await?;
    // Every row is a queued message, so a column is null in all rows or in none. PostgreSQL needs a type
    // for each null.
    let first = rows.first().context("there are no messages")?;
    let filled = first.columns().iter().map(Column::ordinal);
    let filled: Vec<usize> = filled
        .filter(|at| first.try_get_raw(*at).is_ok_and(|value| !value.is_null()))
        .collect();
    let names: Vec<_> = filled
        .iter()
        .map(|at| first.column(*at).name().to_owned())
        .collect();
    let places: Vec<_> = (1..=names.len()).map(|n| format!("${n}")).collect();
    let insert = format!(
        "INSERT INTO message ({}) VALUES ({})",
        names.join(", "),
        places.join(", ")
    );
    let values = |row| values(row, &filled);
    let rows = rows.iter().map(values).collect::<Result<Vec<_>>>()?;

    let mut conn = AnyConnection::connect(into).await?;
    if into.starts_with("sqlite:") {
        for pragma in [
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
        ] {
            conn.execute(pragma).await?;
        }
    }
    let count = f64::from(u32::try_from(rows.len())?);
    let begin = Instant::now();
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut tx = conn.begin().await?;
        for row in rows.by_ref().take(32) {
            let statement = sqlx::query(AssertSqlSafe(insert.clone()));
            row.into_iter()
                .fold(statement, bind)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
    }
    Ok(json!({ "per_second": count / begin.elapsed().as_secs_f64(), "rows": count }))
}

fn bind(statement: Query<'_, Any, AnyArguments>, value: Value) -> Query<'_, Any, AnyArguments> {
    match value {
        Value::Text(text) => statement.bind(text),
        Value::Number(number) => statement.bind(number),
        Value::Bytes(bytes) => statement.bind(bytes),
    }
}

fn values(row: &AnyRow, columns: &[usize]) -> Result<Vec<Value>> {
    let value = |at: usize| {
        let kind = row.try_get_raw(at)?.type_info().name().to_owned();
        Ok(match kind.as_str() {
            "TEXT" => Value::Text(row.try_get(at)?),
            "BLOB" => Value::Bytes(row.try_get(at)?),
            _ => Value::Number(row.try_get(at)?),
        })
    };
    columns.iter().copied().map(value).collect()
}
