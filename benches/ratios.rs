//! The figures of the design, as ratios measured in one run on one machine:
//! `bench <name> ratio <r> target <t>`, gathered in `target/bench.json`.
//!
//! `cargo bench` runs all; `cargo bench -- page` those whose name holds `page`. Where another
//! program is the yardstick (ogr2ogr) and is not installed, its rows are left out by name.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a measurement that cannot go on stops; its rows go to standard output"
)]

mod cached;
mod client;
mod clip;
mod cold;
mod exports;
mod harvest;
mod items;
mod live;
mod paging;
mod peers;
mod points;
mod postgis;
mod report;
mod site;
mod start;
mod stats;
mod versus;
mod wfs;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let Some(port) = args.bare_port() {
        cached::bare(port);
        return;
    }
    let wanted = |name: &str| args.is_empty() || args.iter().any(|a| name.contains(a.as_str()));
    let mut report = report::Report::default();
    println!("load of the machine before: {:.1}", report::load());
    // Only when asked for: other programs are installed for it.
    if args.iter().any(|a| a == "peers") {
        peers::run(&mut report, args.iter().any(|a| a == "pages"));
        report.write();
        return;
    }
    if wanted("points") {
        points::run(&mut report);
    }
    if wanted("live") {
        live::run(&mut report);
    }
    if wanted("start") {
        start::run(&mut report);
    }
    national(&wanted, &mut report);
    println!("load of the machine after: {:.1}", report::load());
    report.write();
}

/// The rows of the national communes.
fn national(wanted: &dyn Fn(&str) -> bool, report: &mut report::Report) {
    let rows = ["harvest", "page", "export", "stats", "clip", "cold", "postgis", "wfs", "cached"];
    if !rows.iter().any(|row| wanted(row)) {
        return;
    }
    let site = site::national();
    println!("layer: {} ({} features)", site.name, site.count);
    if wanted("harvest") {
        harvest::run(&site, report);
    }
    if wanted("page") || wanted("export") {
        items::run(&site, report);
    }
    if wanted("export") {
        exports::run(&site, report);
    }
    if wanted("stats") {
        stats::run(&site, report);
    }
    if wanted("clip") {
        clip::run(&site, report);
    }
    if wanted("cold") {
        cold::run(&site, report);
    }
    if wanted("postgis") {
        postgis::run(&site, report);
    }
    if wanted("wfs") {
        wfs::run(&site, report);
    }
    if wanted("cached") {
        cached::run(&site, report);
    }
}

/// `--bare PORT`: this binary as the bare server to compare with, in a process of its own.
trait Bare {
    fn bare_port(&self) -> Option<u16>;
}

impl Bare for Vec<String> {
    fn bare_port(&self) -> Option<u16> {
        match self.as_slice() {
            [flag, port] if flag == "--bare" => port.parse().ok(),
            _ => None,
        }
    }
}
