//! The publisher of one stream partition: the production [`Session`], one step at a time.
//!
//! In production, [`Session::run`] takes these steps when a frame was emitted, a confirm arrives or some seconds have
//! passed. Here they come in any order, and between any two of them the process may crash or freeze, and messages and
//! confirms may be lost. When a session fails, another one attaches. A frozen process keeps its session, and may
//! continue with it beside a later one.

use std::sync::Arc;

use conformance::{Faults, MemoryStore};
use dataflow::message::BrokerMessage;
use dataflow::{
    BrokerError, BrokerMetrics, ConnectionStatus, Engine as _, Publication, PublishError, PublishPositions as _,
    Session, Store, StoreError, StreamBroker as _,
};
use stage::{Frame, Hash, Producer, Seq, StreamPartition};

use super::broker::{ChannelId, Sent};
use super::coverage::Hit;
use super::mistaken_broker;
use super::random::Random;
use super::scene::{Scene, at_once, now};
use super::violation::{Checked, stopped};

/// The maximum number of messages or confirms that arrive in one step.
const TOGETHER_MAX: usize = 6;

/// A step of a publisher and its broker.
#[derive(Clone, Copy, Debug)]
enum Step {
    Fill,
    Arrive,
    Confirm,
    Tick,
    Check,
}

/// All steps, in the order in which they are taken when there are no faults.
const STEPS: [Step; 5] = [Step::Fill, Step::Arrive, Step::Confirm, Step::Tick, Step::Check];

/// The publisher of one stream partition.
pub struct Publisher {
    /// The stream partition.
    pub target: StreamPartition,
    /// The producers that may emit to it.
    pub producers: Vec<Producer>,
    store: MemoryStore,
    session: Option<Session>,
    /// The sessions of frozen processes.
    frozen: Vec<Session>,
}

impl Publisher {
    /// A publisher without a session and without a stored position.
    pub fn new(target: StreamPartition, producers: Vec<Producer>, store: MemoryStore) -> Self {
        Self { target, producers, store, session: None, frozen: Vec::new() }
    }

    fn journal(&self) -> Store {
        self.store.clone().into()
    }

