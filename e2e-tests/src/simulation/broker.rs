//! The broker of the simulation: messages and confirms travel, and may be lost on their way.
//!
//! A message that a publisher sends waits on its channel until the simulation lets it arrive in the stream. Its confirm
//! then waits until the simulation lets it go back. A channel whose session is gone may still hold messages, and these
//! may arrive late, after the messages of a later session.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use conformance::MemoryBroker;
use dataflow::message::BrokerMessage;
use dataflow::{BrokerError, Confirm, MessageReceiver, MessageSender, StartAt, StreamBroker};
use stage::StreamPartition;

/// Where a confirm arrives.
type Answer = Arc<Mutex<Option<Result<(), BrokerError>>>>;

/// The number of a channel.
pub type ChannelId = u64;

/// A message on its way to the broker.
pub struct Sent {
    /// The message.
    pub message: BrokerMessage,
    answer: Answer,
}

/// A channel of a publisher to one stream.
#[derive(Default)]
struct Channel {
    target: Option<StreamPartition>,
    sent: VecDeque<Sent>,
    /// The confirms on their way back.
    answers: Vec<(Answer, Result<(), BrokerError>)>,
    /// The number of messages that were handed to it.
    handed: u64,
    /// Whether its session is gone.
    is_closed: bool,
    /// Whether its connection is gone.
    is_broken: bool,
}

#[derive(Default)]
struct Wire {
    channels: BTreeMap<ChannelId, Channel>,
    opened: ChannelId,
    is_blocked: bool,
    /// The number of requests to the broker that succeed before one fails.
    requests_left: Option<u32>,
}

/// A broker with streams in memory. Clones share the same broker.
#[derive(Clone, Default)]
pub struct Broker {
    /// The streams as they are stored.
    pub streams: MemoryBroker,
    wire: Arc<Mutex<Wire>>,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("streams", &self.streams).finish_non_exhaustive()
    }
}

impl Broker {
    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks publishing, or does so no longer.
    pub fn block(&self, is_blocked: bool) {
        self.wire().is_blocked = is_blocked;
    }

    /// Fails one request of a publisher, after this many successful ones; `None` fails none.
    pub fn fail_request(&self, after: Option<u32>) {
        self.wire().requests_left = after;
    }

    /// The channels to a stream on which messages are on their way, including those whose sessions are gone.
    pub fn sending(&self, target: &StreamPartition) -> Vec<ChannelId> {
        self.channels(target, |channel| !channel.sent.is_empty())
    }

    /// The channels to a stream on which confirms are on their way.
    pub fn answering(&self, target: &StreamPartition) -> Vec<ChannelId> {
        self.channels(target, |channel| !channel.answers.is_empty())
    }

    fn channels(&self, target: &StreamPartition, is_wanted: impl Fn(&Channel) -> bool) -> Vec<ChannelId> {
        let wire = self.wire();
        let wanted = wire.channels.iter().filter(|(_, c)| c.target.as_ref() == Some(target) && is_wanted(c));
        wanted.map(|(id, _)| *id).collect()
    }

    /// The number of messages that were handed to the open channels of a stream.
    pub fn handed(&self, target: &StreamPartition) -> u64 {
        let wire = self.wire();
        let of_target = wire.channels.values().filter(|channel| channel.target.as_ref() == Some(target));
        of_target.map(|channel| channel.handed).sum()
    }

    /// Takes the next message that is on its way, and whether its session is gone.
    pub fn next_sent(&self, id: ChannelId) -> Option<(Sent, bool)> {
        let mut wire = self.wire();
        let channel = wire.channels.get_mut(&id)?;
        Some((channel.sent.pop_front()?, channel.is_closed))
    }

    /// Sends the confirm of a message on its way back.
    pub fn answer(&self, id: ChannelId, sent: Sent, result: Result<(), BrokerError>) {
        if let Some(channel) = self.wire().channels.get_mut(&id) {
            channel.answers.push((sent.answer, result));
        }
    }

    /// The number of confirms that are on their way back on a channel.
    pub fn answers(&self, id: ChannelId) -> usize {
        self.wire().channels.get(&id).map_or(0, |channel| channel.answers.len())
    }

