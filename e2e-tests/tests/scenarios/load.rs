//! `unbundled load`: every purchase that it sends is settled. Its speed is not tested.

use serde_json::{Value, json};

use super::harness::{Client, System, run_to_end};

/// Runs `unbundled load` for a second and returns its JSON. It has to exit with code 0.
async fn load(client: &Client, words: &[&str]) -> Value {
    let urls = &client.addresses;
    let addresses = ["--exchange-rate", &urls.exchange_rate, "--purchase", &urls.purchase, "--ledger", &urls.ledger];
    let output =
        run_to_end(&[&["load"], words, &addresses, &["--seconds", "1", "--warm-up", "0", "--json"]].concat()).await;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn assert_all_settled(result: &Value) {
    let count = |name: &str| result["purchases"][name].as_u64().unwrap();
    let sent = count("attempted");
    assert!(sent > 0, "{result}");
    assert_eq!([count("acknowledged"), count("settled"), count("rejected"), count("failed")], [sent, sent, 0, 0]);
    assert_eq!(result["at_rest"], json!(true));
    let statuses: Vec<_> = result["purchases"]["responses"].as_object().unwrap().keys().collect();
    assert!(statuses.iter().all(|status| ["201", "202"].contains(&status.as_str())), "{statuses:?}");
    for stage in ["accept", "post", "settle"] {
        let commits = result["stages"][stage]["commits"].as_f64().unwrap();
        assert!(commits > 0.0, "{stage} has no commits: {result}");
    }
    assert!(result["stages"]["accept"]["facts_per_frame"].as_f64().unwrap() >= 1.0, "{result}");
}

#[tokio::test]
async fn single_purchases_of_a_load_are_all_settled() {
    let system = System::start().await;
    let result = load(&system.client, &["single"]).await;
    assert_all_settled(&result);
    assert_eq!((&result["clients"], &result["rate"]), (&json!(1), &Value::Null));
    assert!(result["to_accepted_ms"]["max"].as_f64().unwrap() > 0.0, "{result}");
    system.finish().await;
}

#[tokio::test]
async fn batches_of_a_load_are_all_settled_and_converted_if_they_pay_in_another_currency() {
    let system = System::start().await;
    let result = load(&system.client, &["batch", "--batch", "50", "--lines", "3", "--pay-in", "EUR"]).await;
    assert_all_settled(&result);
    assert_eq!(result["purchases"]["attempted"].as_u64().unwrap() % 50, 0);
    assert_eq!((&result["rate"]["base"], &result["rate"]["quote"]), (&json!("GBP"), &json!("EUR")));
    system.finish().await;
}

/// Loads with limited stock. Returns how many purchases were attempted, settled, refused and paid back.
async fn limited_load(system: &System, words: &[&str]) -> [u64; 4] {
    let result = load(&system.client, words).await;
    let counts = ["attempted", "settled", "sold_out", "compensated"];
    let counts = counts.map(|name| result["purchases"][name].as_u64().unwrap());
    assert_eq!(counts[0], counts[1..].iter().sum::<u64>(), "{result}");
    assert_eq!((&result["purchases"]["failed"], &result["at_rest"]), (&json!(0), &json!(true)));
    assert!(counts[0] > 0 && result["capacity"].is_u64(), "{result}");
    counts
}

#[tokio::test]
async fn a_load_with_enough_stock_settles_everything() {
    let system = System::start().await;
    let lines = ["--lines", "3", "--capacity-lines", "2", "--capacity", "1000000"];
    let [attempted, settled, ..] = limited_load(&system, &[&["batch", "--batch", "50"][..], &lines].concat()).await;
    assert_eq!(settled, attempted);
    let strict = ["single", "--capacity", "1000000", "--hot", "--constraint", "strict"];
    let [attempted, settled, ..] = limited_load(&system, &strict).await;
    assert_eq!(settled, attempted);
    system.finish().await;
}

/// Of a hot product, exactly the capacity is sold; the others are refused, or paid back if they were charged before.
#[tokio::test]
async fn a_load_beyond_the_stock_sells_the_capacity() {
    let system = System::start().await;
    let hot = ["batch", "--batch", "50", "--capacity", "7", "--hot"];
    let [attempted, settled, sold_out, compensated] = limited_load(&system, &hot).await;
    assert!(settled == 7 && attempted >= 200 && sold_out + compensated == attempted - 7);
    // All of the first batch but seven were charged before anybody asked for the stock.
    assert!(compensated >= 43, "{compensated}");
    let strict = [&hot[..], &["--constraint", "strict", "--no-wait"]].concat();
    let [attempted, settled, sold_out, compensated] = limited_load(&system, &strict).await;
    assert!(settled == 7 && compensated == 0 && sold_out == attempted - 7);
    system.finish().await;
}

#[tokio::test]
async fn a_load_without_a_running_system_names_the_command_that_starts_it() {
    // The port is bound, so that nobody else gets it, but nothing listens on it.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nowhere = format!("http://{}", socket.local_addr().unwrap());
    let output = run_to_end(&["load", "single", "--exchange-rate", &nowhere]).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("`unbundled run`") && stderr.contains(&nowhere), "{stderr}");
}
