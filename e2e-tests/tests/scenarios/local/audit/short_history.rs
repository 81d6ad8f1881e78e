//! A system with the newest days of the built-in history only: its audit takes a hundredth of the time.

use std::fs;
use std::path::Path;

use chrono::{NaiveDate, NaiveTime, Utc};
use dataflow::{Meta, Owner, Sqlite, Store};
use exchange_rate::ecb;
use exchange_rate::record_rates::{Moment, RecordRates, RecordRatesInput, SetRates};
use money::Currency;
use stage::{Key, Partition, PartitionCount, Producer, RequestId, Stage as _};
use web::Traceparent;

use crate::scenarios::harness::LocalSystem;

/// The number of days.
const DAYS: usize = 10;

/// Starts a system for which the history is complete, so that it does not import the built-in one.
pub async fn start() -> LocalSystem {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("data")).await;
    LocalSystem::start_on(folder, &[]).await
}

/// Writes a data folder as the service itself writes it when it imports a history.
async fn write(data: &Path) {
    fs::create_dir(data).unwrap();
    for service in unbundled::services::all(None) {
        let meta = Meta { service: service.name(), partitions: PartitionCount::new(2).unwrap() };
        let path = data.join(format!("{}.sqlite", service.name()));
        let store = Store::from(Sqlite::open(&path, meta, &service.topology.tables()).await.unwrap());
        if service.name() == exchange_rate::SERVICE {
            record(&store, newest_days()).await;
        }
        store.close().await;
    }
}

/// Commits these rates as one request.
async fn record(store: &Store, rates: SetRates) {
    let id = Producer::new(RecordRates::NAME, Partition(0));
    let mut owner = Owner::claim(RecordRates, id, store.clone(), Utc::now()).await.unwrap();
    let cause = web::cause(RequestId("built-in-history".to_owned()), &Traceparent::random());
    let key = Key(contracts::RATES_KEY.to_owned());
    let request = web::event(cause, key, RecordRatesInput::SetRates(rates));
    let (prepared, _) = owner.prepare_requests(vec![request], Utc::now()).await.unwrap();
    owner.commit(prepared).await.unwrap();
}

/// The newest days of the built-in history, which complete it.
fn newest_days() -> SetRates {
    let history = ecb::parse(ecb::BUILT_IN, NaiveDate::MAX).unwrap();
    let moment = |day: ecb::Day| Moment {
        valid_from: day.date.and_time(NaiveTime::MIN).and_utc(),
        rates: [(Currency::EUR, day.rates)].into(),
    };
    let mut days = history.days;
    days.sort_by_key(|day| day.date);
    let moments = days.split_off(days.len() - DAYS).into_iter().map(moment).collect();
    SetRates { source: "ecb".parse().unwrap(), moments, completes_history: true }
}
