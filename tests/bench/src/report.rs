//! A benchmark's result: a row for people, a line of JSON for machines.

use serde_json::{Map, Value, json};
use std::io::{self, Write as _};

/// One result.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// `accept-sqlite` …
    pub(crate) bench: String,
    /// What was measured.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// The result of the reference in the same run.
    pub(crate) reference: Option<f64>,
    /// The goal.
    pub(crate) goal: &'static str,
    /// Further figures.
    pub(crate) more: Vec<(&'static str, f64)>,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.reference
            .filter(|reference| *reference > 0.0)
            .map(|reference| self.value / reference)
    }

    fn json(&self) -> Value {
        let mut line = Map::new();
        line.insert("bench".to_owned(), json!(self.bench));
        line.insert("value".to_owned(), json!(rounded(self.value)));
        line.insert("unit".to_owned(), json!(self.unit));
        line.insert("reference".to_owned(), json!(self.reference.map(rounded)));
        line.insert("ratio".to_owned(), json!(self.ratio().map(rounded)));
        for (name, value) in &self.more {
            line.insert((*name).to_owned(), json!(rounded(*value)));
        }
        line.insert("goal".to_owned(), json!(self.goal));
        Value::Object(line)
    }

    fn line(&self) -> String {
        let figure = |value: Option<f64>| {
            value.map_or_else(|| "–".to_owned(), |value| rounded(value).to_string())
        };
        let more: Vec<_> = self
            .more
            .iter()
            .map(|(name, value)| format!("{name} {}", rounded(*value)))
            .collect();
        format!(
            "| {} | {} {} | {} | {} | {} | {} |",
            self.bench,
            rounded(self.value),
            self.unit,
            figure(self.reference),
            figure(self.ratio()),
            more.join(", "),
            self.goal,
        )
    }
}

/// Rounds to three digits after the point for small figures, fewer for large ones.
fn rounded(value: f64) -> f64 {
    let scale = if value.abs() < 10.0 { 1000.0 } else { 10.0 };
    (value * scale).round() / scale
}

/// Returns the value that this percentage of the values do not exceed. With few values the 99th percentile
/// is the largest.
pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100);
    let value = values.get(rank.saturating_sub(1));
    value.copied().unwrap_or(f64::NAN)
}

/// Prints the table, then the lines of JSON.
pub(crate) fn print(rows: &[Row]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "| bench | value | reference | ratio | more | goal |")?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for row in rows {
        writeln!(out, "{}", row.line())?;
    }
    writeln!(out)?;
    for row in rows {
        writeln!(out, "{}", row.json())?;
    }
    Ok(())
}
