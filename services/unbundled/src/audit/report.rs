//! The report of an audit, for people and as JSON.

use std::fmt::Write as _;

use serde_json::json;

use super::Audited;

/// At most so many findings are printed; JSON has all.
const FINDINGS_SHOWN: usize = 20;

/// For people.
pub fn text(audited: &Audited) -> String {
    let report = &audited.report;
    let mut text = String::new();
    if !report.checked.is_empty() {
        figures(&mut text, audited);
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

fn figures(text: &mut String, audited: &Audited) {
    let (report, counted) = (&audited.report, &audited.counted);
    let _ = writeln!(text, "{:<30} {:>9} {:>9} {:>9} {:>9}", "derived again", "batches", "facts", "frames", "rows");
    for checked in &report.checked {
        let name = format!("{} {}", checked.service, checked.stage);
        let (batches, facts, frames, rows) = (checked.batches, checked.facts, checked.frames, checked.rows);
        let _ = writeln!(text, "{name:<30} {batches:>9} {facts:>9} {frames:>9} {rows:>9}");
    }
    let unread: u64 = report.checked.iter().map(|checked| checked.unread).sum();
    let _ = writeln!(
        text,
        "\n{} entries added up, {} claims and {} transfers, {} purchases with their outcomes, {} in flight; \
         {unread} frames not read yet\n",
        counted.entries, counted.claims, counted.transfers, counted.purchases, counted.in_flight
    );
}

/// One JSON object on a line.
pub fn json(audited: &Audited) -> String {
    let checked = audited.report.checked.iter().map(|checked| {
        json!({
            "service": checked.service, "stage": checked.stage, "batches": checked.batches, "facts": checked.facts,
            "frames": checked.frames, "rows": checked.rows, "unread": checked.unread,
        })
    });
    let findings = audited.report.findings.iter();
    let findings = findings.map(|f| json!({ "service": f.service, "place": f.place, "what": f.what }));
    let object = json!({
        "clean": audited.report.findings.is_empty(),
        "checked": checked.collect::<Vec<_>>(),
        "entries": audited.counted.entries,
        "claims": audited.counted.claims,
        "transfers": audited.counted.transfers,
        "purchases": audited.counted.purchases,
        "in_flight": audited.counted.in_flight,
        "findings": findings.collect::<Vec<_>>(),
    });
    format!("{object}\n")
}
