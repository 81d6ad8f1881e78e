//! What happened, counted: a fault that never fires is a hole in the simulation.

use std::collections::BTreeMap;
use std::fmt;

macro_rules! hits {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Something worth counting.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Hit { $($(#[$doc])* $name),+ }

        impl Hit {
            /// All of them.
            pub const ALL: &'static [Hit] = &[$(Hit::$name),+];
        }
    };
}

hits! {
    /// An owner died with a batch prepared and not committed.
    CrashBeforeCommit,
    /// An owner died after its commit, before anybody was told.
    CrashAfterCommit,
    /// An owner died that had published what nobody had confirmed.
    CrashAfterPublish,
    /// An owner died that had dropped duplicates, so that its place in the stream was not committed.
    CrashReadOnly,
    /// An owner died not knowing whether its commit was there.
    CrashInDoubt,
    /// All owners of one service died at once.
    CrashOfService,
    /// All died at once.
    CrashOfAll,
    /// A commit was refused.
    CommitRefused,
    /// A commit and its answer were lost.
    CommitLostBefore,
    /// A commit was written, its answer lost.
    CommitLostAfter,
    /// A commit's answer was lost, and the commit came later and was written.
    CommitLateWritten,
    /// The same, but its number was taken by then.
    CommitLateFenced,
    /// The database did not answer a question.
    ReadFailed,
    /// A claim failed or its fate was unknown.
    ClaimFailed,
    /// A in_doubt commit turned out to be there.
    ResolvedWritten,
    /// A in_doubt commit turned out not to be there.
    ResolvedLost,
    /// The claim before reading back went wrong too.
    StillInDoubt,
    /// An owner froze with its batch open.
    FrozenInBatch,
    /// An owner froze otherwise.
    Frozen,
    /// A frozen owner woke and went on, since nobody had taken over.
    WokeInTime,
    /// A frozen owner woke and its commit was fenced.
    ZombieFenced,
    /// A frozen owner woke in doubt and was fenced.
    ZombieFencedInDoubt,
    /// A reader dropped a duplicate.
    Duplicate,
    /// A reader found a gap.
    Gap,
    /// A reader dropped a damaged frame.
    Damaged,
    /// Frames reached a reader in another order, or twice.
    Reordered,
    /// A reader's connection broke in the middle.
    ConnectionCut,
    /// A reader took only a part of what was there.
    PartTaken,
    /// An old frame was published again out of turn.
    Replayed,
    /// A damaged copy of a frame got into a stream.
    DamagedInStream,
    /// A publication got lost.
    PublicationLost,
    /// A confirm got lost.
    ConfirmLost,
    /// Confirms came out of order.
    ConfirmLate,
    /// A publisher began again at the first unconfirmed frame.
    Doubt,
    /// What a publisher had noted was lost.
    NoteLost,
    /// The broker did not confirm anything for a while.
    BrokerBlocked,
    /// A publisher found no stream.
    Unroutable,
    /// A publisher found that its stream is another one, or has lost its end.
    StreamChanged,
    /// A publisher found more in the stream than it had noted.
    FoundInStream,
    /// A reader began again with a stream's first message, because a frame was missing.
    ReadAgain,
    /// The broker lost a stream, and all connections to it.
    StreamLost,
    /// A stream was deleted under its publishers.
    StreamDeleted,
    /// The broker lost the end of a stream.
    TailLost,
    /// The clock jumped by an hour.
    ClockJumped,
    /// A rate came after others that hold later.
    LateRate,
    /// A rate was corrected.
    CorrectedRate,
    /// An offer was changed.
    OfferChanged,
    /// A purchase was confirmed.
    Confirmed,
    /// Its own currency.
    ConvertedSame,
    /// By the published pair.
    ConvertedDirect,
    /// By the published inverse.
    ConvertedInverse,
    /// Through the euro.
    ConvertedCross,
    /// At a price of its own.
    OpenPrice,
    /// Refused: nobody offers that.
    UnknownOffer,
    /// Refused: a price of its own where it may have none.
    PriceNotOpen,
    /// Refused: several currencies.
    MixedCurrencies,
    /// Refused: too much money.
    AmountTooLarge,
    /// Refused: no rate.
    NoRate,
    /// Refused: an old rate.
    StaleRate,
    /// A purchase was asked for again and answered as before.
    SameAgain,
    /// An id was used for something else.
    Conflict,
    /// An account was opened.
    AccountOpened,
    /// A handle was claimed that somebody had.
    HandleTaken,
    /// A transfer was posted.
    TransferPosted,
    /// A transfer would have gone beyond a limit.
    Overdrawn,
    /// A transfer named an account that was not there.
    UnknownAccount,
    /// The id of a claim or a transfer was used for something else.
    InstructionConflict,
    /// A purchase was paid for.
    PaymentPosted,
    /// A purchase would have gone beyond a limit.
    PaymentRefused,
    /// A limit was crossed for a fee.
    FeeCharged,
    /// Several requests shared a commit.
    GroupCommit,
}

/// How often each thing happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<Hit, u64>);

impl Coverage {
    /// It happened.
    pub fn hit(&mut self, hit: Hit) {
        *self.0.entry(hit).or_default() += 1;
    }

    /// How often it happened.
    pub fn of(&self, hit: Hit) -> u64 {
        self.0.get(&hit).copied().unwrap_or_default()
    }

    /// Adds what happened elsewhere.
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
