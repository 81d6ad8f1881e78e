//! What `unbundled run` prints works as it is printed.

use std::process::{Command, Output};

use contracts::{Offer, Purchase, Status, TrialBalance};

use crate::scenarios::harness::{Local, balances_are, money};

/// The commands in a banner: each begins with `curl` and goes on as long as its lines end in a backslash.
fn commands(banner: &str) -> Vec<String> {
    let (mut commands, mut open) = (Vec::new(), String::new());
    for line in banner.lines().map(str::trim) {
        if !open.is_empty() || line.starts_with("curl ") {
            open += line;
            open += "\n";
            if !line.ends_with('\\') {
                commands.push(std::mem::take(&mut open));
            }
        }
    }
    commands
}

/// Runs a command as a user would and reads its answer as the contracts say.
fn run<T: serde::de::DeserializeOwned>(command: &str) -> T {
    let Output { status, stdout, stderr } = Command::new("sh").args(["-c", command]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command}{status}: {stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{command}{error}: {stdout}"))
}

#[tokio::test]
async fn the_three_things_to_try_work_as_printed() {
    let local = Local::start().await;
    assert!(local.banner().contains(local.data().to_str().unwrap()), "{}", local.banner());
    let commands = commands(local.banner());
    let [offer, purchase, books] = commands.as_slice() else { panic!("{commands:?}") };

    assert_eq!(run::<Offer>(offer).terms.price.to_string(), "15.30 GBP");
    let bought: Purchase = run(purchase);
    assert_eq!((bought.status, bought.total), (Status::Settled, Some(money("45.90 GBP"))));
    let charged = bought.charged.unwrap();
    assert_eq!(charged.currency().to_string(), "EUR");
    assert_eq!(run::<Purchase>(purchase), bought, "sent again it stays one purchase");
    let expected = format!("-{}", charged.amount());
    balances_are(&local.client, bought.customer.as_str(), &[("EUR", &expected)]).await;
    let books: TrialBalance = run(books);
    assert_eq!(books.keys().map(ToString::to_string).collect::<Vec<_>>(), ["EUR", "GBP"]);
    local.finish().await;
}
