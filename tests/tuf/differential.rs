//! Our client, tough and python-tuf read the same generated repositories. Where they differ, the
//! specification decides: every difference there is has a reason below, and what has no reason is a
//! failure.

use std::path::Path;
use std::process::Command;

use lazaret_protocol::time::Timestamp;
use lazaret_protocol_tuf::{Floors, Limits, Machine, Refresh, Stored, Supplied, TufError, Want};
use lazaret_tests::python_tuf;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::Value;
use tough::schema::Targets;
use tough::{RepositoryLoader, TargetName};
use url::Url;

use crate::generated::{Made, PATHS, Recipe, Scope, Twist, make, recipes};

/// Enough that every twist comes up for every role.
const REPOSITORIES: usize = 400;

/// What a client says of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Target { length: u64, sha256: String },
    NotFound,
    Refused,
}

/// Why tough may say something else than the specification does.
fn tough_differs(recipe: &Recipe) -> Option<&'static str> {
    match recipe.twist {
        Twist::Nothing | Twist::TimestampExpired | Twist::SnapshotUnsigned => {}
        Twist::RootSkipped | Twist::SecondRoot | Twist::OneWrongHashOfTwo => {}
        Twist::Sha512Only => return Some("a target must have a sha256 (4.5: any hash)"),
        Twist::KeyIdThatIsNoHash => return Some("a key id must be the hash of its key"),
        Twist::StrangeKeyBeside => return Some("one key of an unknown kind spoils the whole file"),
        Twist::UnknownFieldInDelegation => {
            return Some("unknown fields of delegations are lost before the signature is checked");
        }
        Twist::UnknownField(_) => {}
        Twist::Expired(0) | Twist::Unsigned(0) | Twist::Garbage(0) | Twist::Missing(0) => {}
        Twist::SignedTwiceByOne(0) | Twist::AnotherVersionThanListed(0) => {}
        Twist::AnotherFileThanListed(0) | Twist::UnlistedInSnapshot(0) => {}
        _ => return Some("all delegated roles are loaded, and a bad one refuses the repository"),
    }
    let outside = |(role, path): &(usize, usize)| outside(recipe, *role, PATHS[*path], 4);
    if recipe.targets.iter().any(outside) {
        return Some("a target outside the paths of its role, or of one above, refuses all");
    }
    let crosses = recipe.delegations.iter().any(|d| {
        PATHS.iter().any(|path| {
            scope_holds(&d.scope, path, Crossing::Never)
                != scope_holds(&d.scope, path, Crossing::Always)
        })
    });
    if crosses {
        return Some("wildcards cross path separators (4.5: they do not)");
    }
    let delegators = |to: usize| recipe.delegations.iter().filter(|d| d.to == to).count();
    if (0..4).any(|role| delegators(role) > 1) {
        return Some("a role with two delegators, or in a cycle, is loaded once for both");
    }
    None
}

/// Why python-tuf may say something else than the specification does.
fn python_differs(recipe: &Recipe) -> Option<&'static str> {
    match recipe.twist {
        Twist::StrangeKeyBeside => Some("one key of an unknown kind spoils the whole file"),
        _ => None,
    }
}

/// Whether some chain of delegations to a role has a link that does not trust it with a path.
fn outside(recipe: &Recipe, role: usize, path: &str, links: usize) -> bool {
    links > 0
        && recipe.delegations.iter().filter(|d| d.to + 1 == role).any(|d| {
            !scope_holds(&d.scope, path, Crossing::Never)
                || outside(recipe, d.from, path, links - 1)
        })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crossing {
    Never,
    Always,
}

fn scope_holds(scope: &Scope, path: &str, crossing: Crossing) -> bool {
    match scope {
        Scope::Paths(patterns) => {
            patterns.iter().any(|pattern| glob(pattern.as_bytes(), path.as_bytes(), crossing))
        }
        Scope::Prefixes(prefixes) => {
            let hash = lazaret_protocol::digest::Sha256Digest::of(path.as_bytes()).to_string();
            prefixes.iter().any(|prefix| hash.starts_with(prefix))
        }
    }
}

/// The shell's patterns, as plainly as can be: the clients' own matchers are what is tried.
fn glob(pattern: &[u8], path: &[u8], crossing: Crossing) -> bool {
    let passes = |byte: u8| byte != b'/' || crossing == Crossing::Always;
    match (pattern, path) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            glob(rest, path, crossing)
                || matches!(
                    path,
                    [byte, after @ ..] if passes(*byte) && glob(pattern, after, crossing)
                )
        }
        ([b'?', rest @ ..], [byte, after @ ..]) => passes(*byte) && glob(rest, after, crossing),
        ([b'[', b'!', only, b']', rest @ ..], [byte, after @ ..]) => {
            passes(*byte) && byte != only && glob(rest, after, crossing)
        }
        ([b'[', low, b'-', high, b']', rest @ ..], [byte, after @ ..]) => {
            (low..=high).contains(&byte) && glob(rest, after, crossing)
        }
        ([one, rest @ ..], [byte, after @ ..]) => one == byte && glob(rest, after, crossing),
        _ => false,
    }
}

