//! What every benchmark hands in, and the three ways to show it: a table, bars, and JSON.

use std::collections::BTreeMap;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use serde::Serialize;

/// The length of the longest bar, in characters.
const BAR: f64 = 46.0;

/// One figure, beside the same figure of the peers, from the same run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// What was done, and to what.
    pub(crate) case: String,
    /// What was measured.
    pub(crate) metric: String,
    /// Its unit.
    pub(crate) unit: String,
    /// Our figure.
    pub(crate) ours: f64,
    /// The peers' figures by their names. A peer that is not there has `None`.
    pub(crate) peers: BTreeMap<String, Option<f64>>,
    /// What is to be reached, in words, such as `at most 0.60 of hdiffpatch`.
    pub(crate) goal: Option<String>,
    /// Whether it is reached; nothing where there is no goal, or nothing to hold ours against.
    pub(crate) ok: Option<bool>,
}

impl Row {
    /// A figure without peers and without a goal.
    pub(crate) fn new(case: &str, metric: &str, unit: &str, ours: f64) -> Row {
        Row {
            case: case.into(),
            metric: metric.into(),
            unit: unit.into(),
            ours,
            peers: BTreeMap::new(),
            goal: None,
            ok: None,
        }
    }

    /// Sets a peer's figure beside ours, or says that the peer is not there.
    pub(crate) fn peer(mut self, name: &str, figure: Option<f64>) -> Row {
        self.peers.insert(name.into(), figure);
        self
    }

    /// Our figure is to be at most `ratio` of that peer's.
    pub(crate) fn at_most_of(mut self, ratio: f64, peer: &str) -> Row {
        self.goal = Some(format!("at most {ratio:.2} of {peer}"));
        self.ok = self.peers.get(peer).copied().flatten().map(|figure| self.ours <= ratio * figure);
        self
    }

    /// Our figure is to be at most this.
    pub(crate) fn at_most(mut self, limit: f64) -> Row {
        self.goal = Some(format!("at most {}", number(limit)));
        self.ok = Some(self.ours <= limit);
        self
    }
}

/// One JSON object with all rows.
pub(crate) fn json(name: &str, rows: &[Row]) -> String {
    serde_json::json!({ "name": name, "rows": rows }).to_string()
}

/// The rows as a table, the peers' figures with ours as a ratio of each.
pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header(["case", "metric", "ours", "peers (ours is x of them)", "goal", "ok"]);
    for row in rows {
        let peers: Vec<String> = row.peers.iter().map(|(name, it)| peer(row, name, *it)).collect();
        table.add_row([
            row.case.clone(),
            row.metric.clone(),
            format!("{} {}", number(row.ours), row.unit),
            peers.join("\n"),
            row.goal.clone().unwrap_or_default(),
            row.ok.map_or("", |ok| if ok { "yes" } else { "NO" }).to_owned(),
        ]);
    }
    table
}

fn peer(row: &Row, name: &str, figure: Option<f64>) -> String {
    match figure {
        None => format!("{name}: not installed here"),
        Some(0.0) => format!("{name} 0"),
        Some(figure) => format!("{name} {} ({:.2}x)", number(figure), row.ours / figure),
    }
}

/// Bars for every row that has peers, each row to its own scale.
pub(crate) fn chart(rows: &[Row]) -> String {
    let mut drawn = String::new();
    for row in rows.iter().filter(|row| row.peers.values().any(Option::is_some)) {
        let peers = row.peers.iter().filter_map(|(name, it)| it.map(|it| (name.as_str(), it)));
        let bars: Vec<(&str, f64)> = std::iter::once(("ours", row.ours)).chain(peers).collect();
        let longest = bars.iter().map(|(_, figure)| *figure).fold(0.0, f64::max);
        drawn.push_str(&format!("\n{}, {} ({})\n", row.case, row.metric, row.unit));
        for (name, figure) in bars {
            let length = if longest > 0.0 { (figure / longest * BAR).ceil() } else { 0.0 };
            let bar: String =
                (0..100).map(f64::from).take_while(|at| *at < length).map(|_| '#').collect();
            drawn.push_str(&format!("  {name:24} {bar} {}\n", number(figure)));
        }
    }
    drawn
}

/// A figure as people read it: whole from a thousand on, three places below ten.
fn number(figure: f64) -> String {
    if figure.fract() == 0.0 || figure.abs() >= 1000.0 {
        format!("{figure:.0}")
    } else if figure.abs() >= 10.0 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.3}")
    }
}
