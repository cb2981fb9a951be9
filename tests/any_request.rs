//! The whole API definition, tried by schemathesis (PyPI) with what it allows and what it does not:
//! no fault of ours, no answer that the definition does not describe. `SOCLE_CASES` is how many
//! cases each operation gets; `make long` asks for many.

use crate::support::{demo_server, finish_within, python};
use std::{env, path::Path, process::Command, time::Duration};

over_both!(every_answer_is_one_that_the_definition_describes);

/// Cases of an operation, about, in ordinary runs.
const CASES: u32 = 10;
/// Least cases in all.
const LEAST: u32 = 2_000;

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

fn every_answer_is_one_that_the_definition_describes() {
    let Some(python) = python("schemathesis") else { return };
    let program = Path::new(&python).with_file_name("st");
    let cases = env::var("SOCLE_CASES").ok().map_or(CASES, |n| n.parse().expect("a number"));
    let server = demo_server();
    for below in ["", "t/dep-59/"] {
        // A scope is another definition over the same code: it gets its share.
        let each = if below.is_empty() { cases } else { cases.div_ceil(4) }.to_string();
        let root = format!("{}{below}", server.base);
        let folder = tempfile::tempdir().unwrap();
        let mut run = Command::new(&program);
        run.args(["run", &format!("{root}api?f=json"), "--url", root.trim_end_matches('/')])
            .args(["--phases", "examples,coverage,fuzzing", "-n", &each])
            .args(["--checks", CHECKS, "--continue-on-failure", "--no-color", "--warnings", "off"])
            .args(["--generation-deterministic", "--suppress-health-check", "all"])
            .current_dir(folder.path());
        let patience = Duration::from_secs(600 + u64::from(cases) * 60);
        let output = finish_within(&mut run, patience).expect("schemathesis ends in time");
        let said = String::from_utf8_lossy(&output.stdout);
        // Addresses may be of any length.
        let shown: Vec<String> =
            said.lines().map(|line| line.chars().take(300).collect()).collect();
        assert!(output.status.success(), "{}", shown.join("\n"));
        let count =
            said.lines().find_map(|line| line.trim().split(" generated").next()?.parse().ok());
        let count: u32 = count.unwrap_or_else(|| panic!("{}", shown.join("\n")));
        println!("schemathesis: {count} cases below /{below}, none at fault");
        assert!(!below.is_empty() || count >= LEAST, "{count}");
    }
}
