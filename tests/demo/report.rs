//! What the demo says: a line a step, figures under it, a table at the end; or one JSON object.

use std::time::Instant;

use serde_json::{Map, Value, json};

/// The steps so far.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    steps: Vec<Step>,
    begun: Instant,
}

#[derive(Debug)]
struct Step {
    name: String,
    ok: bool,
    seconds: f64,
    figures: Map<String, Value>,
}

/// A step that is going on.
#[derive(Debug)]
pub(crate) struct Going {
    name: String,
    begun: Instant,
    figures: Map<String, Value>,
}

impl Report {
    /// Nothing has happened yet.
    pub(crate) fn new(json: bool) -> Self {
        Self { json, steps: Vec::new(), begun: Instant::now() }
    }

    /// Begins a step and says so.
    pub(crate) fn begin(&self, name: &str, words: &str) -> Going {
        self.say(&format!("\n== {words}"));
        Going { name: name.to_owned(), begun: Instant::now(), figures: Map::new() }
    }

    /// Ends a step: it went as it should.
    pub(crate) fn end(&mut self, going: Going) {
        let seconds = going.begun.elapsed().as_secs_f64();
        self.say(&format!("   done in {seconds:.1} s"));
        let Going { name, figures, .. } = going;
        self.steps.push(Step { name, ok: true, seconds, figures });
    }

    /// Says something to people.
    #[expect(clippy::print_stdout, reason = "this is what the demo is for")]
    pub(crate) fn say(&self, words: &str) {
        if !self.json {
            println!("{words}");
        }
    }

    /// The demo stops here.
    pub(crate) fn failed(&mut self, why: &str) {
        eprintln!("demo: {why}");
        let figures = Map::from_iter([("error".to_owned(), json!(why))]);
        let step = Step { name: "failed".to_owned(), ok: false, seconds: 0.0, figures };
        self.steps.push(step);
    }

    /// The table or the object.
    #[expect(clippy::print_stdout, reason = "this is what the demo is for")]
    pub(crate) fn finish(&self) {
        let ok = self.steps.iter().all(|step| step.ok);
        if self.json {
            let steps = self.steps.iter().map(|step| {
                let mut line = Map::from_iter([
                    ("name".to_owned(), json!(step.name)),
                    ("ok".to_owned(), json!(step.ok)),
                    ("seconds".to_owned(), json!((step.seconds * 1000.0).round() / 1000.0)),
                ]);
                line.extend(step.figures.clone());
                Value::Object(line)
            });
            println!("{}", json!({ "ok": ok, "steps": steps.collect::<Vec<_>>() }));
            return;
        }
        println!("\n{:<14} {:>4} {:>8}  figures", "step", "ok", "seconds");
        for step in &self.steps {
            let figures: Vec<String> =
                step.figures.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let ok = if step.ok { "yes" } else { "NO" };
            println!("{:<14} {ok:>4} {:>8.1}  {}", step.name, step.seconds, figures.join(" "));
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        let verdict =
            if ok { "every step was as it should be" } else { "a step was NOT as it should be" };
        println!("\n{verdict}, {seconds:.1} s in all");
    }
}

impl Going {
    /// Adds a figure.
    pub(crate) fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    /// Seconds since it began.
    pub(crate) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}

/// A share in percent, to one decimal.
pub(crate) fn percent(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let share = part as f64 * 100.0 / (whole.max(1)) as f64;
    (share * 10.0).round() / 10.0
}
