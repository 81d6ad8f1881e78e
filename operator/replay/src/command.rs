//! The command: one step after another, and the summary at the end.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use money::{Amount, Currency, Money};
use operator_client::{LEDGER, PURCHASE, Progress, Services, per_second, trial_balance};
use serde::Serialize;

use crate::arguments::{Replay, Retail};
use crate::days::Days;
use crate::passes::{batches, read};
use crate::purchase::{Accepted, Response};
use crate::request_kind::RequestKind;
use crate::selection::{Kinds, Selection};
use crate::summary::{Milliseconds, Outcomes, Summary, by_currency};
use crate::{bookings, books, comparing, offers, sending, settling};

/// The services whose APIs the replay uses.
pub const SERVICES: [&str; 2] = [PURCHASE, LEDGER];

/// Replays and prints the summary. The exit code is 0, or 1 if something was not accepted or differs.
///
/// # Errors
/// When it cannot finish: the file is broken, or a service is unavailable or refuses a request.
pub async fn run(replay: Replay, services: Services) -> anyhow::Result<ExitCode> {
    let retail = match replay {
        Replay::Retail(retail) => retail,
        Replay::Bookings(arguments) => return bookings::run(&arguments, &services).await,
    };
    let kinds = if retail.sales_only { Kinds::SalesOnly } else { Kinds::SalesAndReturns };
    let selection = Selection { days: Days::new(retail.from, retail.to)?, kinds };
    if retail.dry_run {
        let (contents, _) = read(&retail.file, selection).await?;
        print(&contents, &retail)?;
        eprintln!("nothing was sent");
        return Ok(ExitCode::SUCCESS);
    }
    let summary = replayed(&retail, selection, &services).await?;
    print(&summary, &retail)?;
    Ok(if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(result: &(impl Serialize + Display), retail: &Retail) -> anyhow::Result<()> {
    let text = if retail.json { serde_json::to_string_pretty(result)? + "\n" } else { result.to_string() };
    std::io::stdout().write_all(text.as_bytes()).context("the summary cannot be written")
}

async fn replayed(retail: &Retail, selection: Selection, services: &Services) -> anyhow::Result<Summary> {
    let (purchase, ledger) = (services.named(PURCHASE)?, services.named(LEDGER)?);
    let mut took = Milliseconds::default();
    let mut clock = Clock(Instant::now());

    let (contents, survey) = read(&retail.file, selection).await?;
    took.reading = clock.lap();
    eprintln!("{}: {} invoices with {} lines to send", contents.shape, contents.invoices.sent, contents.lines.sent);
    let offers_set = offers::set(purchase, &survey.offers).await;
    let offers_set =
        offers_set.context("stopped while setting offers, before any purchase; run it again to continue")?;
    took.offers = clock.lap();
    eprintln!("{} offers are set; sending", survey.offers.len());
    let batches = batches(&retail.file, Arc::clone(&survey), retail.pay_in);
    let progress = Progress::sending(contents.invoices.sent);
    let (mut accepted, problems) = sending::send(purchase, batches, progress).await?;
    took.sending = clock.lap();
    eprintln!("{} invoices are accepted; waiting for outcomes", accepted.len());
    settling::outcomes(purchase, &mut accepted).await?;
    took.settling = clock.lap();
    eprintln!("all of them have their outcome; comparing with the ledger");
    let stopped = "everything is settled, but the ledger could not be read to its end; run it again to compare";
    let books = trial_balance::at_rest(ledger).await.context(stopped)?;
    let postings = books::postings(ledger, &accepted).await.context(stopped)?;
    let differences = comparing::differences(&accepted, &postings, &books);
    took.checking = clock.lap();

    let time = Duration::from_millis(took.sending + took.settling);
    Ok(Summary {
        offers_set,
        outcomes: Outcomes::of(responses(&accepted, RequestKind::Purchase)),
        charged: sums(&accepted, RequestKind::Purchase, |response| response.charged),
        total: sums(&accepted, RequestKind::Purchase, |response| response.total),
        returns: Outcomes::of(responses(&accepted, RequestKind::Return)),
        refunded: sums(&accepted, RequestKind::Return, |response| response.charged),
        returned: sums(&accepted, RequestKind::Return, |response| response.total),
        ledger: books::sums(postings.values().flatten()),
        problems,
        differences,
        milliseconds: took,
        invoices_per_second: per_second(contents.invoices.sent, time),
        lines_per_second: per_second(contents.lines.sent, time),
        contents,
    })
}

fn responses(accepted: &[Accepted], kind: RequestKind) -> impl Iterator<Item = &Response> {
    accepted.iter().filter(move |accepted| accepted.submission.kind == kind).map(|accepted| &accepted.response)
}

fn sums(
    accepted: &[Accepted],
    kind: RequestKind,
    sum: impl Fn(&Response) -> Option<Money>,
) -> BTreeMap<Currency, Amount> {
    by_currency(responses(accepted, kind).filter_map(sum))
}

/// Measures the time since the previous lap.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self) -> u64 {
        let lap = self.0.elapsed();
        self.0 += lap;
        u64::try_from(lap.as_millis()).unwrap_or(u64::MAX)
    }
}
