//! The result as an SVG chart: apologies, refusals and money over overbooking, with a line for each share of strict
//! offers.

use std::collections::{BTreeMap, BTreeSet};

use money::Money;

use super::report::{Cell, Report};
use super::table::grouped;
use crate::bookings::rules::StrictShare;

/// The size of the image, and of the area of a panel that has the lines.
const SIZE: [u32; 2] = [1_080, 440];
const AREA: [f64; 2] = [240.0, 250.0];
/// The left edges of the panels' areas, and their top.
const LEFT: [f64; 3] = [75.0, 430.0, 795.0];
const TOP: f64 = 110.0;
/// The number of intervals on an axis of values.
const STEPS: u32 = 5;
/// From all loose to all strict, on a light background.
const COLORS: [&str; 5] = ["#e69f00", "#9acd4e", "#35b779", "#31688e", "#440154"];
/// The color of what empty rooms cost. The sequential model knows no order of charging, so it is the same for all shares.
const EMPTY: &str = "#c0392b";

/// A line of a panel: its color, and a value for each percentage of overbooking.
struct Line {
    color: &'static str,
    values: Vec<f64>,
}

/// The chart.
pub fn svg(report: &Report) -> String {
    let [width, height] = SIZE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let title = format!("{} hotel bookings, sold on different terms", grouped(report.bookings));
    svg += &text(f64::from(width) / 2.0, 28.0, "middle", 17, &title);
    let shares: BTreeSet<_> = report.cells.iter().map(|cell| cell.strict_percent).collect();
    let percents: BTreeSet<_> = report.cells.iter().map(|cell| cell.overbooking_percent).collect();
    let of_share = |color, share: u8, value: fn(&Cell) -> f64| {
        let cells = report.cells.iter().filter(|cell| cell.strict_percent == share);
        let values: BTreeMap<_, _> = cells.map(|cell| (cell.overbooking_percent, value(cell))).collect();
        Line { color, values: values.into_values().collect() }
    };
    let by_share = |value| shares.iter().map(|share| of_share(color(*share), *share, value)).collect();
    let apologies: Vec<_> = by_share(|cell| count(cell.apologies_per_10_000));
    let refusals: Vec<_> = by_share(|cell| count(cell.refusals_per_10_000));
    let mut money: Vec<_> = by_share(|cell| euros(cell.vouchers));
    let any = shares.first().map(|share| of_share(EMPTY, *share, |cell| euros(cell.lost_to_empty_rooms)));
    money.extend(any);
    svg += &panel(LEFT[0], "Apologies per 10,000 bookings", &percents, &apologies);
    svg += &panel(LEFT[1], "Told “sold out” per 10,000 bookings", &percents, &refusals);
    svg += &panel(LEFT[2], "EUR: vouchers, and lost to empty rooms", &percents, &money);
    svg + &legend(&shares) + "</svg>\n"
}

fn panel(left: f64, title: &str, percents: &BTreeSet<u32>, lines: &[Line]) -> String {
    let [width, height] = AREA;
    let most = lines.iter().flat_map(|line| &line.values).fold(1.0, |most: f64, value| most.max(*value));
    let top = round_up(most);
    let y = |value: f64| TOP + height - value / top * height;
    let intervals = count(percents.len().saturating_sub(1) as u64).max(1.0);
    let x = |place: usize| left + width * count(place as u64) / intervals;
    let mut svg = text(left + width / 2.0, TOP - 20.0, "middle", 13, title);
    for step in 0..=STEPS {
        let value = top * f64::from(step) / f64::from(STEPS);
        let at = y(value);
        let right = left + width;
        svg += &format!("<path d=\"M{left:.1} {at:.1}H{right:.1}\" stroke=\"#ddd\"/>\n");
        svg += &text(left - 8.0, at + 4.0, "end", 12, &label(value));
    }
    for (place, percent) in percents.iter().enumerate() {
        svg += &text(x(place), TOP + height + 20.0, "middle", 12, &format!("{percent} %"));
    }
    svg += &text(left + width / 2.0, TOP + height + 40.0, "middle", 12, "rooms sold above those that there are");
    for Line { color, values } in lines {
        let points: Vec<_> = values.iter().enumerate().map(|(at, value)| (x(at), y(*value))).collect();
        let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let dashes = if *color == EMPTY { " stroke-dasharray=\"6 4\"" } else { "" };
        let path = path.join(" ");
        svg += &format!("<polyline points=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"{dashes}/>\n");
        for (x, y) in points {
            svg += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>\n");
        }
    }
    svg
}

/// The color of a share of strict offers.
fn color(strict_percent: u8) -> &'static str {
    let colors = StrictShare::ALL.into_iter().zip(COLORS);
    let mut colors = colors.filter(|(share, _)| share.percent() == strict_percent);
    colors.next().map_or(EMPTY, |(_, color)| color)
}

fn legend(shares: &BTreeSet<u8>) -> String {
    let mut svg = String::new();
    let entries = shares.iter().map(|share| (format!("{share} % of the offers strict"), color(*share)));
    let entries = entries.chain([("lost to empty rooms".to_owned(), EMPTY)]);
    for (place, (name, color)) in entries.enumerate() {
        let left = 30.0 + 178.0 * count(place as u64);
        svg += &format!("<rect x=\"{left:.1}\" y=\"46\" width=\"14\" height=\"14\" fill=\"{color}\"/>\n");
        svg += &text(left + 20.0, 58.0, "start", 12, &name);
    }
    svg
}

fn text(x: f64, y: f64, anchor: &str, size: u32, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{text}</text>\n")
}

/// The smallest of 1, 2, 2.5, 5 and 10 times a power of ten that is not less than this.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let round = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power);
    round.into_iter().find(|round| *round >= value).unwrap_or(10.0 * power)
}

/// A number at an axis. Only axes up to 2.5 have fractions.
fn label(value: f64) -> String {
    if value.fract().abs() > f64::EPSILON {
        return format!("{value:.1}");
    }
    format!("{value:.0}")
}

/// A count as a coordinate: far below the integers that a float holds exactly.
fn count(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

/// An amount as a coordinate: the decimal text of a sum of euros is a number.
fn euros(money: Money) -> f64 {
    money.amount().to_string().parse().unwrap_or_default()
}
