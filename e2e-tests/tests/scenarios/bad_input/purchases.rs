//! Purchases that are not JSON, or whose JSON is not a valid purchase.

use serde_json::{Value, json};

use super::{Shop, assert_no_effect, check, shop};

#[tokio::test]
async fn a_purchase_that_is_not_json_is_refused_with_line_and_column() {
    let Shop { system, namespace, order } = shop().await;
    let client = &system.client;
    let good = order.to_string();
    let bodies: [(&str, Vec<u8>); 9] = [
        ("empty", Vec::new()),
        ("cut off", good[..good.len() - 1].into()),
        ("not JSON", "customer=alice".into()),
        ("more after it", format!("{good} {good}").into()),
        ("a number beyond f64", good.replace("\"quantity\":1", "\"quantity\":1e400").into()),
        ("NaN", good.replace("\"quantity\":1", "\"quantity\":NaN").into()),
        ("not UTF-8", [good.as_bytes(), b"\xff"].concat()),
        ("a byte order mark", ["\u{feff}".as_bytes(), good.as_bytes()].concat()),
        ("NUL", vec![0]),
    ];
    for (what, body) in bodies {
        let request = client.purchase_request(&namespace.name("key"), &order).body(body);
        check(client, request, 400, None, what).await;
    }
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    for body in [
        deep("[", "]"),
        deep("{\"customer\":", "}"),
        good.replace("[{", &"[".repeat(10_000)),
        good.replace("\"customer\":", &format!("\"customer\":{},\"x\":", deep("[", "]"))),
    ] {
        client
            .send(client.purchase_request(&namespace.name("key"), &order).body(body))
            .await
            .expect_status(400)
            .problem();
    }
    assert_no_effect(client, &namespace).await;
    system.finish().await;
}

#[tokio::test]
async fn a_purchase_of_another_shape_or_with_a_refused_value_is_refused_with_the_field() {
    let Shop { system, namespace, order } = shop().await;
    let client = &system.client;
    for (field, value, status, pointer) in refused_values(&order) {
        let mut bad = order.clone();
        let top = matches!(field, "colour" | "customer" | "pay_in" | "lines" | "occurred_at");
        *(if top { &mut bad[field] } else { &mut bad["lines"][0][field] }) = value;
        let what = format!("{field} {}", bad.to_string().chars().take(300).collect::<String>());
        check(client, client.purchase_request(&namespace.name("key"), &bad), status, Some(pointer), &what).await;
    }
    let by_position = json!([order["customer"], "GBP", order["lines"], null]);
    check(client, client.purchase_request(&namespace.name("key"), &by_position), 400, None, "an array").await;
    for missing in ["customer", "pay_in", "lines"] {
        let mut bad = order.clone();
        bad.as_object_mut().unwrap().remove(missing);
        check(
            client,
            client.purchase_request(&namespace.name("key"), &bad),
            400,
            Some(&format!("/{missing}")),
            missing,
        )
        .await;
    }
    let twice = order.to_string().replacen('{', "{\"pay_in\":\"EUR\",", 1);
    let request = client.purchase_request(&namespace.name("key"), &order).body(twice);
    check(client, request, 400, Some("/pay_in"), "a field twice").await;
    check(client, client.purchase_request(&namespace.name("key"), &json!(7)), 400, None, "a number").await;
    assert_no_effect(client, &namespace).await;
    system.finish().await;
}

/// Fields of a purchase or of its line with a value that is refused, the status, and the pointer of the problem.
fn refused_values(order: &Value) -> Vec<(&'static str, Value, u16, &'static str)> {
    let name_65 = "x".repeat(65);
    let lines_2001 = Value::Array(vec![order["lines"][0].clone(); 2_001]);
    let price = |amount: Value| json!({"amount": amount, "currency": "GBP"});
    let at = "/lines/0/unit_price";
    vec![
        ("colour", json!("red"), 400, "/colour"),
        ("customer", json!(7), 400, "/customer"),
        ("customer", Value::Null, 400, "/customer"),
        ("customer", json!(""), 422, "/customer"),
        ("customer", json!(name_65), 422, "/customer"),
        ("customer", json!("a\nb"), 422, "/customer"),
        ("customer", json!("é"), 422, "/customer"),
        ("customer", json!(" a"), 422, "/customer"),
        ("pay_in", json!("XXX"), 422, "/pay_in"),
        ("pay_in", json!("EURO"), 422, "/pay_in"),
        ("pay_in", json!("eur"), 422, "/pay_in"),
        ("pay_in", json!("DEM"), 422, "/pay_in"),
        ("pay_in", json!(978), 400, "/pay_in"),
        ("lines", json!([]), 422, "/lines"),
        ("lines", lines_2001, 422, "/lines"),
        ("lines", json!({}), 400, "/lines"),
        ("lines", json!([["85123A", 1]]), 400, "/lines/0"),
        ("unit_price", json!(["1.00", "GBP"]), 400, at),
        ("occurred_at", json!("yesterday"), 422, "/occurred_at"),
        ("occurred_at", json!("2010-02-30T00:00:00Z"), 422, "/occurred_at"),
        ("occurred_at", json!("2010-12-01"), 422, "/occurred_at"),
        ("occurred_at", json!(1_291_191_960), 400, "/occurred_at"),
        ("quantity", json!(0), 422, "/lines/0/quantity"),
        ("quantity", json!(-0.0), 422, "/lines/0/quantity"),
        ("quantity", json!(-1), 422, "/lines/0/quantity"),
        ("quantity", json!(1_000_001), 422, "/lines/0/quantity"),
        ("quantity", json!(u64::MAX), 422, "/lines/0/quantity"),
        ("quantity", json!(1.5), 400, "/lines/0/quantity"),
        ("quantity", json!("1"), 400, "/lines/0/quantity"),
        ("sku", json!(name_65), 422, "/lines/0/sku"),
        ("price", json!("1.00"), 400, "/lines/0/price"),
        ("unit_price", json!("1.00"), 400, at),
        ("unit_price", price(json!(1)), 400, "/lines/0/unit_price/amount"),
        ("unit_price", price(json!("1e3")), 422, "/lines/0/unit_price/amount"),
        ("unit_price", price(json!("1,00")), 422, "/lines/0/unit_price/amount"),
        ("unit_price", price(json!("0.0000001")), 422, at),
        ("unit_price", price(json!("-0.01")), 422, at),
        ("unit_price", price(json!("1000000000.01")), 422, at),
        ("unit_price", price(json!("9".repeat(1_000))), 422, "/lines/0/unit_price/amount"),
    ]
}
