//! Deltas beside those of the peers: size, and what making and applying them costs in processor
//! time and memory, on pairs of real images from public packages. Ours are made and applied by a
//! program of their own (`lazaret-bench-delta`), which reads as the agent does.

mod pairs;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::Options;
use crate::program::{Cost, is_there, measured};
use crate::report::Row;
use pairs::{PAIRS, Pair};

/// The reference: the crate bsdiff, compressed with zstd-19.
const REFERENCE: &str = "crate bsdiff + zstd-19";

const HDIFFPATCH: &str = "HDiffPatch lzma2";

/// What one way to say a pair came to.
struct Outcome {
    bytes: f64,
    make: Cost,
    apply: Cost,
}

/// A program that makes deltas and applies them. `OLD`, `NEW`, `PATCH` and `OUT` stand for files.
struct Peer {
    name: &'static str,
    make: &'static [&'static str],
    apply: &'static [&'static str],
}

const PEERS: &[Peer] = &[
    Peer {
        name: "Debian bsdiff",
        make: &["bsdiff", "OLD", "NEW", "PATCH"],
        apply: &["bspatch", "OLD", "OUT", "PATCH"],
    },
    Peer {
        name: "zstd --patch-from -19",
        make: &["zstd", "-19", "--long=31", "-T1", "-qf", "--patch-from=OLD", "NEW", "-o", "PATCH"],
        apply: &["zstd", "-d", "--long=31", "-qf", "--patch-from=OLD", "PATCH", "-o", "OUT"],
    },
    Peer {
        name: "xdelta3",
        make: &["xdelta3", "-9", "-f", "-e", "-s", "OLD", "NEW", "PATCH"],
        apply: &["xdelta3", "-f", "-d", "-s", "OLD", "PATCH", "OUT"],
    },
    Peer {
        name: HDIFFPATCH,
        make: &["hdiffz", "-f", "-m-6", "-SD", "-c-lzma2-9-16m", "OLD", "NEW", "PATCH"],
        apply: &["hpatchz", "-f", "-s-256k", "OLD", "PATCH", "OUT"],
    },
];

/// Images of more bytes are not given to the crate bsdiff, which takes seventeen times as many.
const CRATE_BYTES_MAX: u64 = 48 << 20;

/// GNU time counts hundredths of a second: of less than so many seconds nothing can be said.
const SECONDS_MIN: f64 = 0.03;

/// Applying is short: the least of so many times counts.
const APPLY_TIMES: usize = 3;

/// Measures every pair with everything that is installed. A pair that cannot be fetched is said,
/// and does not end the run.
///
/// # Errors
/// No pair is meant or can be had, or a program of ours fails or makes another image.
pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Row>> {
    if let (Some(base), Some(result)) = (&options.base, &options.result) {
        let bytes = std::fs::metadata(base).with_context(|| format!("{}", base.display()))?.len();
        return measure(&Pair::given(bytes <= CRATE_BYTES_MAX), base, result);
    }
    let wanted = |pair: &&Pair| {
        let only = options.only.as_deref().is_none_or(|text| pair.name.contains(text));
        only && (!options.quick || pair.is_small)
    };
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    for pair in PAIRS.iter().filter(wanted) {
        eprintln!("{}: fetching", pair.name);
        match pair.fetch() {
            Ok((old, new)) => rows.extend(measure(pair, &old, &new)?),
            Err(err) => {
                eprintln!("{}: NOT MEASURED: {err:#}", pair.name);
                missing.push(pair.name);
            }
        }
    }
    if rows.is_empty() && missing.is_empty() {
        let names: Vec<&str> = PAIRS.iter().map(|pair| pair.name).collect();
        bail!("expected --only to name one of {}", names.join(", "));
    }
    ensure!(!rows.is_empty(), "no pair can be fetched: {}", missing.join(", "));
    rows.extend(
        missing.iter().map(|name| {
            Row::new(name, "not measured, its packages cannot be fetched", "bytes", 0.0)
        }),
    );
    Ok(rows)
}

