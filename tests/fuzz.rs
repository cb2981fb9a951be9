//! The inputs that fuzzing starts from, and those that it once found a fault with, taken again by
//! what is fuzzed (`fuzz/`, run by `make fuzz` and `make long`): as they are, and changed here and
//! there, the same way each time. `SOCLE_FUZZ_CASES` is how many changed inputs each target gets.

#[path = "../fuzz/src/lib.rs"]
mod fuzzed;

use crate::support::root;
use fuzzed::{TARGETS, Target};
use std::{
    env, fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// The stack of the service's threads.
const STACK: usize = 2 << 20;
/// Changed inputs of a target in ordinary runs.
const CASES: usize = 100;
/// One in so many of them for a target that makes a table of all communes of each.
const ALL_COMMUNES: (&str, usize) = ("cog", 25);
/// Larger inputs are not changed: they are hostile by their size.
const LARGEST: usize = 16 << 10;
/// What is said of an input that takes longer, with 512 MB the limit of `fuzz/run`.
const SLOW: Duration = Duration::from_secs(5);

/// The inputs of a target, by name.
fn seeds(target: &Target) -> Vec<PathBuf> {
    let folder = root().join("fuzz/seeds").join(target.name);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("seeds").map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Chance that is the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let thrown = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        thrown as usize % most.max(1)
    }
}

/// One of the inputs, changed in a few places: bytes set, taken out, repeated, or taken from another.
fn changed(inputs: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = inputs[dice.below(inputs.len())].clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(bytes.len() + 1);
        let end = bytes.len().min(at + 1 + dice.below(12));
        match dice.below(6) {
            0 => bytes.get_mut(at).into_iter().for_each(|b| *b ^= 1 << dice.below(8)),
            1 => bytes.get_mut(at).into_iter().for_each(|b| *b = dice.below(256) as u8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].repeat(1 + dice.below(4));
                bytes.splice(at..at, piece);
            }
            4 => {
                let number = [0, 1, 127, 128, 255, 0x7fff_ffff, u32::MAX][dice.below(7)];
                let there = bytes.len().min(at + 4);
                bytes.splice(at..there, u32::to_le_bytes(number));
            }
            _ => {
                let other = &inputs[dice.below(inputs.len())];
                let from = dice.below(other.len() + 1);
                let to = other.len().min(from + dice.below(64));
                bytes.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

/// Keeps an input that was not taken where it can be looked at.
fn kept(target: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("not-taken-{target}"));
    fs::write(&path, bytes).unwrap();
    path
}

fn take(target: &'static str, run: fn(&[u8]), bytes: &[u8]) {
    let begun = Instant::now();
    let done = std::panic::catch_unwind(|| run(bytes));
    assert!(done.is_ok(), "{target}: {} was not taken", kept(target, bytes).display());
    if begun.elapsed() > SLOW {
        println!("{target}: {:?} for {}", begun.elapsed(), kept(target, bytes).display());
    }
}

#[test]
fn every_seed_is_taken_and_what_is_near_it() {
    let cases = env::var("SOCLE_FUZZ_CASES").ok().map_or(CASES, |n| n.parse().expect("a number"));
    let only = env::var("SOCLE_FUZZ_TARGET").ok();
    let wanted = TARGETS.iter().filter(|t| only.as_ref().is_none_or(|only| only == t.name));
    let all = wanted.map(|target| {
        let (name, run) = (target.name, target.run);
        let mut inputs: Vec<Vec<u8>> =
            seeds(target).iter().map(|file| fs::read(file).unwrap()).collect();
        assert!(!inputs.is_empty(), "{name} has no seeds");
        let work = move || {
            inputs.iter().for_each(|bytes| take(name, run, bytes));
            inputs.retain(|bytes| bytes.len() <= LARGEST);
            let mut dice = Dice(0x5eed);
            let cases = if name == ALL_COMMUNES.0 { cases / ALL_COMMUNES.1 } else { cases };
            (0..cases).for_each(|_| take(name, run, &changed(&inputs, &mut dice)));
        };
        // What a target keeps goes with its thread.
        let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK);
        (name, thread.spawn(work).unwrap())
    });
    let ended: Vec<_> =
        all.collect::<Vec<_>>().into_iter().map(|(n, thread)| (n, thread.join())).collect();
    let failed: Vec<&str> = ended.iter().filter(|(_, e)| e.is_err()).map(|(n, _)| *n).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn every_target_has_its_program() {
    let programs = fs::read_dir(root().join("fuzz/fuzz_targets")).unwrap();
    let mut programs: Vec<String> =
        programs.map(|p| p.unwrap().file_name().to_str().unwrap().replace(".rs", "")).collect();
    programs.sort();
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    names.sort_unstable();
    assert_eq!(programs, names);
    for name in names {
        let program = root().join("fuzz/fuzz_targets").join(format!("{name}.rs"));
        assert!(fs::read_to_string(program).unwrap().contains(&format!("run(\"{name}\", ")));
    }
}
