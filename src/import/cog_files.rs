//! Deliveries of the territory reference: files, or zips of files.

use crate::{error::Result, formats::bundle, territory::CogFile};

/// Most bytes of a zip once unpacked: INSEE's whole COG is 10 MB.
const MAX: u64 = 256 << 20;

/// The files of the COG in a file: itself, or the CSV and JSON files of a zip.
///
/// # Errors
/// As [`bundle::members`].
pub fn cog_files(name: String, bytes: Vec<u8>) -> Result<Vec<CogFile>> {
    if !bundle::is_zip(&bytes) {
        return Ok(vec![CogFile { name, bytes }]);
    }
    let found = bundle::members(&bytes, &[".csv", ".json"], MAX)?;
    Ok(found.into_iter().map(|(name, bytes)| CogFile { name, bytes }).collect())
}