    /// A confirm arrives. Returns whether the message was stored; `None` if there is no such confirm.
    pub fn confirm(&self, id: ChannelId, at: usize) -> Option<bool> {
        let mut wire = self.wire();
        let channel = wire.channels.get_mut(&id)?;
        let (answer, result) = (at < channel.answers.len()).then(|| channel.answers.remove(at))?;
        let is_stored = result.is_ok();
        put(&answer, result);
        Some(is_stored)
    }

    /// The connection of a channel breaks. What is on its way is lost.
    pub fn break_channel(&self, id: ChannelId) {
        if let Some(channel) = self.wire().channels.get_mut(&id) {
            channel.is_broken = true;
            let answers = channel.answers.drain(..).map(|(answer, _)| answer);
            for answer in channel.sent.drain(..).map(|sent| sent.answer).chain(answers) {
                put(&answer, Err(BrokerError::Ended("the connection broke".to_owned())));
            }
        }
    }

    /// The connections of all channels to a stream break.
    pub fn break_connections(&self, target: &StreamPartition) {
        self.channels(target, |_| true).into_iter().for_each(|id| self.break_channel(id));
    }

    /// Loses what sessions that are gone have sent.
    pub fn forget_closed(&self) {
        self.wire().channels.retain(|_, channel| !channel.is_closed);
    }

    fn request(&self) -> Result<(), BrokerError> {
        let left = &mut self.wire().requests_left;
        match *left {
            None => Ok(()),
            Some(0) => {
                *left = None;
                Err(BrokerError::Away("refused on purpose".into()))
            }
            Some(requests) => {
                *left = Some(requests - 1);
                Ok(())
            }
        }
    }
}

fn put(answer: &Answer, result: Result<(), BrokerError>) {
    *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
}

#[async_trait]
impl StreamBroker for Broker {
    async fn open(&self, target: &StreamPartition) -> Result<Box<dyn MessageSender>, BrokerError> {
        self.request()?;
        self.streams.declare(target);
        let mut wire = self.wire();
        wire.opened += 1;
        let id = wire.opened;
        wire.channels.insert(id, Channel { target: Some(target.clone()), ..Channel::default() });
        Ok(Box::new(Sender { broker: self.clone(), target: target.clone(), id }))
    }

    async fn consume(
        &self,
        target: &StreamPartition,
        start: StartAt,
        prefetch: u16,
    ) -> Result<Box<dyn MessageReceiver>, BrokerError> {
        self.request()?;
        self.streams.consume(target, start, prefetch).await
    }

    async fn length(&self, target: &StreamPartition) -> Result<u64, BrokerError> {
        self.request()?;
        self.streams.length(target).await
    }

    fn is_blocked(&self) -> bool {
        self.wire().is_blocked
    }

    fn new_session(&self) -> String {
        self.streams.new_session()
    }
}

/// The publisher's end of a channel.
struct Sender {
    broker: Broker,
    target: StreamPartition,
    id: ChannelId,
}

#[async_trait]
impl MessageSender for Sender {
    /// A marker arrives at once: its session waits for it.
    async fn send(&self, message: BrokerMessage) -> Result<Confirm, BrokerError> {
        self.check()?;
        self.broker.request()?;
        let answer = Answer::default();
        if message.is_marker() {
            let is_stored = self.broker.streams.append(&self.target, message);
            put(&answer, if is_stored { Ok(()) } else { Err(BrokerError::NotKept("its stream is gone")) });
        } else if let Some(channel) = self.broker.wire().channels.get_mut(&self.id) {
            channel.handed += 1;
            channel.sent.push_back(Sent { message, answer: answer.clone() });
        }
        Ok(Confirm::new(poll_fn(move |_| {
            let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
            answer.map_or(Poll::Pending, Poll::Ready)
        })))
    }

    fn check(&self) -> Result<(), BrokerError> {
        let is_broken = self.broker.wire().channels.get(&self.id).is_none_or(|channel| channel.is_broken);
        if is_broken { Err(BrokerError::Ended(self.target.to_string())) } else { Ok(()) }
    }

    /// What was sent before arrives.
    async fn close(self: Box<Self>) {
        let channel = self.broker.wire().channels.remove(&self.id).unwrap_or_default();
        for sent in channel.sent {
            self.broker.streams.append(&self.target, sent.message);
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if let Some(channel) = self.broker.wire().channels.get_mut(&self.id) {
            channel.is_closed = true;
        }
    }
}
