//! The report of an audit, as text and as JSON.

use std::fmt::Write as _;

use dataflow::audit::{Checked, Report};
use indicatif::{DecimalBytes, HumanCount};
use operator_client::per_second;
use serde_json::json;

use super::Audited;

/// The most findings in the text; JSON has all.
const FINDINGS_SHOWN: usize = 20;

/// The report as text.
pub fn text(audited: &Audited) -> String {
    let report = &audited.report;
    let mut text = String::new();
    if !report.checked.is_empty() {
        metrics(&mut text, audited);
    }
    // Writing into a string cannot fail.
    if report.findings.is_empty() {
        text.push_str("clean: everything stored is what was derived\n");
        return text;
    }
    let _ = writeln!(text, "{} findings:", report.findings.len());
    for finding in report.findings.iter().take(FINDINGS_SHOWN) {
        let _ = writeln!(text, "  {finding}");
    }
    if report.findings.len() > FINDINGS_SHOWN {
        let _ = writeln!(text, "  and {} more (--json prints all)", report.findings.len() - FINDINGS_SHOWN);
    }
    text
}

fn metrics(text: &mut String, audited: &Audited) {
    let report = &audited.report;
    let _ = writeln!(text, "{:<30} {:>9} {:>9} {:>9} {:>9}", "derived again", "batches", "facts", "frames", "rows");
    for checked in &report.checked {
        let name = format!("{} {}", checked.service, checked.stage);
        let (batches, facts, frames, rows) = (checked.batches, checked.facts, checked.frames, checked.rows);
        let _ = writeln!(text, "{name:<30} {batches:>9} {facts:>9} {frames:>9} {rows:>9}");
    }
    let unread = total(report, |checked| checked.unread);
    let facts = total(report, |checked| checked.facts);
    let _ = writeln!(
        text,
        "\n{} batch records, {} facts, {} frames, {} rows, {} in {:.1} s: {} facts a second",
        HumanCount(total(report, |checked| checked.batches)),
        HumanCount(facts),
        HumanCount(total(report, |checked| checked.frames)),
        HumanCount(total(report, |checked| checked.rows)),
        DecimalBytes(total(report, |checked| checked.bytes)),
        audited.took.as_secs_f64(),
        HumanCount(per_second(facts, audited.took)),
    );
    let counts = report.counts.iter().map(|(rows, count)| format!("{count} {}", rows.replace('_', " ")));
    let counts: Vec<_> = counts.chain([format!("{unread} frames not read yet")]).collect();
    let _ = writeln!(text, "{}\n", counts.join(", "));
}

fn total(report: &Report, of: impl Fn(&Checked) -> u64) -> u64 {
    report.checked.iter().map(of).sum()
}

/// The report as one line of JSON.
pub fn json(audited: &Audited) -> String {
    let checked = audited.report.checked.iter().map(|checked| {
        json!({
            "service": checked.service, "stage": checked.stage, "batches": checked.batches, "facts": checked.facts,
            "frames": checked.frames, "rows": checked.rows, "bytes": checked.bytes, "unread": checked.unread,
        })
    });
    let findings = audited.report.findings.iter();
    let findings = findings.map(|f| json!({ "service": f.service, "place": f.place, "what": f.what }));
    let mut object = json!({
        "clean": audited.report.findings.is_empty(),
        "checked": checked.collect::<Vec<_>>(),
        "milliseconds": u64::try_from(audited.took.as_millis()).unwrap_or(u64::MAX),
        "facts_per_second": per_second(total(&audited.report, |checked| checked.facts), audited.took),
        "findings": findings.collect::<Vec<_>>(),
    });
    for (rows, count) in &audited.report.counts {
        object[*rows] = json!(count);
    }
    format!("{object}\n")
}
