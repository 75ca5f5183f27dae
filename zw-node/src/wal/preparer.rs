//! Writes zeros over the space of the next segment, in the background, before it is needed.
//!
//! Space that was never written costs the file system a change of its own records at the first sync of each piece;
//! space that was written before does not. What a spare holds means nothing to recovery, so it can be taken at any
//! moment, half written or not.

use super::disk::DiskFile;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

const PIECE_BYTES: u64 = 1 << 20;
static ZEROS: [u8; PIECE_BYTES as usize] = [0; PIECE_BYTES as usize];

/// One spare that is being filled with zeros. Dropping it ends that: after the drop nothing more is written.
pub(super) struct Preparation {
    cancelled: Arc<Mutex<bool>>,
}

impl Preparation {
    /// Starts to fill `file` up to `bytes`.
    pub(super) fn start(file: Arc<dyn DiskFile>, bytes: u64) -> io::Result<Preparation> {
        let cancelled = Arc::new(Mutex::new(false));
        let seen = Arc::clone(&cancelled);
        thread::Builder::new().name("log-preparer".into()).spawn(move || {
            if let Err(error) = fill(&*file, bytes, &seen) {
                // The space is taken already; only its first use will be slower. The log's own writes decide.
                tracing::warn!(%error, "the next log segment could not be prepared");
            }
        })?;
        Ok(Preparation { cancelled })
    }
}

impl Drop for Preparation {
    fn drop(&mut self) {
        // Waits for the piece that is being written, not for its sync.
        *self.cancelled.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

fn fill(file: &dyn DiskFile, bytes: u64, cancelled: &Mutex<bool>) -> io::Result<()> {
    let mut offset = 0;
    while offset < bytes {
        let piece = PIECE_BYTES.min(bytes - offset);
        {
            let cancelled = cancelled.lock().unwrap_or_else(PoisonError::into_inner);
            if *cancelled {
                return Ok(());
            }
            let length = usize::try_from(piece).expect("a piece is small");
            file.write_all_at(&ZEROS[..length], offset)?;
        }
        // Piece by piece, so that the log's own syncs never queue behind a whole segment.
        file.sync_data()?;
        offset += piece;
    }
    Ok(())
}
