//! Downloads of a whole file or a range, with or without a pass, also of expired and missing files.

use serde_json::json;

use super::{Client, body, token};
use crate::sim::Sim;

#[tokio::test]
async fn a_part_can_be_asked_for() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let path = client.upload(&body(1000)).await;
    let url = format!("{}{path}", client.base);
    let get = |range: &'static str| client.http.get(&url).header("range", range).send();
    let part = get("bytes=10-19").await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], "bytes 10-19/1000");
    assert_eq!(part.bytes().await.unwrap(), body(1000)[10..20]);
    let rest = get("bytes=990-").await.unwrap();
    assert_eq!(rest.bytes().await.unwrap(), body(1000)[990..]);
    assert_eq!(get("bytes=1000-").await.unwrap().status(), 416);
}

#[tokio::test]
async fn a_download_needs_no_pass_but_no_wrong_one_either() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let path = client.upload(b"sealed").await;
    let (token, pass) = (token(b"sealed"), &client.pass);
    // Clients write it this way, with a second question mark.
    assert_eq!(
        client
            .status(&format!("{path}?auth={pass}&token={token}"))
            .await,
        200
    );
    assert_eq!(client.status(&format!("{path}&hash=x")).await, 200);
    assert_eq!(
        client
            .status(&format!("{path}?auth=stale&token={token}"))
            .await,
        401
    );
    let other = self::token(b"other");
    assert_eq!(client.status(&format!("{path}?token={other}")).await, 403);
    assert_eq!(client.status("/v/t62.7118-24/none.enc").await, 404);
}

#[tokio::test]
async fn an_object_can_expire_and_be_spoiled() {
    let sim = Sim::start();
    let client = Client::new(&sim).await;
    let path = client.upload(b"sealed").await;
    sim.post("/media", json!({"direct_path": path, "corrupt": true}))
        .await;
    let spoiled = client.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(&*spoiled, b"seamed", "a bit of the middle byte");
    for status in [404, 410] {
        sim.post("/media", json!({"direct_path": path, "expire": status}))
            .await;
        assert_eq!(client.status(&path).await, status);
    }
    let missing = json!({"direct_path": "/v/none", "expire": 404});
    assert_eq!(sim.call("POST", "/media", Some(missing)).await.0, 404);
    let odd = json!({"direct_path": path, "expire": 200});
    assert_eq!(sim.call("POST", "/media", Some(odd)).await.0, 400);
}
