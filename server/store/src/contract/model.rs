//! Every backend against the model in memory, on random batches.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{Shared, open};
use crate::backend::{Batch, CommitError, Key, Receipt, Scan, Version};
use crate::backends::{BACKENDS, Keeps};

/// One batch, with expectations that are right or wrong by choice: they name a version as "that of
/// now" or "that many commits ago".
#[derive(Debug, Clone)]
struct Step {
    expect: Vec<(u8, Expectation)>,
    put: Vec<(u8, usize)>,
    delete: Vec<u8>,
    append: Vec<usize>,
    restart: bool,
}

#[derive(Debug, Clone)]
enum Expectation {
    True,
    Absent,
    Exactly(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..40_u8;
    let length = prop_oneof![8 => 0..40_usize, 2 => 3000..9000_usize, 1 => 40_000..41_000_usize];
    let expectation = prop_oneof![
        6 => Just(Expectation::True),
        1 => Just(Expectation::Absent),
        1 => (0..30_u64).prop_map(Expectation::Exactly),
    ];
    let step = (
        vec((key.clone(), expectation), 0..3),
        vec((key.clone(), length.clone()), 0..12),
        vec(key, 0..6),
        vec(length, 0..3),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(expect, put, delete, append, restart)| Step {
            expect,
            put,
            delete,
            append,
            restart,
        });
    vec(step, 1..25)
}

/// Keys of very different length, so that pages of the engine split in odd places.
fn key(number: u8) -> Key {
    let mut bytes = vec![b'a' + number % 3; usize::from(number % 4) * 40];
    bytes.push(number);
    Key::from(bytes)
}

fn value(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + length).to_le_bytes()[0]).collect()
}

async fn batch(step: &Step, model: &Shared) -> Batch {
    let mut seen = std::collections::HashSet::new();
    let mut expect = Vec::new();
    for (number, expectation) in &step.expect {
        let key = key(*number);
        if !seen.insert(key.clone()) {
            continue;
        }
        let found = model.read(std::slice::from_ref(&key)).await.unwrap().remove(0);
        let version = match expectation {
            Expectation::True => found.map(|stored| stored.version),
            Expectation::Absent => None,
            Expectation::Exactly(version) => Some(Version(*version)),
        };
        expect.push((key, version));
    }
    seen.clear();
    let put = step.put.iter().map(|(number, length)| (key(*number), value(*length)));
    let put = put.filter(|(key, _)| seen.insert(key.clone())).collect();
    let delete = step.delete.iter().map(|number| key(*number));
    let delete = delete.filter(|key| seen.insert(key.clone())).collect();
    let append = step.append.iter().map(|length| value(*length)).collect();
    Batch { expect, put, delete, append }
}

type Outcome = Result<Receipt, (Key, Option<Version>, Option<Version>)>;

async fn commit(store: &Shared, batch: Batch) -> Outcome {
    store.commit(batch).await.map_err(|error| match error {
        CommitError::Conflict { key, expected, found } => (key, expected, found),
        CommitError::Failed(error) => panic!("{error}"),
    })
}

/// Everything in a store, walked in pages of `limit`.
async fn all(
    store: &Shared,
    limit: usize,
    prefix: &[u8],
) -> (Vec<(Key, u64, Vec<u8>)>, Vec<(u64, Vec<u8>)>) {
    let mut records: Vec<(Key, u64, Vec<u8>)> = Vec::new();
    loop {
        let after = records.last().map(|(key, _, _)| key.clone());
        let page = store.scan(Scan { prefix: prefix.to_vec(), after, limit }).await.unwrap();
        if page.is_empty() {
            break;
        }
        records.extend(page.into_iter().map(|(key, found)| (key, found.version.0, found.bytes)));
    }
    let mut events: Vec<(u64, Vec<u8>)> = Vec::new();
    loop {
        let after = events.last().map_or(0, |(number, _)| *number);
        let page = store.events(after, limit).await.unwrap();
        if page.is_empty() {
            break;
        }
        events.extend(page);
    }
    (records, events)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn every_backend_does_what_the_model_does(
        steps in steps(),
        limit in 1..20_usize,
        prefix in option::of(97..100_u8),
    ) {
        let prefix = prefix.as_slice();
        Runtime::new().unwrap().block_on(async {
            for kind in BACKENDS {
                let dir = tempfile::tempdir().unwrap();
                let model = open(BACKENDS.iter().find(|kind| kind.name == "memory").unwrap(),
                    dir.path()).await;
                let mut store = open(kind, dir.path()).await;
                for step in &steps {
                    let batch = batch(step, &model).await;
                    let expected = commit(&model, batch.clone()).await;
                    prop_assert_eq!(commit(&store, batch).await, expected);
                    if step.restart && kind.keeps == Keeps::OnDisk {
                        drop(store);
                        store = open(kind, dir.path()).await;
                    }
                }
                prop_assert!(all(&store, limit, prefix).await == all(&model, limit, prefix).await);
            }
            Ok(())
        })?;
    }
}
