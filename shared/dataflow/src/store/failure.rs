//! Classification of database errors.

use std::fmt::Display;

use sqlx::postgres::PgDatabaseError;

use super::{CommitError, StoreError};

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
                StoreError::Damaged(error.to_string())
            }
            sqlx::Error::Database(database) if is_damage(&**database) => {
                StoreError::Damaged(database.message().to_owned())
            }
            _ => StoreError::Unavailable(Box::new(error)),
        }
    }
}

impl StoreError {
    /// Adds the place where it happened.
    pub(super) fn at(self, place: impl Display) -> Self {
        match self {
            StoreError::Damaged(what) => StoreError::Damaged(format!("{place}: {what}")),
            StoreError::Unavailable(source) => StoreError::Unavailable(format!("{place}: {source}").into()),
        }
    }
}

/// The error of a batch that was certainly not written.
pub(super) fn unavailable(error: sqlx::Error) -> CommitError {
    CommitError::Unavailable(Box::new(error))
}

/// Whether an error means damage. All others are transient: a connection, a lock, a limit, a server that starts or
/// stops.
fn is_damage(error: &(dyn sqlx::error::DatabaseError + 'static)) -> bool {
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<PgDatabaseError>().is_none() {
        // 1: one of our tables or columns is missing; 11: the image is malformed; 26: not a database.
        return matches!(&*code, "1" | "11" | "26" | "267" | "523" | "779");
    }
    // 42501: a missing privilege, which an operator can grant.
    let is_missing = code.starts_with("42") && code != "42501";
    // 0A: a feature this server was built without; 22: an invalid value; XX001 and XX002: damaged pages.
    is_missing || code.starts_with("0A") || code.starts_with("22") || matches!(&*code, "XX001" | "XX002")
}
