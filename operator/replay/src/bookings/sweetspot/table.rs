//! The result as a Markdown table, which can be read as it is and put into a page.

use super::report::{Cell, Report};

/// The heads of the columns.
const HEADS: [&str; 10] = [
    "strict offers",
    "overbooked",
    "accepted",
    "told \"sold out\"",
    "charged, then money back",
    "refusals per 10,000",
    "apologies per 10,000",
    "vouchers, EUR",
    "lost to empty rooms, EUR",
    "turned away",
];

/// The table, and what was found to be wrong.
pub fn text(report: &Report) -> String {
    let mut lines = vec![row(&HEADS.map(str::to_owned)), row(&HEADS.map(|_| "---:".to_owned()))];
    lines.extend(report.cells.iter().map(|cell| row(&columns(cell))));
    let findings = report.cells.iter().flat_map(|cell| &cell.findings.first);
    let count: u64 = report.cells.iter().map(|cell| cell.findings.count).sum();
    let mut text = lines.concat();
    if count == 0 {
        text += "\nIn every cell, each booking, each cent and each night is as a program of its own computes it.\n";
    } else {
        text += &format!("\n{count} findings, the first:\n");
        findings.for_each(|finding| text += &format!("  {finding}\n"));
    }
    text
}

fn columns(cell: &Cell) -> [String; HEADS.len()] {
    [
        format!("{} %", cell.strict_percent),
        format!("{} %", cell.overbooking_percent),
        grouped(cell.accepted),
        grouped(cell.refused),
        grouped(cell.compensated),
        grouped(cell.refusals_per_10_000),
        grouped(cell.apologies_per_10_000),
        cell.vouchers.amount().to_string(),
        cell.lost_to_empty_rooms.amount().to_string(),
        grouped(cell.turned_away),
    ]
}

fn row(columns: &[String]) -> String {
    format!("| {} |\n", columns.join(" | "))
}

/// A number with commas between the thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
