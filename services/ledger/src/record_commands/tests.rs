use stage::{Consumed, Partition, PartitionCount, read_events};
use stage_harness::{StageHarness, event};

use super::*;

fn asked(request_id: &str, fact: RecordCommandsInput) -> Event<RecordCommandsInput> {
    event(request_id, "2026-11-01T12:00:00Z".parse().unwrap(), fact)
}

fn claim_of(request_id: &str, json: &str) -> Event<RecordCommandsInput> {
    asked(request_id, RecordCommandsInput::ClaimAccount(ClaimAccount { request: serde_json::from_str(json).unwrap() }))
}

/// A transfer whose unknown accounts are not captured yet.
fn transfer_of(request_id: &str, from: &str, to: &str, amount: &str) -> Event<RecordCommandsInput> {
    let json = format!(r#"{{"from":"{from}","to":"{to}","amount":{{"amount":"{amount}","currency":"EUR"}}}}"#);
    let request = serde_json::from_str(&json).unwrap();
    asked(request_id, RecordCommandsInput::SubmitTransfer(SubmitTransfer { request, unknown: None }))
}

fn open(harness: &mut StageHarness<RecordCommands>, account: &str) {
    harness.put_foreign(&AccountRow::on_first_use(account.parse().unwrap()));
}

fn harness() -> StageHarness<RecordCommands> {
    StageHarness::new(RecordCommands, Partition(0), PartitionCount::new(2).unwrap())
}

/// With these accounts open, expects the replies `claim|transfer id [reason]` or `conflict`, and the emitted facts
/// `type key`.
fn check(opened: &[&str], requests: &[Event<RecordCommandsInput>], replies: &[&str], emitted: &[&str]) {
    for size in [1, usize::MAX] {
        let mut harness = harness();
        opened.iter().for_each(|account| open(&mut harness, account));
        let mut found = Vec::new();
        for batch in stage_harness::cut(requests.to_vec(), &[size]) {
            found.extend(harness.submit(batch).unwrap().iter().map(shown));
        }
        assert_eq!(found, replies);
        let mut facts: Vec<_> = harness.emitted(&LEDGER_COMMANDS).unwrap();
        facts.sort_by(|a, b| a.cause.request_id.cmp(&b.cause.request_id));
        let facts: Vec<_> = facts.iter().map(|e| format!("{} {}", stage::Payload::kind(&e.fact), e.key)).collect();
        assert_eq!(facts, emitted);
        assert_eq!(harness.replay(RecordCommands).unwrap(), *harness.state());
    }
}

fn shown(reply: &Reply) -> String {
    match reply {
        Reply::Claim(row) => format!("claim {}", row.request_id),
        Reply::Transfer(row) => match row.reason() {
            None => format!("transfer {}", row.request_id),
            Some(reason) => format!("transfer {} {}", row.request_id, reason.code),
        },
        Reply::Conflict => "conflict".to_owned(),
    }
}

#[test]
fn a_claim_is_recorded_and_emitted_to_the_owner_of_the_handle() {
    let alice = r#"{"handle":"alice"}"#;
    check(&[], &[claim_of("c1", alice)], &["claim c1"], &["AccountClaimed alice"]);
    let two = [claim_of("c1", alice), claim_of("c2", alice)];
    check(&[], &two, &["claim c1", "claim c2"], &["AccountClaimed alice", "AccountClaimed alice"]);
}

#[test]
fn a_transfer_goes_to_the_owner_of_the_payer() {
    check(&["alice", "bob"], &[transfer_of("t1", "alice", "bob", "5")], &["transfer t1"], &["TransferAccepted alice"]);
}

#[test]
fn a_transfer_with_an_unknown_account_is_rejected() {
    let one = [transfer_of("t1", "alice", "bob", "5")];
    check(&["alice"], &one, &["transfer t1 unknown_account"], &["TransferRejected alice"]);
}

#[test]
fn a_repeated_request_gets_the_same_reply_and_other_content_is_a_conflict() {
    let requests = [
        transfer_of("t1", "alice", "bob", "5"),
        transfer_of("t1", "alice", "bob", "5.00"),
        transfer_of("t1", "alice", "bob", "6"),
        claim_of("t1", r#"{"handle":"alice"}"#),
        claim_of("t1", r#"{"handle":"alice","overdraft":{"limit":"1","currency":"EUR","policy":"fee"}}"#),
    ];
    let replies = ["transfer t1", "transfer t1", "conflict", "claim t1", "conflict"];
    check(&["alice", "bob"], &requests, &replies, &["TransferAccepted alice", "AccountClaimed alice"]);
}

#[test]
fn a_rejected_transfer_stays_rejected_when_the_account_opens_later() {
    let (mut harness, transfer) = (harness(), || vec![transfer_of("t1", "alice", "bob", "5")]);
    for opened in ["alice", "bob"] {
        open(&mut harness, opened);
        let replies = harness.submit(transfer()).unwrap();
        assert_eq!(replies.iter().map(shown).collect::<Vec<_>>(), ["transfer t1 unknown_account"]);
    }
}

#[test]
fn the_unknown_accounts_are_captured_into_the_request() {
    let mut harness = harness();
    let requests = vec![
        transfer_of("t1", "alice", "customer:1", "5"),
        transfer_of("t2", "merchant", "customer:1", "5"),
        transfer_of("t3", "fx", "bob", "5"),
    ];
    let replies = harness.submit(requests).unwrap();
    let shown: Vec<_> = replies.iter().map(shown).collect();
    assert_eq!(shown, ["transfer t1 unknown_account", "transfer t2", "transfer t3 unknown_account"]);
    let Consumed::Requests(recorded) = harness.state().records[0].parse_consumed().unwrap() else { panic!("requests") };
    let unknown = |event: &Event<RecordCommandsInput>| match &event.fact {
        RecordCommandsInput::SubmitTransfer(asked) => {
            asked.unknown.iter().flatten().map(ToString::to_string).collect::<Vec<_>>()
        }
        RecordCommandsInput::ClaimAccount(_) => panic!("a transfer"),
    };
    let unknown: Vec<_> = read_events(recorded.get()).unwrap().iter().map(unknown).collect();
    assert_eq!(unknown, [vec!["alice".to_owned()], Vec::new(), vec!["bob".to_owned()]]);
    assert_eq!(harness.replay(RecordCommands).unwrap(), *harness.state());
}
