//! Which events follow from the journal of harvests. The same runs give the same events, under the
//! same names: a restart repeats nothing and forgets nothing.

use crate::{
    model::{
        Alert, AlertKind, AlertRules, Fault, Lang, LayerId, Outcome, RunRecord, Text, VersionId,
    },
    text,
};
use jiff::Timestamp;
use std::fmt::Display;

/// The events of a layer, oldest first, as they follow from its runs (newest first) at a moment.
pub fn events(
    layer: &LayerId,
    runs: &[RunRecord],
    rules: AlertRules,
    now: Timestamp,
) -> Vec<Alert> {
    let mut reader = Reader { layer, rules, found: Vec::new(), failing: None, held: None };
    for run in runs.iter().rev() {
        match &run.outcome {
            Outcome::Failed { fault, text, since, tries, .. } => {
                let streak = Streak {
                    since: since.unwrap_or(run.started),
                    tries: *tries,
                    fault: *fault,
                    words: text.clone(),
                    told: None,
                };
                reader.failed(run, streak);
            }
            Outcome::Held { version, text } => reader.held(run, version, text),
            Outcome::Published { .. } | Outcome::Unchanged { .. } => reader.went_well(run),
        }
    }
    reader.until(now);
    reader.end()
}

/// Failures one after the other.
struct Streak {
    since: Timestamp,
    tries: u32,
    fault: Fault,
    words: Text,
    /// Place of its event, when there is one.
    told: Option<usize>,
}

/// A layer as far as its journal was read.
struct Reader<'a> {
    layer: &'a LayerId,
    rules: AlertRules,
    found: Vec<Alert>,
    failing: Option<Streak>,
    /// The delivery that is held, and the place of its event.
    held: Option<(VersionId, usize)>,
}

