//! What a database's error means.

use sqlx::postgres::PgDatabaseError;

use super::StoreError;

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

/// Everything else may pass: a connection, a lock, a limit, a server that starts or stops.
fn is_damage(error: &(dyn sqlx::error::DatabaseError + 'static)) -> bool {
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<PgDatabaseError>().is_none() {
        // 1: a table or column of ours is not there; 11: the image is malformed; 26: no database.
        return matches!(&*code, "1" | "11" | "26" | "267" | "523" | "779");
    }
    // 42501: a right that is missing, which an operator can give.
    let is_missing = code.starts_with("42") && code != "42501";
    // 0A: what this server was built without; 22: a value that does not fit; XX001 and XX002: broken pages.
    is_missing || code.starts_with("0A") || code.starts_with("22") || matches!(&*code, "XX001" | "XX002")
}