fn measure(pair: &Pair, old: &Path, new: &Path) -> anyhow::Result<Vec<Row>> {
    let ours = beside("lazaret-bench-delta")?;
    let ours = ours.to_str().context("a path in UTF-8")?;
    eprintln!("{}: ours", pair.name);
    let made = outcome(
        old,
        new,
        &[ours, "make", "OLD", "NEW", "PATCH"],
        &[ours, "apply", "OLD", "PATCH", "OUT"],
    )?;
    let reference = [ours, "reference-make", "OLD", "NEW", "PATCH"];
    let again = [ours, "reference-apply", "OLD", "PATCH", "OUT"];
    // The crate takes seventeen times the image, and hours where much repeats.
    let reference = if pair.is_for_the_crate {
        eprintln!("{}: {REFERENCE}", pair.name);
        Some(outcome(old, new, &reference, &again)?)
    } else {
        None
    };
    let mut peers = vec![(REFERENCE, reference)];
    for peer in PEERS {
        let installed = peer.make.first().is_some_and(|program| is_there(program));
        if installed {
            eprintln!("{}: {}", pair.name, peer.name);
        }
        let made = installed.then(|| outcome(old, new, peer.make, peer.apply)).transpose();
        // A peer that gives up on a pair is told so, and does not end the run.
        let made = made.unwrap_or_else(|err| {
            eprintln!("{}: {}: {err:#}", pair.name, peer.name);
            None
        });
        peers.push((peer.name, made));
    }
    Ok(rows(pair, &made, &peers))
}

fn rows(pair: &Pair, ours: &Outcome, peers: &[(&str, Option<Outcome>)]) -> Vec<Row> {
    type Figure = fn(&Outcome) -> f64;
    let row = |metric: &str, unit: &str, figure: Figure| {
        let row = Row::new(pair.name, metric, unit, figure(ours));
        peers.iter().fold(row, |row, (name, it)| row.peer(name, it.as_ref().map(figure)))
    };
    let applied = row("apply, processor", "s", |it| it.apply.cpu_seconds);
    let is_measurable =
        applied.peers.get(HDIFFPATCH).copied().flatten().unwrap_or(1.0) >= SECONDS_MIN;
    vec![
        row("size", "bytes", |it| it.bytes).at_most_of(pair.size_goal, HDIFFPATCH),
        row("make, processor", "s", |it| it.make.cpu_seconds).at_most_of(0.5, REFERENCE),
        row("make, memory", "bytes", |it| it.make.peak_bytes).at_most_of(0.6, REFERENCE),
        if is_measurable { applied.at_most_of(2.5, HDIFFPATCH) } else { applied },
        row("apply, memory", "bytes", |it| it.apply.peak_bytes).at_most(8_388_608.0),
    ]
}

/// Makes and applies once, and checks what comes out.
fn outcome(old: &Path, new: &Path, make: &[&str], apply: &[&str]) -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let (patch, out) = (folder.path().join("patch"), folder.path().join("out"));
    let filled = |words: &[&str]| {
        let fill = |word: &&str| {
            let files = [("OLD", old), ("NEW", new), ("PATCH", &*patch), ("OUT", &*out)];
            files.into_iter().fold((*word).to_owned(), |word, (name, path)| {
                word.replace(name, &path.to_string_lossy())
            })
        };
        let words: Vec<String> = words.iter().map(fill).collect();
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    };
    let make = measured(&filled(make))?;
    let mut apply_costs = Vec::new();
    for _ in 0..APPLY_TIMES {
        apply_costs.push(measured(&filled(apply))?);
        // A long one says enough at once.
        if apply_costs.iter().any(|cost: &Cost| cost.cpu_seconds > 1.0) {
            break;
        }
    }
    let least = |figure: fn(&Cost) -> f64| apply_costs.iter().map(figure).fold(f64::MAX, f64::min);
    let apply = Cost {
        cpu_seconds: least(|cost| cost.cpu_seconds),
        // The most: a promise of memory is to hold each time.
        peak_bytes: apply_costs.iter().map(|cost| cost.peak_bytes).fold(0.0, f64::max),
    };
    let same = Command::new("cmp").arg("-s").args([new, &out]).status()?;
    ensure!(same.success(), "another image came out");
    let bytes = u32::try_from(std::fs::metadata(&patch)?.len())?;
    Ok(Outcome { bytes: bytes.into(), make, apply })
}

fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    Ok(this.parent().context("this program is in no folder")?.join(name))
}
