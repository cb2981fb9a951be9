//! When a layer is harvested: a cron expression in the time of Paris, spread by some jitter.

use super::LayerId;
use croner::{
    CivilDate, CivilDateTime, CivilTime, Cron, CronDateTime, Resolution, Weekday,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};
use jiff::{SignedDuration, Timestamp, ZonedDateTime, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, time::Duration};

/// The zone that schedules speak of. Where the machine's own does not matter, neither do its files.
static PARIS: TimeZone = jiff::tz::get!("Europe/Paris");

/// When a day begins in Paris.
pub fn midnight(day: civil::Date) -> Timestamp {
    PARIS.to_timestamp(day.at(0, 0, 0, 0)).unwrap_or(Timestamp::MIN)
}

/// When a layer is harvested by a server, and what happens when its source fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Five fields (minute, hour, day, month, weekday) or `@daily` and the like.
    pub cron: String,
    /// Each due time is put off by up to this: always the same for the same layer and time.
    pub jitter: Duration,
    /// How often a source that failed is asked again before the next due time.
    pub retries: u8,
    /// How long the first of these waits; each next one waits twice as long.
    pub backoff: Duration,
}

impl Schedule {
    /// Whether the words are a cron expression that comes true one day.
    ///
    /// # Errors
    /// What is wrong, in English.
    pub fn check(words: &str) -> Result<(), String> {
        let cron = parse(words).map_err(|e| e.to_string())?;
        let now = Local(Timestamp::UNIX_EPOCH.to_zoned_datetime(PARIS.clone()));
        next(&cron, &now).map(drop).ok_or_else(|| "it never comes true".into())
    }

    /// The first due time of a layer after `after`, jitter included; `None` when there is none.
    pub fn next(&self, layer: &LayerId, after: Timestamp) -> Option<Timestamp> {
        let cron = parse(&self.cron).ok()?;
        // A time before `after` may be put off beyond it.
        let jitter = SignedDuration::try_from(self.jitter).ok()?;
        let from = after.checked_sub(jitter).ok()?;
        let mut at = Local(from.to_zoned_datetime(PARIS.clone()));
        loop {
            at = next(&cron, &at)?;
            let due = at.0.timestamp().checked_add(self.put_off(layer, at.0.timestamp())).ok()?;
            if due > after {
                return Some(due);
            }
        }
    }

    /// By how much a due time is put off: a whole number of seconds that all replicas agree on.
    fn put_off(&self, layer: &LayerId, slot: Timestamp) -> SignedDuration {
        let span = self.jitter.as_secs();
        if span == 0 {
            return SignedDuration::ZERO;
        }
        let words = format!("{layer}@{}", slot.as_second());
        let drawn = super::stable_hash(&words) % span;
        SignedDuration::from_secs(i64::try_from(drawn).unwrap_or(0))
    }
}

fn parse(words: &str) -> Result<Cron, CronError> {
    let rules = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed);
    rules.build().parse(words)
}

fn next(cron: &Cron, after: &Local) -> Option<Local> {
    cron.find_next_occurrence(after, false).ok()
}

/// A time of Paris as the cron library reads it.
#[derive(Debug, Clone)]
struct Local(ZonedDateTime);

impl CronDateTime for Local {
    fn to_civil(&self) -> CivilDateTime {
        let at = self.0.datetime();
        let part = |n: i8| u32::from(n.unsigned_abs());
        let date =
            CivilDate::from_parts_unchecked(i32::from(at.year()), part(at.month()), part(at.day()));
        let time =
            CivilTime::from_parts_unchecked(part(at.hour()), part(at.minute()), part(at.second()));
        CivilDateTime::new(date, time)
    }

