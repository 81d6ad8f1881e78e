//! The two passes over the file, each on a thread of its own: one reads it to its end, the other builds the batches.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use money::Currency;
use operator_client::Progress;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::batch::{Batch, Batches, Invoices};
use crate::expected::Rates;
use crate::file::FileError;
use crate::selection::Selection;
use crate::shape::Shape;
use crate::source::SourceFile;
use crate::summary::Contents;
use crate::survey::Survey;

/// Reads the file to its end.
///
/// # Errors
/// [`FileError`], with the name of the file.
pub async fn read(path: &Path, selection: Selection) -> anyhow::Result<(Contents, Arc<Survey>)> {
    let file = path.to_owned();
    let read = spawn_blocking(move || {
        let progress = Progress::reading(std::fs::metadata(&file).map_or(0, |file| file.len()));
        let mut source = SourceFile::open(&file, progress)?;
        let packing = source.packing();
        let survey = Survey::of(source.lines()?, selection)?;
        Ok::<_, FileError>((packing, survey))
    });
    let (packing, survey) =
        read.await?.with_context(|| format!("{} cannot be replayed, and nothing was sent", path.display()))?;
    let contents = Contents {
        file: path.display().to_string(),
        shape: Shape { form: survey.form, packing, encoding: survey.encoding },
        days: selection.days,
        lines: survey.lines.clone(),
        invoices: survey.invoices.clone(),
        offers: survey.offers.len() as u64,
    };
    Ok((contents, Arc::new(survey)))
}

/// Builds the batches on a separate thread. One batch waits in the channel while the next is being built.
pub fn batches(path: &Path, survey: Arc<Survey>, pay_in: Option<Currency>) -> mpsc::Receiver<Result<Batch, FileError>> {
    let (sender, receiver) = mpsc::channel(1);
    let path = path.to_owned();
    spawn_blocking(move || {
        let built = build(&path, &survey, pay_in, |batch| sender.blocking_send(Ok(batch)).is_ok());
        if let Err(error) = built {
            // If the receiver is gone, sending has stopped and has reported the reason.
            drop(sender.blocking_send(Err(error)));
        }
    });
    receiver
}

fn build(
    path: &Path,
    survey: &Survey,
    pay_in: Option<Currency>,
    mut passes_on: impl FnMut(Batch) -> bool,
) -> Result<(), FileError> {
    let rates = match Rates::built_in() {
        Ok(rates) => rates,
        Err(error) => unreachable!("a test checks that the built-in history is valid: {error}"),
    };
    let mut source = SourceFile::open(path, Progress::hidden())?;
    let mut batches = Batches::of(Invoices::of(source.lines()?, survey, pay_in), &rates);
    while let Some(batch) = batches.next()? {
        if !passes_on(batch) {
            break;
        }
    }
    Ok(())
}
