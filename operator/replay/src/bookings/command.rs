//! The command: one step after another, and the summary at the end.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use contracts::TrialBalance;
use operator_client::{LEDGER, PURCHASE, Services, trial_balance};

use super::checks::{Comparison, compare, euros};
use super::model::{Limits, Model, WhenFull};
use super::nights::Booking;
use super::replay::Replay;
use super::summary::Summary;
use super::{file, offers};
use crate::arguments::{Bookings, WhenSoldOut};
use crate::comparing::compare_books;

/// Replays and prints the summary. The exit code is 0, or 1 if something is wrong.
///
/// # Errors
/// When it cannot finish: the file is broken, or a service is unavailable or refuses a request.
pub async fn run(arguments: &Bookings, services: &Services) -> anyhow::Result<ExitCode> {
    let summary = replayed(arguments, services).await?;
    let text = if arguments.json { serde_json::to_string_pretty(&summary)? + "\n" } else { summary.to_string() };
    std::io::stdout().write_all(text.as_bytes()).context("the summary cannot be written")?;
    Ok(if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn replayed(arguments: &Bookings, services: &Services) -> anyhow::Result<Summary> {
    let (purchase, ledger) = (services.named(PURCHASE)?, services.named(LEDGER)?);
    let (path, name) = (arguments.file.clone(), arguments.file.display().to_string());
    let read = tokio::task::spawn_blocking(move || file::read(&path)).await?;
    let file::Bookings { mut all, unsent } =
        read.with_context(|| format!("{name} cannot be replayed, and nothing was sent"))?;
    all.truncate(arguments.bookings.unwrap_or(usize::MAX));
    let offers_set = offers::set(purchase, arguments, &offers::nights(&all)).await?;
    eprintln!("{} bookings to send, {offers_set} offers set", all.len());

    let began = Instant::now();
    let capacities = Limits { resort: arguments.resort, city: arguments.city };
    let limit = |rooms: u64| rooms * (100 + u64::from(arguments.overbooking)) / 100;
    let limits = Limits { resort: limit(arguments.resort), city: limit(arguments.city) };
    let waits = !arguments.is_strict() && arguments.compensation.contains(&WhenSoldOut::BackOrder);
    let when_full = if waits { WhenFull::Wait } else { WhenFull::Refuse };
    let mut replay = Replay::new(purchase, &all, Model::new(limits, when_full, all.len()));
    replay.play().await?;
    let (model, cancelled) = (replay.model, replay.ended);
    let playing_ms = milliseconds(began);

    eprintln!("all bookings have their outcome; comparing");
    let began = Instant::now();
    let stopped = "everything is settled, but not everything could be read; run it again to compare";
    let mut comparison = compare(purchase, &all, &model, arguments.voucher).await.context(stopped)?;
    let books: TrialBalance = trial_balance::at_rest(ledger).await.context(stopped)?;
    compare_books(&books, &mut comparison.wrong);
    let Comparison { results, wrong, differing } = comparison;
    let left = model.left_of(capacities);
    let apologies = results.compensated + results.waiting;
    Ok(Summary {
        file: name,
        bookings: all.len() as u64,
        nights: all.iter().map(Booking::nights).map(|nights| nights.count() as u64).sum(),
        unsent,
        offers_set,
        accepted: results.accepted,
        refused: results.refused,
        compensated: results.compensated,
        cancelled,
        waiting: results.waiting,
        waiting_nights: results.waiting_nights,
        charged: euros(results.charged_cents),
        refunded: euros(results.refunded_cents),
        vouchers: euros(results.voucher_cents),
        nights_at_limit: model.nights_at_limit(),
        most_over_sold: model.most_above(capacities),
        turned_away: left.turned_away,
        empty_rooms: left.empty,
        lost_to_empty_rooms: euros(left.empty_cents),
        apologies_per_10_000: apologies * 10_000 / (all.len() as u64).max(1),
        wrong,
        differing,
        must_equal_the_model: arguments.one_partition,
        playing_ms,
        checking_ms: milliseconds(began),
    })
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
