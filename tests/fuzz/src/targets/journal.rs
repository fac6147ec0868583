//! The agent's journal: two records, either of which a power cut may have torn.

use lazaret_agent_core::record;

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![vec![0; record::JOURNAL_BYTES], Vec::new()]
}

pub(crate) fn run(input: &[u8]) {
    if let Ok(journal) = record::decode(input) {
        assert!(record::encode(&journal).is_ok(), "what was read can be written");
    }
}
