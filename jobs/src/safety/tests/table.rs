//! The table of the presets, row by row.

use super::*;

#[test]
fn safety_each_preset_has_its_own_hash_and_shows_every_limit() {
    let hashes: Vec<_> = [Preset::Default, Preset::Strict, Preset::Sandbox]
        .map(|preset| policy(preset).hash())
        .into();
    assert!(hashes.iter().all(|hash| hash.len() == 64));
    assert_ne!(hashes[0], hashes[1]);
    assert_ne!(hashes[1], hashes[2]);
    assert_eq!(policy(Preset::Default).hash(), hashes[0]);
    let shown = serde_json::to_value(policy(Preset::Default)).unwrap();
    assert_eq!(shown["preset"], "default");
    assert_eq!(shown["reply"]["floor_ms"], 2000);
    assert_eq!(shown["quiet_hours"]["pass"][0], "order");
}
