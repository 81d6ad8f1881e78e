//! A ZIP with one file inside, as the ECB packs its CSVs.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::EcbError;

/// The largest unpacked file, in bytes. The CSV of the whole history has 2 MB and grows by 80 kB a year.
pub const UNPACKED_LIMIT: u64 = 32 * 1024 * 1024;

/// Whether a file is a ZIP, by its first bytes.
pub(super) fn is_packed(file: &[u8]) -> bool {
    file.starts_with(b"PK")
}

/// Unpacks the only file of a ZIP.
///
/// # Errors
/// The [`EcbError`]s about ZIPs.
pub(super) fn unpack(file: &[u8]) -> Result<Vec<u8>, EcbError> {
    let damaged = |source| EcbError::DamagedZip { source };
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(damaged)?;
    if archive.len() != 1 {
        return Err(EcbError::NotOneMember { found: archive.len() });
    }
    let member = archive.by_index(0).map_err(damaged)?;
    let mut unpacked = Vec::new();
    // Reads one byte more than allowed to detect a file that is too large, whatever size the ZIP states.
    let read = member.take(UNPACKED_LIMIT + 1).read_to_end(&mut unpacked);
    read.map_err(|source| EcbError::DamagedMember { source })?;
    if unpacked.len() as u64 > UNPACKED_LIMIT {
        return Err(EcbError::TooLarge { limit: UNPACKED_LIMIT });
    }
    Ok(unpacked)
}
