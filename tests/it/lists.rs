//! Lists with cursors show every row once, even while rows are added.

use anyhow::Result;
use passerelle_tests::{
    Backing, Finished, World,
    api::{Message, Page},
    on_every_shape,
};
use std::collections::BTreeSet;

on_every_shape!(
    paging_shows_every_row_once_while_rows_are_added,
    a_cursor_that_was_changed_is_refused,
    a_list_is_filtered_by_session_status_and_direction,
);

const CONTACT: &str = "+4915199000001";

async fn paging_shows_every_row_once_while_rows_are_added(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("a").await?.id;
    let mut older = BTreeSet::new();
    for n in 0..25 {
        older.insert(world.api.send(&session, CONTACT, &format!("{n}")).await?.id);
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/messages?limit=4".to_owned());
    loop {
        let page: Page<Message> = world.api.get(&path).await?.into(200)?;
        assert!(page.data.len() <= 4);
        seen.extend(page.data.into_iter().map(|message| message.id));
        world.api.send(&session, CONTACT, "meanwhile").await?;
        match page.next_cursor.filter(|_| page.has_more) {
            Some(cursor) => path = format!("/v1/messages?limit=4&cursor={cursor}"),
            None => break,
        }
    }
    let once: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!(once.len(), seen.len(), "a row was shown twice");
    assert!(older.is_subset(&once), "a row was skipped");
    world.finish_with_work_undone().await
}

async fn a_cursor_that_was_changed_is_refused(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    for n in 0..3 {
        world.api.create_session(&format!("{n}")).await?;
    }
    let page: Page<serde_json::Value> = world.api.get("/v1/sessions?limit=1").await?.into(200)?;
    let mut cursor = page.next_cursor.unwrap_or_default().into_bytes();
    assert!(cursor.len() > 10);
    let middle = cursor.len() / 2;
    cursor[middle] = if cursor[middle] == b'A' { b'B' } else { b'A' };
    let cursor = String::from_utf8(cursor)?;
    let refused = world
        .api
        .get(&format!("/v1/sessions?limit=1&cursor={cursor}"))
        .await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (400, "invalid_cursor")
    );
    world.finish().await
}

async fn a_list_is_filtered_by_session_status_and_direction(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let (one, two) = (
        world.api.create_session("1").await?.id,
        world.api.create_session("2").await?.id,
    );
    let first = world.api.send(&one, CONTACT, "first").await?.id;
    world.api.send(&one, CONTACT, "second").await?;
    world.api.send(&two, CONTACT, "third").await?;
    world
        .api
        .act(&format!("/v1/messages/{first}/cancel"))
        .await?
        .into::<serde_json::Value>(200)?;
    for (query, count) in [
        (String::new(), 3),
        (format!("session_id={one}"), 2),
        (format!("session_id={one}&status=canceled"), 1),
        ("status=queued".to_owned(), 2),
        ("direction=outbound".to_owned(), 3),
        ("direction=inbound".to_owned(), 0),
    ] {
        assert_eq!(world.api.messages(&query).await?.len(), count, "{query}");
    }
    world.finish_with_work_undone().await
}
