//! The command: one step after another, and the summary at the end.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use contracts::TrialBalance;
use operator_client::{LEDGER, PURCHASE, Progress, Services, trial_balance};

use super::checks::{Comparison, compare, euros};
use super::model::Model;
use super::nights::Booking;
use super::replay::Replay;
use super::rules::Rules;
use super::summary::Summary;
use super::{file, offers};
use crate::arguments::Bookings;
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
    let input = Input::read(&arguments.file, arguments.bookings).await?;
    eprintln!("{} bookings to send", input.all.len());
    let progress = Progress::sending(input.all.len() as u64);
    play(&input, &arguments.rules(), arguments.one_partition, services, progress).await
}

/// The bookings to send.
pub struct Input {
    /// The file.
    name: String,
    /// The bookings, in the order of the file.
    pub all: Vec<Booking>,
    /// The lines that are not sent.
    unsent: file::Unsent,
}

impl Input {
    /// Reads a file, and keeps its first bookings.
    ///
    /// # Errors
    /// When the file is broken.
    pub async fn read(path: &Path, at_most: Option<usize>) -> anyhow::Result<Self> {
        let (path, name) = (path.to_owned(), path.display().to_string());
        let read = tokio::task::spawn_blocking(move || file::read(&path)).await?;
        let file::Bookings { mut all, unsent } =
            read.with_context(|| format!("{name} cannot be replayed, and nothing was sent"))?;
        all.truncate(at_most.unwrap_or(usize::MAX));
        Ok(Self { name, all, unsent })
    }

    /// The number of their nights.
    pub fn nights(&self) -> u64 {
        self.all.iter().map(|booking| u64::from(booking.nights)).sum()
    }
}

/// Plays the bookings by these rules, and compares everything with the model.
///
/// # Errors
/// When it cannot finish: a service is unavailable or refuses a request.
pub async fn play(
    input: &Input,
    rules: &Rules,
    one_partition: bool,
    services: &Services,
    progress: Progress,
) -> anyhow::Result<Summary> {
    let (purchase, ledger) = (services.named(PURCHASE)?, services.named(LEDGER)?);
    let all = &input.all;
    let offers_set = offers::set(purchase, rules, &offers::nights(all)).await?;
    let began = Instant::now();
    let mut replay = Replay::new(purchase, all, Model::new(rules.limits(), rules.when_full(), all.len()), progress);
    replay.play().await?;
    let (model, cancelled) = (replay.model, replay.ended);
    let playing_ms = milliseconds(began);

    let began = Instant::now();
    let stopped = "everything is settled, but not everything could be read; run it again to compare";
    let mut comparison = compare(purchase, all, &model, rules.voucher).await.context(stopped)?;
    let books: TrialBalance = trial_balance::at_rest(ledger).await.context(stopped)?;
    compare_books(&books, &mut comparison.wrong);
    let Comparison { results, wrong, differing } = comparison;
    let left = model.left_of(rules.rooms);
    let apologies = results.compensated + results.waiting;
    Ok(Summary {
        file: input.name.clone(),
        bookings: all.len() as u64,
        nights: input.nights(),
        unsent: input.unsent,
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
        most_over_sold: model.most_above(rules.rooms),
        turned_away: left.turned_away,
        empty_rooms: left.empty,
        lost_to_empty_rooms: euros(left.empty_cents),
        apologies_per_10_000: apologies * 10_000 / (all.len() as u64).max(1),
        wrong,
        differing,
        must_equal_the_model: one_partition,
        playing_ms,
        checking_ms: milliseconds(began),
    })
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
