//! How far a long piece of work has come, for a person who waits.

use super::Text;

/// Is told of each stage of a piece of work. A terminal draws a bar from it, a log writes lines.
/// Calls come often: an implementation must be cheap and never wait.
pub trait Progress: Send + Sync {
    /// A stage begins; `total` is its size in its own unit (bytes, rows) when that is known.
    fn stage(&self, name: Text, total: Option<u64>);
    /// How much of the stage is done by now, in all.
    fn advance(&self, done: u64);
    /// The work is over, well or not.
    fn finish(&self);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _name: Text, _total: Option<u64>) {}
    fn advance(&self, _done: u64) {}
    fn finish(&self) {}
}
