//! A panic stops its owner and nothing else, and is never silent.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use stage::Producer;

use crate::OwnerError;

/// Runs a turn to its end. A panic in it becomes an [`OwnerError`]. What the turn held is dropped, so every pending request
/// gets a reply.
pub(crate) async fn caught<T>(
    owner: Producer,
    turn: impl Future<Output = Result<T, OwnerError>>,
) -> Result<T, OwnerError> {
    let panic = match AssertUnwindSafe(turn).catch_unwind().await {
        Ok(result) => return result,
        Err(panic) => panic,
    };
    let emitted = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Err(OwnerError::Panicked { owner, message: emitted.unwrap_or("no message").to_owned() })
}
