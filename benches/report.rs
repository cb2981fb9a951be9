//! Prints the rows and writes them to `target/bench.json`.

use serde_json::json;
use std::process::Command;

/// What was measured.
#[derive(Default)]
pub struct Report {
    rows: Vec<serde_json::Value>,
}

impl Report {
    /// One row. `ours` and `theirs` are the absolute figures in `unit`; a target of `None` is a
    /// figure without one.
    pub fn row(
        &mut self,
        name: &str,
        ratio: f64,
        target: Option<&str>,
        ours: f64,
        theirs: f64,
        unit: &str,
    ) {
        let shown = target.unwrap_or("-");
        println!(
            "bench {name} ratio {ratio:.2} target {shown}   ({ours:.4} vs {theirs:.4} {unit})"
        );
        self.rows.push(json!({
            "name": name, "ratio": ratio, "target": target,
            "ours": ours, "theirs": theirs, "unit": unit,
        }));
    }

    /// One absolute figure.
    pub fn figure(&mut self, name: &str, value: f64, target: Option<&str>, unit: &str) {
        let shown = target.unwrap_or("-");
        println!("bench {name} value {value:.3} {unit} target {shown}");
        self.rows.push(json!({ "name": name, "value": value, "target": target, "unit": unit }));
    }

    /// A row that cannot be measured here.
    pub fn left_out(&mut self, name: &str, why: &str) {
        println!("bench {name} left out: {why}");
        self.rows.push(json!({ "name": name, "left_out": why }));
    }

    /// Writes `target/bench.json`: rows measured now take the place of those of the same name,
    /// so that parts measured one by one gather there, each with the commit it speaks of.
    pub fn write(self) {
        let commit = Command::new("git").args(["describe", "--always", "--dirty"]).output();
        let commit = commit.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
        let commit = commit.unwrap_or_default();
        let path = "target/bench.json";
        let before = std::fs::read(path).ok();
        let before = before.and_then(|b| serde_json::from_slice::<serde_json::Value>(&b).ok());
        let mut rows = before.and_then(|b| b["rows"].as_array().cloned()).unwrap_or_default();
        rows.retain(|old| self.rows.iter().all(|new| new["name"] != old["name"]));
        for mut row in self.rows {
            row["commit"] = json!(commit);
            row["load"] = json!(load());
            rows.push(row);
        }
        let text = serde_json::to_string_pretty(&json!({ "rows": rows })).expect("JSON");
        std::fs::create_dir_all("target").expect("target/");
        std::fs::write(path, text).expect("target/bench.json");
    }
}

/// How busy the machine is: processes that run or wait to, over the last minute.
pub fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|l| l.parse().ok()).unwrap_or(f64::NAN)
}
