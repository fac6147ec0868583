//! The percentage of the fleet over time, drawn in characters.

use std::fmt::Write as _;

/// Columns and rows of the drawing.
const WIDTH: u64 = 64;
const HEIGHT: u64 = 10;
/// Parts of a row that can be told apart.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Devices that were done so many milliseconds after the beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) ms: u64,
    pub(crate) done: u64,
}

/// Draws devices done, of `devices`, from the beginning to `end_ms`, or to the last change where
/// that is later.
pub(crate) fn plot(curve: &[Point], devices: u64, end_ms: u64) -> String {
    let end = curve.last().map_or(0, |point| point.ms).max(end_ms).max(1);
    let heights: Vec<u64> = (1..=WIDTH)
        .map(|column| {
            let until = end * column / WIDTH;
            let done = curve.iter().rev().find(|point| point.ms <= until);
            let done = done.map_or(0, |point| point.done);
            // Something is never drawn as nothing.
            (done * HEIGHT * 8 / devices.max(1)).max(u64::from(done > 0))
        })
        .collect();
    let mut text = String::from("\npercent done\n");
    for row in (0..HEIGHT).rev() {
        let label = if row == HEIGHT - 1 {
            "100"
        } else if row == 0 {
            "0"
        } else {
            ""
        };
        let line: String = heights
            .iter()
            .map(|height| height.saturating_sub(row * 8).min(8))
            .map(|part| usize::try_from(part).ok().and_then(|at| EIGHTHS.get(at)).unwrap_or(&' '))
            .collect();
        let _ = writeln!(text, "{label:>4} │{line}");
    }
    let half = hours(end / 2);
    let _ = writeln!(text, "     └{}", "─".repeat(usize::try_from(WIDTH).unwrap_or(0)));
    let _ = writeln!(text, "      0{half:^62}{}", hours(end));
    text
}

/// A span in the unit that says something of it.
fn hours(ms: u64) -> String {
    match ms {
        0..600_000 => format!("{} s", ms / 1000),
        600_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{}.{} h", ms / 3_600_000, ms % 3_600_000 / 360_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_drawn_from_nothing_to_everybody() {
        let curve =
            [Point { ms: 0, done: 0 }, Point { ms: 1000, done: 50 }, Point { ms: 2000, done: 100 }];
        let drawn = plot(&curve, 100, 0);
        let rows: Vec<&str> = drawn.lines().skip(2).take(10).collect();
        assert!(rows.first().is_some_and(|row| row.ends_with('█')), "{drawn}");
        assert!(rows.last().is_some_and(|row| row.starts_with("   0 │ ")), "{drawn}");
    }

    #[test]
    fn an_empty_curve_is_drawn_empty() {
        assert!(!plot(&[], 0, 0).contains('█'));
    }
}