#[test]
fn three_clients_agree_on_generated_repositories_or_differ_for_a_reason() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut runner = TestRunner::deterministic();
    let mut recipes_made = Vec::new();
    for number in 0..REPOSITORIES {
        let recipe = recipes().new_tree(&mut runner).map_err(anyhow::Error::msg)?.current();
        let made = make(&recipe);
        write(&folder.path().join(number.to_string()), &made)?;
        recipes_made.push((recipe, made));
    }
    let python = python_says(folder.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut tally = Tally::default();
    let mut unexplained = Vec::new();
    for (number, (recipe, made)) in recipes_made.iter().enumerate() {
        let ours = we_say(made);
        let tough = runtime.block_on(tough_says(&folder.path().join(number.to_string()), made));
        tally.count(&ours);
        if python_differs(recipe).is_none() && python[number] != ours {
            unexplained.push(format!("python-tuf {:?}, ours {ours:?}: {recipe:?}", python[number]));
        }
        match tough_differs(recipe) {
            None if tough != ours => {
                unexplained.push(format!("tough {tough:?}, ours {ours:?}: {recipe:?}"));
            }
            None => tally.tough_compared += 1,
            Some(_) => tally.tough_differs += usize::from(tough != ours),
        }
    }
    assert_eq!(unexplained, Vec::<String>::new());
    // A generator that makes only one kind of repository would compare nothing.
    assert!(tally.found > 100 && tally.not_found > 100 && tally.refused > 100, "{tally:?}");
    assert!(tally.tough_compared > 100 && tally.tough_differs > 50, "{tally:?}");
    Ok(())
}

#[derive(Debug, Default)]
struct Tally {
    found: usize,
    not_found: usize,
    refused: usize,
    tough_compared: usize,
    tough_differs: usize,
}

impl Tally {
    fn count(&mut self, verdicts: &[Verdict]) {
        for verdict in verdicts {
            match verdict {
                Verdict::Target { .. } => self.found += 1,
                Verdict::NotFound => self.not_found += 1,
                Verdict::Refused => self.refused += 1,
            }
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a scratch folder of a test")]
fn write(folder: &Path, made: &Made) -> anyhow::Result<()> {
    let metadata = folder.join("metadata");
    std::fs::create_dir_all(&metadata)?;
    std::fs::write(folder.join("root.json"), &made.root)?;
    for (name, bytes) in &made.files {
        std::fs::write(metadata.join(name), bytes)?;
    }
    Ok(())
}

fn we_say(made: &Made) -> Vec<Verdict> {
    let now = Timestamp::parse_rfc3339("2026-11-01T00:00:00Z").unwrap();
    let begun = Refresh::begin(
        Stored::factory(made.root.clone()),
        Floors::default(),
        now,
        Limits::default(),
    );
    let refreshed = begun.and_then(|mut refresh| {
        drive(&mut refresh, made)?;
        refresh.finish()
    });
    let Ok(mut trusted) = refreshed else { return vec![Verdict::Refused; PATHS.len()] };
    let mut say = |path: &str| {
        let mut search = trusted.find(path);
        let outcome = drive(&mut search, made).and_then(|()| search.finish());
        match outcome {
            Ok(target) => Verdict::Target {
                length: target.length,
                sha256: target.hashes.sha256.map(hex::encode).unwrap_or_default(),
            },
            Err(TufError::TargetNotFound { .. }) => Verdict::NotFound,
            Err(_) => Verdict::Refused,
        }
    };
    PATHS.iter().map(|path| say(path)).collect()
}

fn drive(machine: &mut impl Machine, made: &Made) -> Result<(), TufError> {
    while let Want::File(wanted) = machine.next() {
        let file = made.files.get(&wanted.name);
        machine.supply(file.cloned().map_or(Supplied::Missing, Supplied::Bytes))?;
    }
    Ok(())
}

async fn tough_says(folder: &Path, made: &Made) -> Vec<Verdict> {
    let base = |name: &str| Url::from_directory_path(folder.join(name)).unwrap();
    let loader = RepositoryLoader::new(&made.root, base("metadata"), base("targets"));
    let Ok(repository) = loader.load().await else { return vec![Verdict::Refused; PATHS.len()] };
    let targets: &Targets = &repository.targets().signed;
    let say = |path: &&str| {
        let name = TargetName::new(*path).unwrap();
        match targets.find_target(&name, false) {
            Ok(target) => Verdict::Target {
                length: target.length,
                sha256: hex::encode(target.hashes.sha256.as_ref() as &[u8]),
            },
            Err(_) => Verdict::NotFound,
        }
    };
    PATHS.iter().map(say).collect()
}

fn python_says(folder: &Path) -> anyhow::Result<Vec<Vec<Verdict>>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuf/python/differential.py");
    let mut command = Command::new(python_tuf::python()?);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script);
    command.arg(serde_json::to_string(&PATHS)?);
    command.args((0..REPOSITORIES).map(|number| folder.join(number.to_string())));
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "python-tuf cannot be asked: {errors}");
    let said = String::from_utf8(output.stdout)?;
    said.lines()
        .map(|line| Ok(serde_json::from_str::<Vec<Value>>(line)?.iter().map(verdict).collect()))
        .collect()
}

fn verdict(said: &Value) -> Verdict {
    match (said.as_str(), said.as_array().map(Vec::as_slice)) {
        (_, Some([length, sha256])) => Verdict::Target {
            length: length.as_u64().unwrap_or(0),
            sha256: sha256.as_str().unwrap_or_default().into(),
        },
        (Some("not found"), _) => Verdict::NotFound,
        _ => Verdict::Refused,
    }
}
