//! Offers, and names with whatever characters are allowed.

use contracts::Constraint;
use serde_json::json;

use super::harness::{Corner, System, balances_are, money};

#[tokio::test]
async fn an_offer_has_defaults_and_a_version_that_only_a_change_raises() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku) = (&system.client, corner.name("lantern"));
    client.get(&client.offer_url(&sku)).await.is(404).problem();

    let first = client.offer_for(&sku, "15.3", "GBP").await;
    assert_eq!((first.sku.as_str(), first.version), (sku.as_str(), 1));
    assert_eq!((first.terms.capacity, first.allocated, first.available), (None, 0, None));
    assert_eq!((first.terms.constraint, first.terms.open_price), (Constraint::Loose, false));
    assert_eq!((first.terms.overbooking_percent, first.terms.voucher_percent), (0, 0));
    assert_eq!(first.terms.price.to_string(), "15.30 GBP");

    let spelled_out = json!({"price": {"amount": "15.300", "currency": "GBP"}, "capacity": null, "constraint": "loose",
        "overbooking_percent": 0, "voucher_percent": 0, "open_price": false});
    assert_eq!(client.offer(&sku, &spelled_out).await, first, "the same again changes nothing");
    let second = client.offer_for(&sku, "16.00", "GBP").await;
    assert_eq!(second.version, 2);
    let third = client.offer_for(&sku, "15.30", "GBP").await;
    assert_eq!(third.version, 3, "back is a change, too");
    let shown = client.get(&client.offer_url(&sku)).await.is(200).json::<contracts::Offer>();
    assert_eq!(shown, third);
    system.finish().await;
}

#[tokio::test]
async fn a_new_price_is_for_what_is_accepted_after_it() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku, customer) = (&system.client, corner.name("lantern"), corner.name("alice"));
    let order = corner.order(&customer, "GBP", &[&sku]);
    for (number, price) in ["1.00", "2.00", "4.00"].into_iter().enumerate() {
        client.offer_for(&sku, price, "GBP").await;
        let bought = client.buy(&corner.name(number), &order).await.is(201).purchase();
        assert_eq!(bought.charged, Some(money(&format!("{price} GBP"))));
    }
    balances_are(client, &customer, &[("GBP", "-7.00")]).await;
    system.finish().await;
}

#[tokio::test]
async fn a_capacity_is_refused_until_stock_is_allocated() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, sku) = (&system.client, corner.name("lantern"));
    let terms = json!({"price": {"amount": "15.30", "currency": "GBP"}, "capacity": 5});
    let problem = client.put(&client.offer_url(&sku), &terms).await.is(422).problem();
    assert_eq!(problem.pointer.as_deref(), Some("/capacity"));
    client.get(&client.offer_url(&sku)).await.is(404);
    system.finish().await;
}

#[tokio::test]
async fn names_with_any_printable_character_are_offered_bought_and_charged() {
    let (system, corner) = (System::start().await, Corner::new());
    let client = &system.client;
    for (number, odd) in
        ["a/b", "100%", "%2F", "a b  c", "?x=1&y#z", "~!@$^*()", "\"quoted\\\"", "a+b", ";,'|<>{}[]`", "../x"]
            .into_iter()
            .enumerate()
    {
        let name = corner.name(odd);
        let offer = client.offer_for(&name, "1.00", "GBP").await;
        assert_eq!(offer.sku.as_str(), name);
        assert_eq!(client.get(&client.offer_url(&name)).await.is(200).json::<contracts::Offer>(), offer);
        let order = corner.order(&name, "GBP", &[&name]);
        let bought = client.buy(&corner.name(number), &order).await.is(201).purchase();
        assert_eq!((bought.customer.as_str(), bought.lines[0].sku.as_str()), (name.as_str(), name.as_str()));
        balances_are(client, &name, &[("GBP", "-1.00")]).await;
    }
    system.finish().await;
}

#[tokio::test]
async fn names_are_case_sensitive() {
    let (system, corner) = (System::start().await, Corner::new());
    let (client, lower, upper) = (&system.client, corner.name("lantern"), corner.name("LANTERN"));
    client.offer_for(&lower, "1.00", "GBP").await;
    client.get(&client.offer_url(&upper)).await.is(404).problem();
    client.offer_for(&upper, "2.00", "GBP").await;
    let (alice, big_alice) = (corner.name("alice"), corner.name("Alice"));
    client.buy(&corner.name("buy"), &corner.order(&alice, "GBP", &[&lower])).await.is(201);
    client.buy(&corner.name("BUY"), &corner.order(&big_alice, "GBP", &[&upper])).await.is(201);
    balances_are(client, &alice, &[("GBP", "-1.00")]).await;
    balances_are(client, &big_alice, &[("GBP", "-2.00")]).await;
    system.finish().await;
}

/// `batch` and dots cannot be made unique: their content is always the same, so another run is a retry.
#[tokio::test]
async fn a_purchase_with_any_request_id_is_found_at_its_location() {
    let (system, corner) = (System::start().await, Corner::new());
    let client = &system.client;
    client.offer_for("scenario lantern", "15.30", "GBP").await;
    let order = json!({"customer": "scenario odd ids", "pay_in": "GBP", "occurred_at": "2010-12-01T08:26:00Z",
        "lines": [{"sku": "scenario lantern", "quantity": 1}]});
    let odd =
        ["a/b", "a?b=c", "a#b", "a%2Fb", "a~b", "a~2Fb", "a+b", "a;b", "a.b", "..a", "é"].map(|odd| corner.name(odd));
    let longest = "~".repeat(64);
    let fixed = ["batch", ".", "..", "...", "%", "/", "~", longest.as_str()].map(str::to_owned);
    for key in odd.into_iter().chain(fixed) {
        if !key.is_ascii() {
            client.buy(&key, &order).await.is(400).problem();
            continue;
        }
        let answer = client.buy(&key, &order).await.is(201);
        let bought = answer.purchase();
        assert_eq!(bought.request_id.0, key);
        let location = answer.header("location").unwrap();
        let shown = client.get(&format!("{}{location}", client.at.purchase)).await.is(200);
        assert_eq!(shown.body, answer.body, "{key} at {location}");
    }
    system.finish().await;
}