    /// Takes one step that has something to do, or returns `false` if there is none.
    pub fn step(&mut self, first: usize, scene: &mut Scene<'_>) -> Checked<bool> {
        if self.session.is_none() {
            return self.attach(scene);
        }
        for step in STEPS.iter().cycle().skip(first).take(STEPS.len()) {
            if self.take(*step, scene)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn take(&mut self, step: Step, scene: &mut Scene<'_>) -> Checked<bool> {
        match step {
            Step::Fill => self.fill(scene),
            Step::Arrive => Ok(self.arrive(scene)),
            Step::Confirm => self.confirm(scene),
            Step::Tick => self.tick(scene),
            Step::Check => self.check(scene),
        }
    }

    /// Begins a session. It publishes the frames that the stream does not hold.
    fn attach(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        if scene.broker.is_blocked() {
            return Ok(false);
        }
        let noted = now(self.store.publish_position(&self.target)).map_err(|error| stopped(&error))?;
        if let Some(point) = &noted.resume
            && !matches!(now(scene.broker.streams.find(&self.target, point)), Ok(Some(_)))
        {
            scene.hit(Hit::StreamChanged);
        }
        let (publication, status) =
            (self.publication(scene)?, ConnectionStatus::new(String::new(), Arc::new(|_, _| {})));
        let timers = scene.timers.handle().clone();
        let attached = scene.with_broker_faults(|| {
            let _entered = timers.enter();
            now(Session::attach(publication, status))
        });
        let session = match attached {
            Ok(session) => session,
            Err(error) => {
                self.interrupted(&error, scene)?;
                return Ok(true);
            }
        };
        let held = session.held();
        // A frame that was sent and not confirmed may be in the stream or not.
        if held.iter().any(|(producer, seq)| *seq > noted.confirmed.get(producer).copied().unwrap_or(Seq(0))) {
            scene.hit(Hit::FoundInStream);
        }
        let held: Vec<_> = held.iter().map(|(producer, seq)| format!("{producer}#{seq}")).collect();
        scene.say(&format!("{} is attached to, and holds {}", self.target, held.join(", ")));
        self.session = Some(session);
        Ok(true)
    }

    fn publication(&self, scene: &mut Scene<'_>) -> Checked<Publication> {
        let faults = Faults::default();
        if scene.read_fails() {
            faults.fail_read(scene.reads_before_fault());
        }
        Ok(Publication {
            target: self.target.clone(),
            producers: self.producers.clone(),
            journal: faults.inject(&self.journal()),
            positions: Arc::new(self.store.clone()),
            broker: mistaken_broker::for_publishers(&scene.broker, scene.mutant),
            backlog: scene.backlog(self.store.meta().service).clone(),
            metrics: BrokerMetrics::new().map_err(|error| stopped(&error))?,
        })
    }

    /// Sends frames of the journals.
    fn fill(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        let Some(session) = &mut self.session else { return Ok(false) };
        let before = scene.broker.handed(&self.target);
        let filled = scene.with_broker_faults(|| now(session.fill()));
        let sent = scene.broker.handed(&self.target) - before;
        if sent > 0 {
            scene.say(&format!("{}: {sent} frames are sent", self.target));
        }
        self.goes_on(filled, sent > 0, scene)
    }

    /// Looks at the end of the stream, and notes the publish position.
    fn tick(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        let Some(session) = &mut self.session else { return Ok(false) };
        let before = now(self.store.publish_position(&self.target)).map_err(|error| stopped(&error))?;
        let ticked = scene.with_broker_faults(|| now(session.tick()));
        let after = now(self.store.publish_position(&self.target)).map_err(|error| stopped(&error))?;
        self.goes_on(ticked, before != after, scene)
    }

    /// Checks that the stream still ends as before, and was not created again.
    fn check(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        let Some(session) = &mut self.session else { return Ok(false) };
        let checked = scene.with_broker_faults(|| now(session.check()));
        self.goes_on(checked, false, scene)
    }

    /// Processes the confirms that have arrived.
    fn process_confirms(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        let Some(session) = &mut self.session else { return Ok(false) };
        match at_once(session.confirm()) {
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(error)) => {
                scene.hit(Hit::Doubt);
                self.interrupted(&error, scene)?;
                Ok(true)
            }
        }
    }

    fn goes_on(&mut self, done: Result<(), PublishError>, worked: bool, scene: &mut Scene<'_>) -> Checked<bool> {
        match done {
            Ok(()) => Ok(worked),
            Err(error) => self.interrupted(&error, scene).map(|()| true),
        }
    }

    /// The session has failed. Only a journal that is older than the stream would be an error of the system.
    fn interrupted(&mut self, error: &PublishError, scene: &mut Scene<'_>) -> Checked {
        let what = stopped(error);
        match error {
            PublishError::Journal { source: StoreError::Damaged(_), .. } => return Err(what),
            PublishError::Lost(_) => scene.hit(Hit::StreamChanged),
            PublishError::Rewound(_) => scene.hit(Hit::Rewound),
            PublishError::Broker { source: BrokerError::Away(_), .. } => scene.hit(Hit::BrokerFailed),
            PublishError::Broker { .. } | PublishError::Journal { .. } => {}
        }
        scene.say(&format!("{}: {}", self.target, what.what));
        self.detach(scene);
        Ok(())
    }

    /// Messages arrive at the broker, which stores them.
    fn arrive(&mut self, scene: &mut Scene<'_>) -> bool {
        let channels = scene.broker.sending(&self.target);
        if channels.is_empty() || scene.broker.is_blocked() {
            return false;
        }
        let id = *scene.random.pick(&channels);
        for _ in 0..scene.random.between(1, TOGETHER_MAX) {
            let Some((sent, is_closed)) = scene.broker.next_sent(id) else { break };
            if is_closed {
                if scene.random.chance(200) {
                    scene.broker.break_channel(id);
                    break;
                }
                scene.hit(Hit::LateArrival);
            }
            self.store_message(id, sent, scene);
        }
        scene.published.insert(self.target.clone());
        true
    }

    fn store_message(&self, id: ChannelId, sent: Sent, scene: &mut Scene<'_>) {
        let point = sent.message.resume_point().and_then(|point| point.frame);
        let name = point.map_or_else(String::new, |(producer, seq)| format!("{producer}>{}#{seq}", self.target));
        if scene.random.chance(scene.weather.publications / 2) {
            scene.hit(Hit::PublicationLost);
            scene.say(&format!("{name} is refused"));
            return scene.broker.answer(id, sent, Err(BrokerError::NotKept("it was refused")));
        }
        let mut message = sent.message.clone();
        if scene.random.chance(scene.weather.damage) {
            message = self.damaged(&message, scene);
            scene.hit(Hit::DamagedInStream);
            scene.say(&format!("{name} is damaged in the stream"));
        }
        let is_stored = scene.broker.streams.append(&self.target, message);
        scene.say(&format!("{name} {}", if is_stored { "is stored" } else { "does not find its stream" }));
        if !is_stored {
            scene.hit(Hit::Unroutable);
        }
        let result = if is_stored { Ok(()) } else { Err(BrokerError::NotKept("its stream is gone")) };
        scene.broker.answer(id, sent, result);
    }

    /// A damaged copy of a message. An operator has to publish the journal again.
    fn damaged(&self, message: &BrokerMessage, scene: &mut Scene<'_>) -> BrokerMessage {
        let (Ok(mut frame), Some(incarnation), Some(session)) =
            (message.frame(&self.target), message.incarnation(), message.session())
        else {
            return message.clone();
        };
        scene.damaged.insert((frame.producer.clone(), self.target.clone()));
        damage(&mut frame, &mut scene.random);
        BrokerMessage::of_frame(&frame, incarnation, session)
    }

    /// Confirms arrive from the broker.
    fn confirm(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        let channels = scene.broker.answering(&self.target);
        if channels.is_empty() {
            return self.process_confirms(scene);
        }
        let id = *scene.random.pick(&channels);
        let disorder = scene.random.chance(scene.weather.publications);
        for _ in 0..scene.random.between(1, TOGETHER_MAX) {
            let answers = scene.broker.answers(id);
            if answers == 0 {
                break;
            }
            if scene.random.chance(scene.weather.publications / 2) {
                scene.hit(Hit::ConfirmLost);
                scene.broker.break_channel(id);
                break;
            }
            let at = if disorder { scene.random.below(answers) } else { 0 };
            if at > 0 {
                scene.hit(Hit::ConfirmLate);
            }
            scene.broker.confirm(id, at);
        }
        while self.process_confirms(scene)? {}
        Ok(true)
    }

    /// Ends the session: the process crashed, or the session has failed. The stored position may be lost.
    pub fn detach(&mut self, scene: &mut Scene<'_>) {
        let Some(session) = self.session.take() else { return };
        if !scene.broker.sending(&self.target).is_empty() || !scene.broker.answering(&self.target).is_empty() {
            scene.hit(Hit::CrashAfterPublish);
        }
        if scene.random.chance(500) {
            now(session.end());
            scene.published.insert(self.target.clone());
        }
        if scene.random.chance(250) {
            self.store.lose_publish_position(&self.target);
            scene.hit(Hit::NoteLost);
        }
    }

    /// The process freezes. Another one attaches.
    pub fn freeze(&mut self, scene: &mut Scene<'_>) {
        if let Some(session) = self.session.take() {
            scene.hit(Hit::PublisherFrozen);
            scene.say(&format!("a publisher of {} freezes", self.target));
            self.frozen.push(session);
        }
    }

    /// A frozen process wakes up and does one thing, before it notices that it was replaced. Returns `false` if there
    /// was none.
    pub fn wake(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        if self.frozen.is_empty() {
            return Ok(false);
        }
        let at = scene.random.below(self.frozen.len());
        let active = self.session.replace(self.frozen.swap_remove(at));
        let step = *scene.random.pick(&STEPS);
        scene.hit(Hit::PublisherWoke);
        scene.say(&format!("a frozen publisher of {} wakes up: {step:?}", self.target));
        self.take(step, scene)?;
        let woken = std::mem::replace(&mut self.session, active);
        self.frozen.extend(woken.filter(|_| !scene.random.chance(250)));
        Ok(true)
    }

    /// Ends the sessions of all frozen processes.
    pub fn end_frozen(&mut self) {
        self.frozen.clear();
    }

    /// Does what an operator requests with `republish`: a later session begins with the journal's first frame.
    pub fn republish(&self, producer: &Producer) {
        self.store.republish(producer, &self.target);
    }

    /// Publishes an old frame once more, out of order. Returns `false` if there is none.
    pub fn replay(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        let producer = scene.random.pick(&self.producers).clone();
        let last = self.last(&producer)?;
        if last.0 == 0 {
            return Ok(false);
        }
        let seq = Seq(scene.random.between(1, usize::try_from(last.0).unwrap_or(1)) as u64);
        let frames = now(self.journal().journal(&producer, &self.target, seq, 1, usize::MAX));
        let Some(frame) = frames.map_err(|error| stopped(&error))?.into_iter().next() else { return Ok(false) };
        let message = BrokerMessage::of_frame(&frame, "an earlier one", &scene.broker.new_session());
        if scene.broker.streams.append(&self.target, message) {
            scene.published.insert(self.target.clone());
            scene.hit(Hit::Replayed);
            scene.say(&format!("{producer}>{}#{seq} is published once more", self.target));
        }
        Ok(true)
    }

    fn last(&self, producer: &Producer) -> Checked<Seq> {
        now(self.journal().last_seq(producer, &self.target)).map_err(|error| stopped(&error))
    }

    /// The producers whose journals are not published up to their ends.
    pub fn unpublished(&self) -> Checked<Vec<&Producer>> {
        let held = self.session.as_ref().map(Session::held).unwrap_or_default();
        let mut unpublished = Vec::new();
        for producer in &self.producers {
            if held.get(producer) != Some(&self.last(producer)?) {
                unpublished.push(producer);
            }
        }
        Ok(unpublished)
    }
}

/// Changes one part of a frame, as a broken disk or network would.
pub fn damage(frame: &mut Frame, random: &mut Random) {
    match random.below(5) {
        0 => {
            let at = random.below(frame.body.len());
            frame.body = frame.body.chars().enumerate().map(|(n, c)| if n == at { flipped(c) } else { c }).collect();
        }
        1 => frame.seq = Seq(frame.seq.0 ^ 1),
        2 => frame.previous = Hash([7; 32]),
        3 => frame.hash = Hash([7; 32]),
        _ => frame.producer.stage = "pist".into(),
    }
}

fn flipped(c: char) -> char {
    char::from_u32(u32::from(c) ^ 1).unwrap_or('?')
}
