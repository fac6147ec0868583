//! The agent's own state: journal, slots, configuration. No secret is among them: the key and the
//! claim are files that the configuration only names.

use lazaret_agent_core::slot::Slot;
use serde_json::{Value, json};

use super::{Failure, Scene, cut};

pub(super) fn journal(scene: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    pretty(&serde_json::to_value(scene.journal).map_err(|err| err.to_string())?)
}

pub(super) fn slots(scene: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    let slots: Vec<Value> = Slot::ALL
        .into_iter()
        .map(|slot| {
            let image = scene.slots.image(slot);
            let length = std::fs::metadata(&image).map(|meta| meta.len()).ok();
            json!({
                "slot": slot,
                "health": scene.slots.health(slot),
                "image": image,
                "length": length,
                "content": scene.journal.slots.content(slot),
            })
        })
        .collect();
    pretty(&json!({ "booted": scene.slots.booted(), "slots": slots }))
}

pub(super) fn config(scene: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    Ok(cut(format!("{:#?}\n", scene.config).into_bytes()))
}

fn pretty(value: &Value) -> Result<Vec<u8>, Failure> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|err| err.to_string())?;
    bytes.push(b'\n');
    Ok(cut(bytes))
}
