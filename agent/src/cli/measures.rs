//! `lazaret-agent measures`: what containment asks of this device, applied or looked at, without
//! the network.

use std::process::ExitCode;

use lazaret_protocol::containment::MeasureWord;
use serde_json::json;

use super::{EXIT_FAILED, complain, failed, say};
use crate::config::Config;
use crate::containment::{self, Verdict};
use crate::durable::Durable;

pub(super) fn run(config: &Config, apply_stored: bool, as_json: bool) -> ExitCode {
    let durable = Durable::default();
    let journal = match containment::journal(config) {
        Ok(journal) => journal,
        Err(err) => return failed(&err),
    };
    let verdict = if apply_stored {
        containment::apply(config, &durable, &journal)
    } else {
        containment::look(config, &durable, &journal)
    };
    let level = journal.quarantine.level();
    let failure = verdict.failure();
    let said = if as_json {
        let contained = level.is_some() && failure.is_none();
        say(&json!({
            "level": level,
            "order": verdict.order,
            "measures": verdict.measures,
            "holds": contained,
        })
        .to_string())
    } else {
        say(&in_words(level.map_or("free", |level| level.as_str()), &verdict))
    };
    match failure {
        Some(why) => {
            complain(&format!("not as it should be: {why}"));
            ExitCode::from(EXIT_FAILED)
        }
        None => said,
    }
}

fn in_words(level: &str, verdict: &Verdict) -> String {
    let word = |measure: &MeasureWord| match &measure.failed {
        None => format!("{:<12}as it should be", measure.name),
        Some(why) => format!("{:<12}FAILED: {why}", measure.name),
    };
    let measures: Vec<String> = verdict.measures.iter().map(word).collect();
    let head = format!("{:<12}{level}", "quarantine");
    std::iter::once(head).chain(measures).collect::<Vec<_>>().join("\n")
}
