//! Sources that are not there any more: what was published from them stays for a time of grace, so
//! that a portal's mishap harms nobody, and then is served no longer.

use super::Jobs;
use crate::{
    error::Result,
    model::{Harvested, LayerDef, Text, Withdrawal},
    store::{At, Claim},
};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Takes the mark off a state that is about to be compared with its source, and gives it.
pub(super) fn forget(at: &mut At) -> Option<Box<Withdrawal>> {
    at.version.source.withdrawn.as_ref()?;
    Arc::make_mut(&mut at.version).source.withdrawn.take()
}

impl Jobs {
    /// Notes that the source of what is in force was not there. The first time counts.
    pub(super) async fn mark_gone(&self, def: &LayerDef, claim: &Claim, said: &Text) -> Result<()> {
        let Some(at) = self.store.current().await?.remove(&def.id) else { return Ok(()) };
        let before = at.version.source.withdrawn.as_deref();
        let since = before.map_or_else(Timestamp::now, |gone| gone.since);
        let grace = self.harvest.settings.withdraw_after_days;
        let after =
            |days: u32| since.checked_add(SignedDuration::from_hours(24) * days as i32).ok();
        let until = grace.and_then(after);
        let gone = Withdrawal { since, until, text: said.clone() };
        if before == Some(&gone) {
            return Ok(());
        }
        let source = at.version.source.clone();
        self.store.touch(claim, &Harvested { withdrawn: Some(Box::new(gone)), ..source }).await
    }
}
