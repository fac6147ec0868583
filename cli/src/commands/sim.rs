//! `lazaret sim`: what a policy would do to a fleet that does not exist. The decisions are the
//! server's own; the fleet is made up from a seed. Needs no server.

use std::time::Instant;

use clap::ValueEnum;
use lazaret_protocol::time::HOUR_MS;
use lazaret_server_domain::rollout::span::Span;
use lazaret_server_domain_sim::{Fault, Hawkbit, Links, Report, Scenario, run, run_hawkbit};
use serde::Serialize;

use super::{Session, policy};
use crate::output;
use crate::plot::{Point, plot};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The same seed gives the same run. Faults: none, everywhere, revision (one hardware revision:
--revision), slow (confirms, and a probe fails --after), slow-silent (confirms, and falls silent
--after), some (--permille of all devices). What is simplified is in docs/ROLLOUTS.md.

Example:
  lazaret sim --devices 10000 --fault revision --revision 1
  lazaret sim --policy mine.toml --fleet day-and-night --seed 7
  lazaret sim --devices 1000000 --fault slow --after 1h --hawkbit --json")]
pub(crate) struct Args {
    /// The name of a shipped policy, or a file
    #[arg(long, value_name = "FILE", default_value = "normal")]
    policy: String,
    /// Devices of the fleet
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    devices: u32,
    /// What is made up is made up from this
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// What kind of fleet
    #[arg(long, value_enum, default_value = "calm")]
    fleet: FleetKind,
    /// What is wrong with the image
    #[arg(long, value_enum, default_value = "none")]
    fault: FaultKind,
    /// The hardware revision that is hit: 0 is every second device, 1 every fourth, and so on
    #[arg(long, value_name = "N", default_value_t = 1)]
    revision: u8,
    /// How long after it confirmed a device goes bad
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    after: Span,
    /// How many of 1000 devices are hit
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1000))]
    permille: u32,
    /// Time between polls
    #[arg(long, value_name = "SPAN", default_value = "5m")]
    poll: Span,
    /// Whether the server may hold polls back, as agents let it; hawkBit's devices poll plainly
    #[arg(long, value_enum, default_value = "held")]
    links: LinkKind,
    /// Median time from the offer to the word of the new image
    #[arg(long, value_name = "SPAN", default_value = "8m")]
    install: Span,
    /// Days after which the simulation ends
    #[arg(long, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=60))]
    days: u32,
    /// Run hawkBit's rules over the same fleet beside it
    #[arg(long)]
    hawkbit: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FleetKind {
    /// Always on, on good links
    Calm,
    /// One poll in five is lost, and more installs fail
    Flaky,
    /// Flaky, and three devices in ten are switched off at night, all around the world
    DayAndNight,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LinkKind {
    /// An offer, a turn or a halt is heard at once while the link stands
    Held,
    /// They are heard with the next poll
    Plain,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FaultKind {
    None,
    Everywhere,
    Revision,
    Slow,
    SlowSilent,
    Some,
}

#[derive(Serialize)]
struct Answer {
    scenario: Scenario,
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    hawkbit: Option<Report>,
}

pub(super) fn run_args(args: &Args, session: &Session) -> anyhow::Result<()> {
    let scenario = scenario(args);
    let begun = Instant::now();
    let report = run(&scenario, &policy::usable(&args.policy)?)?;
    let hawkbit = match args.hawkbit {
        true => Some(run_hawkbit(&scenario, Hawkbit::default())?),
        false => None,
    };
    let took = begun.elapsed();
    let answer = Answer { scenario, report, hawkbit };
    session.output.show(&answer, in_words)?;
    if session.output.form() == output::Form::Human {
        session.output.remark(&format!("simulated in {:.1} s", took.as_secs_f64()));
    }
    Ok(())
}

fn scenario(args: &Args) -> Scenario {
    let calm = Scenario {
        poll_ms: args.poll.as_ms(),
        install_ms: args.install.as_ms(),
        links: match args.links {
            LinkKind::Held => Links::Held,
            LinkKind::Plain => Links::Plain,
        },
        days: args.days,
        ..Scenario::calm(args.devices, args.seed)
    };
    let fleet = match args.fleet {
        FleetKind::Calm => calm,
        FleetKind::Flaky => calm.flaky(),
        FleetKind::DayAndNight => calm.flaky().day_and_night(),
    };
    fleet.with(match args.fault {
        FaultKind::None => Fault::None,
        FaultKind::Everywhere => Fault::Everywhere,
        FaultKind::Revision => Fault::Revision { revision: args.revision },
        FaultKind::Slow => Fault::Slow { after_ms: args.after.as_ms() },
        FaultKind::SlowSilent => Fault::SlowSilent { after_ms: args.after.as_ms() },
        FaultKind::Some => Fault::Some { permille: args.permille },
    })
}

fn in_words(answer: &Answer) -> String {
    let mut text = one(&answer.report);
    if let Some(hawkbit) = &answer.hawkbit {
        text.push('\n');
        text.push_str(&one(hawkbit));
    }
    text
}

fn one(report: &Report) -> String {
    let of = |count: u64| format!("{count} ({})", output::percent(count, report.devices));
    let when = |ms: Option<u64>| ms.map_or_else(|| "never".to_owned(), hours);
    let opened: Vec<String> = report.opened_ms.iter().map(|ms| when(*ms)).collect();
    let mut facts = vec![
        ("rules", report.rules.clone()),
        ("devices", report.devices.to_string()),
        ("ended", report.state.clone()),
    ];
    facts.extend(report.halt_reason.clone().map(|reason| ("halted", reason)));
    facts.extend(report.halted_ms.map(|ms| ("halted after", hours(ms))));
    facts.extend([
        ("ran a bad image", of(report.harmed)),
        ("done", of(report.done)),
        ("failed", of(report.failed)),
        ("silent", of(report.unknown)),
        ("never touched", of(report.untouched)),
        ("half done after", when(report.half_ms)),
        ("90 % done after", when(report.ninety_ms)),
        ("99 % done after", when(report.ninety_nine_ms)),
        ("groups opened", opened.join(", ")),
        ("decisions", report.decisions.to_string()),
    ]);
    let mut text = output::facts(&facts);
    let curve: Vec<Point> =
        report.curve.iter().map(|point| Point { ms: point.ms, done: point.done }).collect();
    text.push_str(&plot(&curve, report.devices, 0));
    text
}

fn hours(ms: u64) -> String {
    let minutes = ms / (HOUR_MS / 60);
    format!("{} h {:02} min", minutes / 60, minutes % 60)
}
