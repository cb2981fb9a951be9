//! Progress: a bar with rate and time left on a terminal, plain lines otherwise.

use crate::model::{Lang, Text, progress::Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{IsTerminal, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A plain line at most this often within a stage.
const QUIET: Duration = Duration::from_secs(5);

/// Shows the stages of a run on standard error.
pub(super) struct Shown {
    lang: Lang,
    state: Mutex<State>,
}

struct State {
    bar: Option<ProgressBar>,
    name: String,
    total: Option<u64>,
    started: Instant,
    said: Instant,
}

impl Shown {
    pub(super) fn new(lang: Lang) -> Self {
        let now = Instant::now();
        let state = State { bar: None, name: String::new(), total: None, started: now, said: now };
        Self { lang, state: Mutex::new(state) }
    }
}

impl Progress for Shown {
    fn stage(&self, name: Text, total: Option<u64>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
        state.name = name.get(self.lang).to_owned();
        state.total = total;
        state.started = Instant::now();
        state.said = state.started;
        tracing::debug!(stage = state.name.as_str(), "begins");
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
            let template = match total {
                Some(_) => "{msg:24} {bar:30} {percent:>3} % {per_sec} {eta}",
                None => "{msg:24} {spinner} {elapsed}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(state.name.clone());
            if total.is_none() {
                bar.enable_steady_tick(Duration::from_millis(200));
            }
            state.bar = Some(bar);
        }
    }

    fn advance(&self, done: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = &state.bar {
            bar.set_position(done);
        } else if state.said.elapsed() >= QUIET {
            state.said = Instant::now();
            let seconds = state.started.elapsed().as_secs_f64();
            let rate = done as f64 / seconds;
            let name = &state.name;
            let line = match state.total {
                Some(total) if total > 0 => {
                    let share = done * 100 / total;
                    let left = (total.saturating_sub(done)) as f64 / rate.max(1.0);
                    format!("{name} : {share} % ({rate:.0}/s, {left:.0} s)")
                }
                _ => format!("{name} : {done} ({rate:.0}/s)"),
            };
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    fn finish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
    }
}
