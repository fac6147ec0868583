//! `cargo xtask bench sweep`: how long the question "who is affected?" takes over a million devices
//! that run 400 releases of 300 components each: the server's own columns and bills. Beside it a
//! look at every device in turn, as a database without an index does it, over the same bills.

use std::time::Instant;

use anyhow::Context as _;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{ModelName, OperatorName};
use lazaret_protocol::time::Timestamp;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::record::Record as _;
use lazaret_server_domain::sweep::table::{Ask, Table};
use lazaret_server_domain::sweep::{Bill, Component, Known, Package, Question, Wanted};

use crate::Options;
use crate::report::Row;

const DEVICES: u32 = 1_000_000;
const DEVICES_QUICK: u32 = 20_000;
const RELEASES: u32 = 400;
const COMPONENTS: u32 = 300;
const SITES: u32 = 50;

/// The goal for a million devices, in milliseconds.
const MS_MAX: f64 = 100.0;

/// Each question is asked so often; the best is shown.
const ROUNDS: usize = 5;

const NOW: Timestamp = Timestamp::from_ms(1_795_000_000_000);

pub(crate) fn run(options: &Options) -> anyhow::Result<Vec<Row>> {
    let count = if options.quick { DEVICES_QUICK } else { DEVICES };
    eprintln!("making {count} devices, {RELEASES} releases of {COMPONENTS} components");
    let bills: Vec<Bill> = (0..RELEASES).map(bill).collect::<anyhow::Result<_>>()?;
    let resident = resident_bytes()?;
    let mut table = Table::default();
    for bill in &bills {
        bill.seen().iter().for_each(|seen| table.take(seen));
    }
    let mut device = template()?;
    let mut runs = Vec::new();
    for number in 0..count {
        change(&mut device, number)?;
        device.seen().iter().for_each(|seen| table.take(seen));
        runs.push(device.running.as_ref().map(|running| running.sha256));
    }
    let each = (resident_bytes()? - resident) / f64::from(count);
    let case = format!("{count} devices");
    let mut rows = vec![Row::new(&case, "memory of the columns", "bytes each", each)];
    for (what, question) in questions()? {
        let ask = Ask { question: &question, label: "site", silent_ms: 86_400_000, now: NOW };
        let mut best = f64::INFINITY;
        let mut affected = 0;
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            affected = table.ask(&ask, None).affected;
            best = best.min(begun.elapsed().as_secs_f64() * 1000.0);
        }
        let (plain, found) = plain(&question, &bills, &runs);
        anyhow::ensure!(found == affected, "{what}: {found} by looking at each, {affected} found");
        let row = Row::new(&case, &format!("{what}: {affected} affected"), "ms", best)
            .peer("looking at each", Some(plain));
        rows.push(if options.quick { row } else { row.at_most(MS_MAX) });
    }
    Ok(rows)
}

fn questions() -> anyhow::Result<Vec<(&'static str, Question)>> {
    let component = |text: &str| anyhow::Ok(Question::Components(vec![Wanted::parse(text)?]));
    let many: Vec<Wanted> =
        (0..50).map(|n| Wanted::parse(&format!("part-{n}<1.{n}"))).collect::<Result<_, _>>()?;
    Ok(vec![
        ("a component in a range", component("pkg:deb/debian/part-7>=1.2,<1.9")?),
        ("an advisory of 50 packages", Question::Components(many)),
        ("a file", Question::File(Sha256Digest::of(b"file 3 of 17"))),
        ("everybody, by model, site and release", Question::Anything),
    ])
}

/// Every device in turn: its bill is looked up and searched, but for verdicts that are known.
fn plain(question: &Question, bills: &[Bill], runs: &[Option<Sha256Digest>]) -> (f64, u64) {
    let begun = Instant::now();
    // A look at a thousandth of the fleet is enough to know what all of it takes.
    let step = if runs.len() > 100_000 { 1000 } else { 1 };
    let is_affected = |image: &Option<Sha256Digest>| match image {
        None => *question == Question::Anything,
        Some(image) => {
            let bill = bills.iter().find(|bill| bill.image == *image);
            question.ask(image, bill).affected == Known::Yes
        }
    };
    let looked = runs.iter().step_by(step).filter(|image| is_affected(image)).count();
    let ms = begun.elapsed().as_secs_f64() * 1000.0;
    // The count itself is exact: one verdict for each release.
    let verdicts: Vec<(Option<Sha256Digest>, bool)> = bills
        .iter()
        .map(|bill| Some(bill.image))
        .chain([None])
        .map(|image| (image, is_affected(&image)))
        .collect();
    let known: std::collections::BTreeMap<_, _> = verdicts.into_iter().collect();
    let affected = runs.iter().filter(|image| known.get(image) == Some(&true)).count();
    std::hint::black_box(looked);
    let times = u32::try_from(step).map_or(1.0, f64::from);
    (ms * times, u64::try_from(affected).unwrap_or(u64::MAX))
}

fn bill(release: u32) -> anyhow::Result<Bill> {
    let component = |part: u32| {
        let version = format!("1.{}.{part}", release % 20);
        let (package, _) = Package::from_purl(&format!("pkg:deb/debian/part-{part}"))?;
        let sha256 = Some(Sha256Digest::of(format!("file {} of {part}", release % 20).as_bytes()));
        anyhow::Ok(Component { package, version: Some(version), sha256 })
    };
    Ok(Bill {
        model: model(release)?,
        version: format!("{release}.0").parse()?,
        image: image(release),
        format: "CycloneDX 1.5".to_owned(),
        file: Sha256Digest::of(b"bill"),
        by: "ana".parse::<OperatorName>()?,
        at: NOW,
        components: (0..COMPONENTS).map(component).collect::<anyhow::Result<_>>()?,
    })
}

fn model(release: u32) -> anyhow::Result<ModelName> {
    Ok(format!("gw{}", release % 10).parse()?)
}

fn image(release: u32) -> Sha256Digest {
    Sha256Digest::of(format!("image {release}").as_bytes())
}

fn template() -> anyhow::Result<Device> {
    // As a record of the store, with what this benchmark looks at filled in for each.
    let record = serde_json::json!({
        "id": "d-0", "serial": "s-0", "model": "gw0",
        "key": serde_json::to_value(lazaret_protocol::key::PublicKey::EcdsaP256(vec![4; 65]))?,
        "certificates": [], "certificate_ends": NOW, "enrolled": NOW, "quarantine": null,
        "poll_sequence": 1, "polls": 1, "last_seen": NOW, "running": null,
        "update_state": "idle", "log_head": null, "order_sequence": 0, "open_orders": [],
        "last_outcome": null,
    });
    serde_json::from_value(record).context("a device as a record")
}

fn change(device: &mut Device, number: u32) -> anyhow::Result<()> {
    let release = number.wrapping_mul(2_654_435_761) % RELEASES;
    device.id = format!("d-{number}").parse()?;
    device.model = model(release)?;
    device.labels = [("site".to_owned(), format!("site-{}", number % SITES))].into_iter().collect();
    device.running = Some(lazaret_protocol::poll::RunningRelease {
        version: format!("{release}.0").parse()?,
        counter: u64::from(release),
        sha256: image(release),
    });
    Ok(())
}

fn resident_bytes() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u32 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(f64::from(kib) * 1024.0)
}
