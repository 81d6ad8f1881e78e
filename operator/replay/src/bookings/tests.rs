//! The file, and the model that decides what has to come of it.

use super::file::{Unsent, bookings};
use super::model::{Fate, Limits, Model, Nights, WhenFull};
use super::nights::{Booking, Hotel, Night, rounded_half_even};

const HEADER: &str = "hotel,is_canceled,lead_time,arrival_date_year,arrival_date_month,arrival_date_day_of_month,\
    stays_in_weekend_nights,stays_in_week_nights,adr,reservation_status,reservation_status_date\n";

fn read(lines: &[&str]) -> Result<super::file::Bookings, String> {
    let text = HEADER.to_owned() + &lines.join("\n");
    bookings(text.as_bytes()).map_err(|error| error.to_string())
}

fn one(line: &str) -> Booking {
    read(&[line]).unwrap().all.pop().unwrap()
}

#[test]
fn a_line_is_a_booking() {
    let booking = one("City Hotel,1,31,2016,March,1,2,1,75.5,Canceled,2016-02-20");
    let expected = Booking {
        line: 2,
        hotel: Hotel::City,
        made_on: "2016-01-30".parse().unwrap(),
        arrival: "2016-03-01".parse().unwrap(),
        nights: 3,
        night_cents: 7_550,
        ended_on: Some("2016-02-20".parse().unwrap()),
    };
    assert_eq!(booking, expected);
    let skus: Vec<_> = booking.nights().map(|night| night.sku().to_string()).collect();
    assert_eq!(skus, ["city:2016-03-01", "city:2016-03-02", "city:2016-03-03"]);
    assert_eq!(one("Resort Hotel,0,0,2016,March,1,0,1,0,Check-Out,2016-03-02").cents(), 0);
}

#[test]
fn stays_without_a_night_and_negative_prices_are_not_sent() {
    let lines = [
        "City Hotel,0,0,2016,March,1,0,1,10,Check-Out,2016-03-02",
        "City Hotel,0,0,2016,March,1,0,0,10,Check-Out,2016-03-01",
        "City Hotel,0,0,2016,March,1,0,1,-6.38,Check-Out,2016-03-02",
    ];
    let bookings = read(&lines).unwrap();
    assert_eq!((bookings.all.len(), bookings.unsent), (1, Unsent { without_a_night: 1, negative_price: 1 }));
}

#[test]
fn a_broken_line_is_named_with_its_column() {
    let check = |line: &str, expected: &str| assert_eq!(read(&[line]).unwrap_err(), expected);
    check(
        "City Inn,0,0,2016,March,1,0,1,10,Check-Out,2016-03-02",
        "line 2, hotel: `City Inn` is neither `Resort Hotel` nor `City Hotel`",
    );
    check(
        "City Hotel,0,0,2016,March,32,0,1,10,Check-Out,2016-03-02",
        "line 2, arrival_date_day_of_month: `32` is no day of that month",
    );
    check(
        "City Hotel,0,-1,2016,March,1,0,1,10,Check-Out,2016-03-02",
        "line 2, lead_time: `-1` is no number from 0 on of a usual size",
    );
    check(
        "City Hotel,0,0,2016,March,1,0,1,10.125,Check-Out,2016-03-02",
        "line 2, adr: `10.125` is no price with at most two decimals",
    );
    check("City Hotel,0,0,2016,March,1,0,1,10", "line 2 has 9 columns where 11 are expected");
    let other = bookings("line,invoice\n".as_bytes()).unwrap_err().to_string();
    assert!(other.contains("no column `hotel`"), "{other}");
    assert!(read(&[]).is_err());
}

#[test]
fn a_cancellation_returns_everything_until_a_week_before_each_night() {
    // Three nights at 9.99, from March 1. Until February 23, 00:00, the first one is returned in full.
    let ending = |day: &str| one(&format!("City Hotel,1,60,2016,March,1,0,3,9.99,Canceled,{day}")).returned_cents();
    assert_eq!(ending("2016-02-22"), 2_997);
    // Half of 9.99 is kept: 4.995, which is rounded half to even.
    assert_eq!(ending("2016-02-23"), 2_997 - 500);
    assert_eq!(ending("2016-02-24"), 2_997 - 999);
    assert_eq!(ending("2016-03-01"), 2_997 - 1_498);
    assert_eq!([5, 15, 14, 16].map(|n| rounded_half_even(n, 10)), [0, 2, 1, 2]);
}

/// A model of hotels with two rooms, and bookings of the nights that follow a day of March.
fn model(when_full: WhenFull) -> (Model, impl Fn(u16, u16) -> Booking) {
    let book =
        |day: u16, nights: u16| one(&format!("City Hotel,0,0,2016,March,{day},0,{nights},10,Check-Out,2016-03-30"));
    (Model::new(Limits { resort: 2, city: 2 }, when_full, 9), book)
}

fn night(day: u32) -> Night {
    Night { hotel: Hotel::City, date: chrono::NaiveDate::from_ymd_opt(2016, 3, day).unwrap() }
}

#[test]
fn a_booking_gets_all_nights_or_none() {
    let (mut model, booking) = model(WhenFull::Refuse);
    let (long, short) = (booking(1, 3), booking(2, 1));
    model.book(0, &short);
    model.book(1, &short);
    model.book(2, &long);
    assert_eq!((model.fate(2), model.held(night(1)), model.held(night(2))), (Fate::Refused, 0, 2));
    assert!(model.end(0, &short) && !model.end(0, &short) && !model.end(2, &long));
    model.book(3, &long);
    assert_eq!((model.fate(3), model.held(night(1)), model.nights_at_limit()), (Fate::Accepted, 1, 1));
    assert_eq!(model.most_above(Limits { resort: 2, city: 1 }), 1);
}

#[test]
fn who_waits_longest_gets_the_room() {
    let (mut model, booking) = model(WhenFull::Wait);
    let (long, short) = (booking(1, 2), booking(2, 1));
    for index in 0..2 {
        model.book(index, &short);
    }
    model.book(2, &long);
    model.book(3, &short);
    assert_eq!([2, 3].map(|index| model.waiting(index, &short)), [1, 1]);
    assert!(model.end(0, &short));
    assert_eq!([2, 3].map(|index| model.waiting(index, &short)), [0, 1]);
    // A room that is free goes to nobody who comes later than those who wait.
    assert!(model.end(3, &short) && model.end(1, &short));
    model.book(4, &short);
    assert_eq!((model.held(night(2)), model.waiting(4, &short)), (2, 0));
}

#[test]
fn empty_rooms_count_in_nights_that_refused_somebody_and_guests_above_the_rooms_in_all() {
    let (mut model, booking) = model(WhenFull::Refuse);
    let (short, other) = (booking(2, 1), booking(3, 1));
    let dear = Booking { night_cents: 1_600, ..short.clone() };
    model.book(0, &short);
    model.book(1, &short);
    model.book(2, &dear);
    model.book(3, &other);
    let rooms = |count| Limits { resort: count, city: count };
    assert_eq!(model.left_of(rooms(2)), Nights::default());
    assert_eq!(model.left_of(rooms(1)).turned_away, 1);
    // One room of the second night is free again; the three bookings for it asked for 12.00 on average.
    assert!(model.end(0, &short));
    assert_eq!(model.left_of(rooms(2)), Nights { turned_away: 0, empty: 1, empty_cents: 1_200 });
}
