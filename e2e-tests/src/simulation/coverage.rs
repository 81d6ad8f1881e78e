//! Counts the events of a run: a fault that never occurs is a gap in the simulation.

use std::collections::BTreeMap;
use std::fmt;

macro_rules! hits {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// An event that the simulation counts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Hit { $($(#[$doc])* $name),+ }

        impl Hit {
            /// All events.
            pub const ALL: &'static [Hit] = &[$(Hit::$name),+];
        }
    };
}

hits! {
    /// An owner crashed with a batch prepared and not committed.
    CrashBeforeCommit,
    /// An owner crashed after its commit, before it sent a reply or notified a reader.
    CrashAfterCommit,
    /// A publisher stopped while published frames were unconfirmed.
    CrashAfterPublish,
    /// An owner crashed that had only dropped frames, such as duplicates, and so had not committed its position.
    CrashReadOnly,
    /// An owner crashed while its commit was in doubt.
    CrashInDoubt,
    /// All owners of one service crashed at once.
    CrashOfService,
    /// All owners crashed at once.
    CrashOfAll,
    /// A commit was refused.
    CommitRefused,
    /// A commit was lost, and no response arrived.
    CommitLostBefore,
    /// A commit was written, and its response was lost.
    CommitLostAfter,
    /// A commit got no response, arrived later and was written.
    CommitLateWritten,
    /// A commit got no response and arrived later, when its batch number was taken.
    CommitLateFenced,
    /// The database did not respond to a query.
    ReadFailed,
    /// A claim failed, or its result is unknown.
    ClaimFailed,
    /// An in-doubt commit turned out to be written.
    ResolvedWritten,
    /// An in-doubt commit turned out to be lost.
    ResolvedLost,
    /// The claim that should resolve a doubt failed or was in doubt too.
    StillInDoubt,
    /// An owner froze with a prepared batch.
    FrozenInBatch,
    /// An owner froze without a prepared batch.
    Frozen,
    /// A frozen owner woke up and continued, because no other owner had claimed.
    WokeInTime,
    /// A frozen owner woke up, and its commit was fenced.
    ZombieFenced,
    /// A frozen owner woke up in doubt and was fenced.
    ZombieFencedInDoubt,
    /// A reader dropped a duplicate frame.
    Duplicate,
    /// A reader found a gap.
    Gap,
    /// A reader dropped a damaged frame.
    Damaged,
    /// Frames reached a reader in another order, or twice.
    Reordered,
    /// A reader's connection broke in the middle of a delivery.
    ConnectionCut,
    /// A reader took only some of the frames that were ready.
    PartTaken,
    /// An old frame was published again, out of order.
    Replayed,
    /// A damaged copy of a frame got into a stream.
    DamagedInStream,
    /// A publication was lost.
    PublicationLost,
    /// A confirm was lost.
    ConfirmLost,
    /// Confirms arrived out of order.
    ConfirmLate,
    /// A publisher attached again because a frame was not confirmed.
    Doubt,
    /// A request of a publisher to the broker failed.
    BrokerFailed,
    /// A message arrived after the session that had sent it was gone.
    LateArrival,
    /// A publisher froze, and another one took over.
    PublisherFrozen,
    /// A frozen publisher woke up and continued.
    PublisherWoke,
    /// A publisher started again because an operator had requested it.
    Rewound,
    /// A publisher's stored position was lost.
    NoteLost,
    /// The broker confirmed nothing for a while.
    BrokerBlocked,
    /// A publisher found that its stream does not exist.
    Unroutable,
    /// A publisher found that its stream was recreated, or has lost its end.
    StreamChanged,
    /// A publisher found more frames in the stream than at its stored position.
    FoundInStream,
    /// A reader went back to a stream's first message, because a frame was missing.
    ReadAgain,
    /// The broker lost a stream and all connections to it.
    StreamLost,
    /// A stream was deleted while publishers were attached to it.
    StreamDeleted,
    /// A stream was deleted and created again by somebody else while publishers were attached to it.
    StreamRecreated,
    /// The broker lost the end of a stream.
    TailLost,
    /// The clock jumped by an hour.
    ClockJumped,
    /// A rate arrived after rates with a later `valid_from`.
    LateRate,
    /// A rate was corrected.
    CorrectedRate,
    /// An offer was changed.
    OfferChanged,
    /// A purchase was confirmed.
    Confirmed,
    /// The purchase was paid in the currency of its price.
    ConvertedSame,
    /// It was converted by the published rate of the pair.
    ConvertedDirect,
    /// It was converted by the published rate of the inverse pair.
    ConvertedInverse,
    /// It was converted through the euro.
    ConvertedCross,
    /// A purchase with a price of its own was confirmed.
    OpenPrice,
    /// Rejected: the offer does not exist.
    UnknownOffer,
    /// Rejected: a line names a price that its offer does not allow.
    PriceNotOpen,
    /// Rejected: the prices are in several currencies.
    MixedCurrencies,
    /// Rejected: the amount is too large.
    AmountTooLarge,
    /// Rejected: there is no rate.
    NoRate,
    /// Rejected: the rate is stale.
    StaleRate,
    /// A purchase was requested again and got the same reply.
    SameAgain,
    /// The id of a purchase was used again for another request.
    Conflict,
    /// An account was opened.
    AccountOpened,
    /// A handle was claimed that was already taken.
    HandleTaken,
    /// A transfer was posted.
    TransferPosted,
    /// A transfer was refused, because it would have exceeded a limit.
    Overdrawn,
    /// A transfer was refused, because its account would have paid too much on that day.
    AboveDailyLimit,
    /// A transfer named an account that does not exist.
    UnknownAccount,
    /// The id of a claim or a transfer was used again for another request.
    CommandConflict,
    /// A purchase was paid for.
    PaymentPosted,
    /// The payment of a purchase was refused, because it would have exceeded a limit.
    PaymentRefused,
    /// A payment crossed a limit for a fee.
    FeeCharged,
    /// Refused at once: the stock could be seen to be gone.
    RefusedBySight,
    /// A loose purchase was charged, its stock was gone, and everything was returned.
    Compensated,
    /// A strict purchase was rejected, because its stock was gone.
    SoldOutStrict,
    /// A strict purchase was charged, because its stock was held.
    ChargedStrict,
    /// A purchase was settled without some of its lines.
    PartlySettled,
    /// A line got another product than it asked for.
    Upgraded,
    /// A line waits in a queue.
    BackOrdered,
    /// A line in a queue was served because a purchase was cancelled.
    ServedByCancellation,
    /// A line in a queue was served because the capacity was raised.
    ServedByRaise,
    /// More pieces are allocated than there are.
    Overbooked,
    /// A recall took a held line back that has nothing left to try.
    Recalled,
    /// A recall took a held line back that went on down its ladder.
    RecalledDown,
    /// A recall was refused, because there are fewer pieces.
    RecallAboveCapacity,
    /// The work on a product went on in another fact.
    WorkContinued,
    /// An allocation was given back that was gone already.
    AlreadyGone,
    /// The payment of a purchase was refused after its stock was held.
    RefusedWithStock,
    /// A purchase lost stock after its outcome.
    StockLost,
    /// A purchase got a voucher.
    VoucherIssued,
    /// A purchase was cancelled, and all its stock is given back.
    Cancelled,
    /// A purchase without limited stock was cancelled.
    CancelledUnlimited,
    /// The customer cancelled a purchase that had lost stock.
    CancelledAfterRecall,
    /// There was nothing to cancel.
    NothingToCancel,
    /// Several requests shared a commit.
    GroupCommit,
}

/// How often each event occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<Hit, u64>);

impl Coverage {
    /// Counts an event.
    pub fn hit(&mut self, hit: Hit) {
        *self.0.entry(hit).or_default() += 1;
    }

    /// How often an event occurred.
    pub fn of(&self, hit: Hit) -> u64 {
        self.0.get(&hit).copied().unwrap_or_default()
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Coverage) {
        for (hit, count) in &other.0 {
            *self.0.entry(*hit).or_default() += count;
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for hit in Hit::ALL {
            writeln!(f, "{:>8} {hit:?}", self.of(*hit))?;
        }
        Ok(())
    }
}
