//! Lists whose queries are long end with a code. Keys are looked up, and others are served, meanwhile.

use anyhow::Result;
use futures_util::future::join_all;
use passerelle_tests::{Api, Backing, Finished, World, on_both_stores, soon};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;
use tokio::time::Instant;

use super::ORDINARY;

on_both_stores!(a_query_that_is_long_ends_and_holds_up_no_other);

const ENDPOINTS: &str = "/v1/webhook-endpoints";
/// A view that counts for a long time before it shows its first row.
const SLOW: &str = "CREATE VIEW endpoint AS SELECT * FROM endpoint_kept WHERE 0 < (\
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 80000000) SELECT count(*) FROM n)";

/// Makes every query of endpoints a long one, for as long as the result is held.
async fn slow(world: &World) -> Result<Option<PgConnection>> {
    let database = &world.gateway.database;
    if database.backing == Backing::Sqlite {
        let rename = "ALTER TABLE endpoint RENAME TO endpoint_kept";
        database.execute(rename).await?;
        database.execute(SLOW).await?;
        return Ok(None);
    }
    let mut conn = PgConnection::connect(&database.url).await?;
    for statement in ["BEGIN", "LOCK TABLE endpoint IN ACCESS EXCLUSIVE MODE"] {
        sqlx::query(statement).execute(&mut conn).await?;
    }
    Ok(Some(conn))
}

async fn timed(api: &Api, path: &str) -> Result<(u16, String, Duration)> {
    let began = Instant::now();
    let reply = api.get(path).await?;
    let code = reply.body["code"].as_str().unwrap_or_default().to_owned();
    Ok((reply.status.as_u16(), code, began.elapsed()))
}

async fn a_query_that_is_long_ends_and_holds_up_no_other(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let noisy = world.admin.tenant("Noisy").await?;
    noisy.create_endpoint("http://127.0.0.1:9/", &[]).await?;
    let held = slow(&world).await?;
    // More than there are connections for queries on SQLite.
    let long = join_all((0..5).map(|_| timed(&noisy, ENDPOINTS)));
    let others = async {
        for _ in 0..30 {
            let (status, _, took) = timed(&world.api, "/v1/sessions").await?;
            assert_eq!(status, 200);
            assert!(took < ORDINARY, "{took:?}");
            let (status, _, took) = timed(&noisy, "/v1/messages").await?;
            // The noisy one waits for its own lists.
            assert!(status == 200 || status == 503, "{status}");
            assert!(took < 3 * ORDINARY, "{took:?}");
        }
        world.api.create_session("one more").await?;
        anyhow::Ok(())
    };
    let write = async {
        // On SQLite there is only a view now.
        if held.is_some() {
            let began = Instant::now();
            let endpoint = json!({ "url": "http://127.0.0.1:9/" });
            let reply = noisy.post(ENDPOINTS, &endpoint).await?;
            assert_eq!(
                (reply.status.as_u16(), reply.code()),
                (503, "query_timeout")
            );
            assert!(began.elapsed() < 3 * ORDINARY, "{:?}", began.elapsed());
        }
        anyhow::Ok(())
    };
    let (long, others, write) = tokio::join!(long, others, write);
    others?;
    write?;
    for ended in long {
        let (status, code, took) = ended?;
        assert_eq!((status, code.as_str()), (503, "query_timeout"));
        assert!(took < 3 * ORDINARY, "{took:?}");
    }
    let on_postgres = held.is_some();
    drop(held);
    if on_postgres {
        let listed = soon("the lock is gone", async || {
            let reply = noisy.get(ENDPOINTS).await?;
            Ok((reply.status.as_u16() == 200).then_some(reply.body))
        });
        let endpoints = listed.await?["data"].as_array().map(Vec::len);
        assert_eq!(endpoints, Some(1), "nothing was changed");
    }
    world.finish_with_work_undone().await
}