impl Reader<'_> {
    fn failed(&mut self, run: &RunRecord, now: Streak) {
        self.until(run.started);
        let before = self.failing.take();
        self.failing = Some(match before {
            // The journal forgets the oldest runs; the newer ones remember how many they were.
            Some(before) => Streak {
                since: before.since.min(now.since),
                tries: now.tries.max(before.tries + 1),
                told: before.told,
                ..now
            },
            None => Streak { tries: now.tries.max(1), ..now },
        });
        self.until(run.ended());
        if self.failing.as_ref().is_some_and(|streak| streak.tries >= self.rules.tries) {
            self.tell_of_failing(run.ended());
        }
    }

    /// What follows from time alone: a source that has failed for long enough.
    fn until(&mut self, moment: Timestamp) {
        let Some(streak) = &self.failing else { return };
        if let Ok(late) = streak.since.checked_add(self.rules.patience)
            && late <= moment
        {
            self.tell_of_failing(late);
        }
    }

    fn tell_of_failing(&mut self, at: Timestamp) {
        let place = self.found.len();
        let Some(streak) = self.failing.as_mut().filter(|streak| streak.told.is_none()) else {
            return;
        };
        streak.told = Some(place);
        let (tries, fault, since) = (streak.tries, streak.fault, streak.since);
        let (times_fr, times_en) = match tries {
            1 => (String::new(), String::new()),
            _ => (format!("{tries} fois de suite, "), format!("{tries} times in a row, ")),
        };
        let (day_fr, day_en) = (moment(since, Lang::Fr), moment(since, Lang::En));
        let (why_fr, why_en) = (&streak.words.fr, &streak.words.en);
        let text = text!(
            "la source échoue, {times_fr}depuis le {day_fr} : {why_fr} ; ce qui est publié reste en place",
            "the source fails, {times_en}since {day_en}: {why_en}; what is published stays in force"
        );
        let alert = self.event(AlertKind::Failing, since.as_millisecond(), at, text);
        let (since, tries, fault) = (Some(since), Some(tries), Some(fault));
        self.found.push(Alert { since, tries, fault, ..alert });
    }

    fn held(&mut self, run: &RunRecord, version: &VersionId, why: &Text) {
        self.until(run.started);
        let again = self.stopped_failing();
        if self.held.as_ref().is_some_and(|(held, _)| held == version) {
            return self.well(run, again);
        }
        self.held = Some((version.clone(), self.found.len()));
        let (fr, en) = (&why.fr, &why.en);
        let text = text!(
            "la livraison {version} est retenue, ce qui est publié reste en place : {fr}",
            "the delivery {version} is held, what is published stays in force: {en}"
        );
        let alert = self.event(AlertKind::Held, version, run.ended(), text);
        self.found.push(Alert { version: Some(version.clone()), ..alert });
    }

    fn went_well(&mut self, run: &RunRecord) {
        self.until(run.started);
        let again = self.stopped_failing();
        let released = self
            .held
            .take()
            .map(|_| text!("plus aucune livraison n'est retenue", "no delivery is held any more"));
        self.well(run, again.into_iter().chain(released));
        let Outcome::Published { version, shape: Some(shape), .. } = &run.outcome else { return };
        let Text { fr, en } = shape.sentence();
        let text = text!(
            "la version {version} a une autre forme que la précédente : {fr}",
            "version {version} has another form than the one before: {en}"
        );
        let alert = self.event(AlertKind::Changed, version, run.ended(), text);
        let (version, shape) = (Some(version.clone()), Some((**shape).clone()));
        self.found.push(Alert { version, shape, ..alert });
    }

    /// The failures are over; in words when they were told of.
    fn stopped_failing(&mut self) -> Option<Text> {
        let Streak { since, tries, told: Some(_), .. } = self.failing.take()? else { return None };
        let (day_fr, day_en) = (moment(since, Lang::Fr), moment(since, Lang::En));
        let (times_fr, times_en) = match tries {
            1 => ("un échec".to_owned(), "one failure".to_owned()),
            _ => (format!("{tries} échecs"), format!("{tries} failures")),
        };
        Some(text!(
            "la source répond à nouveau, après {times_fr} depuis le {day_fr}",
            "the source answers again, after {times_en} since {day_en}"
        ))
    }

    fn well(&mut self, run: &RunRecord, what: impl IntoIterator<Item = Text>) {
        let what: Vec<Text> = what.into_iter().collect();
        if what.is_empty() {
            return;
        }
        let join = |of: fn(&Text) -> &str| what.iter().map(of).collect::<Vec<_>>().join(" ; ");
        let text = Text::new(join(|t| &t.fr), join(|t| &t.en));
        let alert = self.event(AlertKind::Well, run.started.as_millisecond(), run.ended(), text);
        self.found.push(alert);
    }

    fn event(&self, kind: AlertKind, what: impl Display, at: Timestamp, text: Text) -> Alert {
        let (layer, name) = (self.layer.clone(), kind.name());
        Alert {
            id: format!("{layer}.{name}.{what}"),
            layer,
            kind,
            at,
            since: None,
            tries: None,
            fault: None,
            version: None,
            shape: None,
            text,
            stands: false,
        }
    }

    fn end(mut self) -> Vec<Alert> {
        let failing = self.failing.and_then(|streak| streak.told);
        for place in failing.into_iter().chain(self.held.map(|(_, place)| place)) {
            if let Some(alert) = self.found.get_mut(place) {
                alert.stands = true;
            }
        }
        self.found
    }
}

