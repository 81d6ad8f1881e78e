//! Offers, and names with unusual characters.

use contracts::Constraint;
use serde_json::json;

use super::harness::{Namespace, System, assert_balances, money};

#[tokio::test]
async fn an_offer_has_defaults_and_only_a_change_raises_its_version() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku) = (&system.client, namespace.name("lantern"));
    client.get(&client.offer_url(&sku)).await.expect_status(404).problem();

    let first = client.put_priced_offer(&sku, "15.3", "GBP").await;
    assert_eq!((first.sku.as_str(), first.version), (sku.as_str(), 1));
    assert_eq!((first.terms.capacity, first.allocated, first.available), (None, 0, None));
    assert_eq!((first.terms.constraint, first.terms.open_price), (Constraint::Loose, false));
    assert_eq!((first.terms.overbooking_percent, first.terms.voucher_percent.get()), (0, 0));
    assert_eq!(first.terms.price.to_string(), "15.30 GBP");

    let spelled_out = json!({"price": {"amount": "15.300", "currency": "GBP"}, "capacity": null, "constraint": "loose",
        "overbooking_percent": 0, "voucher_percent": 0, "open_price": false});
    assert_eq!(client.put_offer(&sku, &spelled_out).await, first, "the same terms change nothing");
    let second = client.put_priced_offer(&sku, "16.00", "GBP").await;
    assert_eq!(second.version, 2);
    let third = client.put_priced_offer(&sku, "15.30", "GBP").await;
    assert_eq!(third.version, 3, "a return to earlier terms is a change");
    let shown = client.get(&client.offer_url(&sku)).await.expect_status(200).json::<contracts::Offer>();
    assert_eq!(shown, third);
    system.finish().await;
}

#[tokio::test]
async fn a_new_price_applies_to_purchases_accepted_after_it() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, sku, customer) = (&system.client, namespace.name("lantern"), namespace.name("alice"));
    let order = namespace.order(&customer, "GBP", &[&sku]);
    for (number, price) in ["1.00", "2.00", "4.00"].into_iter().enumerate() {
        client.put_priced_offer(&sku, price, "GBP").await;
        let bought = client.buy(&namespace.name(number), &order).await.expect_status(201).purchase();
        assert_eq!(bought.charged, Some(money(&format!("{price} GBP"))));
    }
    assert_balances(client, &customer, &[("GBP", "-7.00")]).await;
    system.finish().await;
}

#[tokio::test]
async fn names_with_any_printable_character_are_offered_bought_and_charged() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    for (number, odd) in
        ["a/b", "100%", "%2F", "a b  c", "?x=1&y#z", "~!@$^*()", "\"quoted\\\"", "a+b", ";,'|<>{}[]`", "../x"]
            .into_iter()
            .enumerate()
    {
        let name = namespace.name(odd);
        let offer = client.put_priced_offer(&name, "1.00", "GBP").await;
        assert_eq!(offer.sku.as_str(), name);
        assert_eq!(client.get(&client.offer_url(&name)).await.expect_status(200).json::<contracts::Offer>(), offer);
        let order = namespace.order(&name, "GBP", &[&name]);
        let bought = client.buy(&namespace.name(number), &order).await.expect_status(201).purchase();
        assert_eq!((bought.customer.as_str(), bought.lines[0].sku.as_str()), (name.as_str(), name.as_str()));
        assert_balances(client, &name, &[("GBP", "-1.00")]).await;
    }
    system.finish().await;
}

#[tokio::test]
async fn names_are_case_sensitive() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let (client, lower, upper) = (&system.client, namespace.name("lantern"), namespace.name("LANTERN"));
    client.put_priced_offer(&lower, "1.00", "GBP").await;
    client.get(&client.offer_url(&upper)).await.expect_status(404).problem();
    client.put_priced_offer(&upper, "2.00", "GBP").await;
    let (alice, big_alice) = (namespace.name("alice"), namespace.name("Alice"));
    client.buy(&namespace.name("buy"), &namespace.order(&alice, "GBP", &[&lower])).await.expect_status(201);
    client.buy(&namespace.name("BUY"), &namespace.order(&big_alice, "GBP", &[&upper])).await.expect_status(201);
    assert_balances(client, &alice, &[("GBP", "-1.00")]).await;
    assert_balances(client, &big_alice, &[("GBP", "-2.00")]).await;
    system.finish().await;
}

/// Ids such as `batch` and `..` cannot be made unique. Their content is always the same, so another run is a retry.
#[tokio::test]
async fn a_purchase_with_any_request_id_is_found_at_its_location() {
    let (system, namespace) = (System::start().await, Namespace::new());
    let client = &system.client;
    client.put_priced_offer("scenario lantern", "15.30", "GBP").await;
    let order = json!({"customer": "scenario odd ids", "pay_in": "GBP", "occurred_at": "2010-12-01T08:26:00Z",
        "lines": [{"sku": "scenario lantern", "quantity": 1}]});
    let odd = ["a/b", "a?b=c", "a#b", "a%2Fb", "a~b", "a~2Fb", "a+b", "a;b", "a.b", "..a", "é"]
        .map(|odd| namespace.name(odd));
    let longest = "~".repeat(64);
    let fixed = ["batch", ".", "..", "...", "%", "/", "~", longest.as_str()].map(str::to_owned);
    for key in odd.into_iter().chain(fixed) {
        if !key.is_ascii() {
            client.buy(&key, &order).await.expect_status(400).problem();
            continue;
        }
        let response = client.buy(&key, &order).await.expect_status(201);
        let bought = response.purchase();
        assert_eq!(bought.request_id.0, key);
        let location = response.header("location").unwrap();
        let shown = client.get(&format!("{}{location}", client.addresses.purchase)).await.expect_status(200);
        assert_eq!(shown.body, response.body, "{key} at {location}");
    }
    system.finish().await;
}
