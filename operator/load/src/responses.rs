//! The responses to purchases, parsed.

use contracts::{ReasonCode, Status};
use operator_client::ProblemDetails;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::outcomes::Outcomes;

/// The part of a purchase that is parsed; the rest is skipped.
#[derive(Deserialize)]
struct PurchaseStatus {
    status: Status,
    reason: Option<StatusReason>,
}

/// The part of a reason that is parsed.
#[derive(Deserialize)]
struct StatusReason {
    code: ReasonCode,
}

impl PurchaseStatus {
    fn reason(&self) -> Option<ReasonCode> {
        self.reason.as_ref().map(|reason| reason.code)
    }
}

/// A line of the response to a batch.
#[derive(Deserialize)]
struct Line<'a> {
    request_id: Option<&'a str>,
    http_status: u16,
    purchase: Option<PurchaseStatus>,
    #[serde(borrow)]
    problem: Option<&'a RawValue>,
}

/// Parses the response to one purchase.
///
/// # Errors
/// What does not fit the request.
pub fn read_one(status: StatusCode, body: &[u8]) -> Result<Outcomes, String> {
    let purchase: PurchaseStatus = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut outcomes = Outcomes::default();
    outcomes.add(status.as_u16(), Some(purchase.status), purchase.reason());
    Ok(outcomes)
}

/// Parses the response to a batch of purchases with these ids.
///
/// # Errors
/// What does not fit the request.
pub fn read_batch(body: &[u8], ids: impl Iterator<Item = String>) -> Result<Outcomes, String> {
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut outcomes = Outcomes::default();
    for id in ids {
        let line = lines.next().ok_or_else(|| format!("{id} has no response"))?;
        let line: Line<'_> = serde_json::from_slice(line).map_err(|error| format!("{id}: {error}"))?;
        if line.request_id != Some(id.as_str()) {
            return Err(format!("{id}: the response in its place is for another purchase"));
        }
        let reason = line.purchase.as_ref().and_then(PurchaseStatus::reason);
        outcomes.add(line.http_status, line.purchase.map(|purchase| purchase.status), reason);
        if let Some(problem) = line.problem {
            let problem = serde_json::from_str::<ProblemDetails>(problem.get()).map(|problem| problem.detail);
            outcomes.why.get_or_insert_with(|| format!("{}: {}", line.http_status, problem.unwrap_or_default()));
        }
    }
    if lines.next().is_some() {
        return Err("more responses than purchases".to_owned());
    }
    Ok(outcomes)
}