/// A moment in words.
fn moment(at: Timestamp, lang: Lang) -> String {
    let form = match lang {
        Lang::Fr => "%d/%m/%Y à %H:%M UTC",
        Lang::En => "%Y-%m-%d %H:%M UTC",
    };
    at.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fault, Trigger};
    use jiff::SignedDuration;

    const RULES: AlertRules = AlertRules { tries: 3, patience: SignedDuration::from_hours(24) };

    fn layer() -> LayerId {
        "points".parse().unwrap()
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + hours * 3600).unwrap()
    }

    /// A run that begins at an hour and takes a minute.
    fn run(hours: i64, outcome: Outcome) -> RunRecord {
        RunRecord {
            layer: layer(),
            started: at(hours),
            took_ms: 60_000,
            trigger: Trigger::Schedule,
            attempt: 1,
            outcome,
        }
    }

    /// A journal, oldest first, whose failures count themselves as the program does.
    fn journal(outcomes: &[(i64, &str)]) -> Vec<RunRecord> {
        let mut runs: Vec<RunRecord> = Vec::new();
        let version = |name: &str| format!("20260101T000000Z-{name}").parse().unwrap();
        for (hours, what) in outcomes {
            let outcome = match *what {
                "fail" => {
                    let text = Text::same("404");
                    let failed = Outcome::Failed {
                        fault: Fault::Status,
                        text,
                        retry_at: None,
                        since: None,
                        tries: 0,
                    };
                    failed.after(runs.last(), at(*hours))
                }
                "ok" => Outcome::Unchanged { version: version("0") },
                held => Outcome::Held { version: version(held), text: Text::same("fewer") },
            };
            runs.push(run(*hours, outcome));
        }
        runs.reverse();
        runs
    }

    fn told(outcomes: &[(i64, &str)], now: i64) -> Vec<(String, i64, bool)> {
        let found = events(&layer(), &journal(outcomes), RULES, at(now));
        let hour = |a: &Alert| a.at.duration_since(at(0)).as_hours();
        found.iter().map(|a| (a.kind.name().to_owned(), hour(a), a.stands)).collect()
    }

    fn kinds(outcomes: &[(i64, &str)], now: i64) -> Vec<String> {
        told(outcomes, now).into_iter().map(|(kind, ..)| kind).collect()
    }

    #[test]
    fn a_source_fails_after_so_many_tries_or_so_long_and_is_well_again() {
        assert!(kinds(&[(0, "ok"), (1, "fail"), (2, "fail")], 3).is_empty());
        let three = [(0, "ok"), (1, "fail"), (2, "fail"), (3, "fail")];
        assert_eq!(told(&three, 4), [("failing".to_owned(), 3, true)]);
        // Told once, however long it goes on.
        let more: Vec<_> = (1..40).map(|h| (h, "fail")).collect();
        assert_eq!(kinds(&more, 50), ["failing"]);
        let again = [&three[..], &[(5, "ok")]].concat();
        assert_eq!(
            told(&again, 6),
            [("failing".to_owned(), 3, false), ("well".to_owned(), 5, false)]
        );
        // A single failure that nothing followed.
        assert!(kinds(&[(0, "fail")], 23).is_empty());
        assert_eq!(told(&[(0, "fail")], 24), [("failing".to_owned(), 24, true)]);
        assert_eq!(told(&[(0, "fail"), (30, "fail")], 30)[0].1, 24);
        assert_eq!(kinds(&[(0, "fail"), (30, "ok")], 31), ["failing", "well"]);
        assert!(kinds(&[(0, "fail"), (3, "ok"), (30, "fail")], 31).is_empty());
    }

    #[test]
    fn a_journal_that_forgot_the_first_failures_tells_of_the_same_event() {
        let all = journal(&(0..60).map(|h| (h, "fail")).collect::<Vec<_>>());
        let whole = events(&layer(), &all, RULES, at(60));
        let cut = events(&layer(), &all[..50], RULES, at(60));
        assert_eq!((whole.len(), cut.len()), (1, 1));
        assert_eq!(whole[0].id, cut[0].id);
        assert_eq!(cut[0].since, Some(at(0)));
        assert!(cut[0].stands);
    }

    #[test]
    fn a_held_delivery_is_told_once_and_its_end_too() {
        let held = [(0, "ok"), (1, "a"), (2, "a"), (3, "fail"), (4, "a")];
        assert_eq!(told(&held, 5), [("held".to_owned(), 1, true)]);
        let other = [&held[..], &[(5, "b")]].concat();
        assert_eq!(kinds(&other, 6), ["held", "held"]);
        let gone = [&other[..], &[(6, "ok"), (7, "ok")]].concat();
        assert_eq!(kinds(&gone, 8), ["held", "held", "well"]);
        // The source answers again, and what it delivers waits as before.
        let back = [(0, "a"), (1, "fail"), (2, "fail"), (3, "fail"), (4, "a")];
        assert_eq!(kinds(&back, 5), ["held", "failing", "well"]);
        assert!(told(&back, 5)[0].2);
    }
}