    fn civil_weekday(&self) -> Weekday {
        let day = self.0.weekday().to_sunday_zero_offset().unsigned_abs();
        Weekday::from_days_from_sunday(u32::from(day))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let part = |n: u32| i8::try_from(n).map_err(|_| CronError::InvalidTime);
        let (date, time) = (civil.date(), civil.time());
        let year = i16::try_from(date.year()).map_err(|_| CronError::InvalidDate)?;
        let at = civil::DateTime::new(
            year,
            part(date.month())?,
            part(date.day())?,
            part(time.hour())?,
            part(time.minute())?,
            part(time.second())?,
            0,
        );
        let at = PARIS.to_ambiguous_zoned_datetime(at.map_err(|_| CronError::InvalidTime)?);
        let bad = |_| CronError::InvalidTime;
        Ok(match at.offset() {
            jiff::tz::AmbiguousOffset::Unambiguous { .. } => {
                Resolution::Single(Self(at.unambiguous().map_err(bad)?))
            }
            jiff::tz::AmbiguousOffset::Fold { .. } => {
                let earlier = Self(at.clone().earlier().map_err(bad)?);
                Resolution::Ambiguous(earlier, Self(at.later().map_err(bad)?))
            }
            jiff::tz::AmbiguousOffset::Gap { .. } => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(cron: &str, jitter: u64) -> Schedule {
        let (jitter, backoff) = (Duration::from_secs(jitter), Duration::from_secs(60));
        Schedule { cron: cron.into(), jitter, retries: 3, backoff }
    }

    fn due(cron: &str, after: &str) -> String {
        let layer = "communes".parse().unwrap();
        schedule(cron, 0).next(&layer, after.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn times_are_those_of_paris_in_summer_and_in_winter() {
        assert_eq!(due("30 3 * * *", "2026-01-10T00:00:00Z"), "2026-01-10T02:30:00Z");
        assert_eq!(due("30 3 * * *", "2026-07-10T00:00:00Z"), "2026-07-10T01:30:00Z");
        assert_eq!(due("30 3 * * *", "2026-07-10T01:30:00Z"), "2026-07-11T01:30:00Z");
        assert_eq!(due("0 5 1 * *", "2026-02-01T04:00:01Z"), "2026-03-01T04:00:00Z");
        assert_eq!(due("0 6 * * MON-FRI", "2026-11-20T06:00:00Z"), "2026-11-23T05:00:00Z");
        assert_eq!(due("@weekly", "2026-11-24T00:00:00Z"), "2026-11-28T23:00:00Z");
    }

    #[test]
    fn nights_of_the_change_of_hour_have_one_run() {
        // 02:30 is not in the spring night, and twice in the autumn one.
        let spring = due("30 2 * * *", "2026-03-28T12:00:00Z");
        assert!(
            ("2026-03-29T00:59:00Z".."2026-03-30T00:31:00Z").contains(&spring.as_str()),
            "{spring}"
        );
        let autumn = due("30 2 * * *", "2026-10-24T12:00:00Z");
        assert_eq!(autumn, "2026-10-25T00:30:00Z");
        assert_eq!(due("30 2 * * *", &autumn), "2026-10-26T01:30:00Z");
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for good in ["*/5 * * * *", "@daily", "0 4 * * 1,3", "15 2 1-7 * SUN"] {
            Schedule::check(good).unwrap();
        }
        for bad in
            ["", "* * * *", "60 * * * *", "0 0 * * * *", "0 0 30 2 *", "demain", "0 25 * * *"]
        {
            assert!(Schedule::check(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn jitter_spreads_without_losing_or_repeating_a_time(
            start in 1_700_000_000i64..1_900_000_000, jitter in 0u64..3600
        ) {
            let layer = "communes".parse().unwrap();
            let hourly = schedule("0 * * * *", jitter);
            let mut at = Timestamp::from_second(start).unwrap();
            let mut seen = Vec::new();
            for _ in 0..48 {
                let next = hourly.next(&layer, at).unwrap();
                prop_assert!(next > at);
                at = next;
                seen.push(next.as_second());
            }
            let span = (seen[47] - seen[0]).abs_diff(47 * 3600);
            prop_assert!(seen.windows(2).all(|w| w[0] < w[1]) && span < 3600, "{span}");
            prop_assert_eq!(hourly.next(&layer, Timestamp::from_second(start).unwrap()).unwrap().as_second(), seen[0]);
        }
    }
}
