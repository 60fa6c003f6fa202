//! What must not be left lying about: signed links in a log, files that others may read.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, Setup, World, on_both_stores, on_every_shape};
use serde_json::Value;
use std::{os::unix::fs::PermissionsExt as _, path::Path};

on_every_shape!(erase_the_signatures_of_links_from_logs_and_errors);

mod files {
    use super::*;

    on_both_stores!(erase_the_rights_of_others_from_every_file);
}

const PAPER: &[u8] = b"%PDF-1.4\n% an invoice\n";

async fn erase_the_signatures_of_links_from_logs_and_errors(backing: Backing) -> Result<Finished> {
    let setup = Setup {
        log: "trace".to_owned(),
        ..Setup::quick()
    };
    let world = World::with(backing, setup).await?;
    let file: Value = world.api.upload("document", PAPER).await?.into(201)?;
    let link = file["url"].as_str().context("a link")?;
    let (_, signature) = link.rsplit_once('.').context("a signature")?;
    assert!(signature.len() > 20, "{link}");
    let opened = world.api.open(link).send().await?;
    assert_eq!(opened.bytes().await?, PAPER);
    // A link that was typed or passed on with a mistake is as secret.
    let typed = link.replace("/media/", "/gateway/media/");
    let cut = link.replace("/media/", "/media//");
    for wrong in [format!("{link}x"), format!("{link}/"), typed, cut] {
        let refused = world.api.open(&wrong).send().await?;
        assert_eq!(refused.status().as_u16(), 404, "{wrong}");
        let body = refused.text().await?;
        assert!(!body.contains(signature), "an error repeats it: {body}");
    }
    let id = file["id"].as_str().context("an id")?;
    world
        .api
        .delete(&format!("/v1/media/{id}"))
        .await?
        .into::<Value>(204)
        .ok();
    let gone = world.api.open(link).send().await?;
    assert_eq!(gone.status().as_u16(), 404);
    let log = world.gateway.logs()?;
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("[signature]"), "the requests are in the log");
    let line = log.lines().find(|line| line.contains(signature));
    assert_eq!(line, None, "a signature is in the log");
    world.finish().await
}

async fn erase_the_rights_of_others_from_every_file(backing: Backing) -> Result<Finished> {
    let setup = Setup {
        umask: Some("000"),
        ..Setup::quick()
    };
    let world = World::with(backing, setup).await?;
    world
        .api
        .upload("document", PAPER)
        .await?
        .into::<Value>(201)?;
    let (mut files, mut folders) = (0, 0);
    let mut left = vec![world.folder().to_owned()];
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if !is_of_the_gateway(&path, world.folder()) {
                continue;
            }
            let mode = path.metadata()?.permissions().mode() & 0o777;
            if path.is_dir() {
                assert_eq!(mode, 0o700, "{}", path.display());
                folders += 1;
                left.push(path);
            } else {
                assert_eq!(mode, 0o600, "{}", path.display());
                files += 1;
            }
        }
    }
    // At least the file's bytes and what announces the gateway; on SQLite the database with its log.
    let least = if backing == Backing::Sqlite { 4 } else { 2 };
    assert!(
        files >= least && folders >= 2,
        "{files} files, {folders} folders"
    );
    world.finish().await
}

/// The test itself writes logs, and what the simulator keeps.
fn is_of_the_gateway(path: &Path, folder: &Path) -> bool {
    let name = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
    ["media", "passerelle.db", "announce.json"]
        .iter()
        .any(|own| name.starts_with(own))
}
