//! Publishes one producer's journal for one stream partition to the broker, with [`StreamScan`](stage::StreamScan) and
//! [`PublishWindow`] between a store and a broker. Both may have changed a moment later.
//!
//! When a publication, a confirm or the whole channel is lost, a new session finds out what the stream holds. Its
//! stored position may be old, or lost.

use dataflow::Store;
use stage::{Frame, Hash, Producer, PublishPosition, PublishWindow, Seq, StreamPartition};

use super::coverage::Hit;
use super::random::Random;
use super::scene::{Mutant, Scene, now};
use super::violation::{Checked, stopped};

/// The maximum number of frames published in one step.
const FRAMES_MAX: usize = 6;

/// The publisher of one producer's frames for one stream partition.
pub struct Publisher {
    /// The producer.
    pub producer: Producer,
    /// The stream partition.
    pub target: StreamPartition,
    /// Whether the broker has a damaged copy of a frame, so that an operator has to `republish` the journal.
    pub is_damaged: bool,
    journal: Store,
    noted: PublishPosition,
    session: Option<Session>,
    /// Unconfirmed frames of this channel, and whether they reached the broker.
    unconfirmed: Vec<(Seq, Sent)>,
}

/// The state of an attached publisher.
struct Session {
    name: String,
    incarnation: String,
    window: PublishWindow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    There,
    Lost,
}

impl Publisher {
    /// A detached publisher without a stored position.
    pub fn new(producer: Producer, target: StreamPartition, journal: Store) -> Self {
        let (noted, session, unconfirmed) = (PublishPosition::default(), None, Vec::new());
        Self { producer, target, is_damaged: false, journal, noted, session, unconfirmed }
    }

    /// Whether it has no session, and first has to find out what the stream holds.
    pub fn is_detached(&self) -> bool {
        self.session.is_none()
    }

    /// Begins a session. It publishes the frames that the stream does not hold.
    pub fn attach(&mut self, scene: &mut Scene<'_>) {
        let name = scene.session();
        let incarnation = scene.broker.attach(&self.target, &name);
        let is_new = self.noted.resume.as_ref().is_some_and(|point| scene.broker.behind(&self.target, point).is_none());
        if is_new {
            scene.hit(Hit::StreamChanged);
        }
        let (scan, end) = scene.broker.scan(&self.target, &self.noted);
        let is_rewound = self.noted.republish.contains(&self.producer);
        let mut held = if is_rewound { Seq(0) } else { scan.held(&self.producer) };
        if is_new && scene.mutant == Some(Mutant::NoScan) {
            held = self.noted.confirmed.get(&self.producer).copied().unwrap_or(Seq(0));
        }
        // A frame that was sent and not confirmed may be in the stream or not.
        if held > self.noted.confirmed.get(&self.producer).copied().unwrap_or(Seq(0)) {
            scene.hit(Hit::FoundInStream);
        }
        self.unconfirmed.clear();
        self.noted = PublishPosition {
            resume: end,
            confirmed: [(self.producer.clone(), held)].into(),
            ..PublishPosition::default()
        };
        self.session = Some(Session { name, incarnation, window: PublishWindow::behind(held) });
        scene.say(&format!("{}>{} attaches, the stream holds {held} frames", self.producer, self.target));
    }

    /// Ends the session: the process crashed, or the connection broke. The stored position may be old, or lost.
    pub fn detach(&mut self, scene: &mut Scene<'_>) {
        if self.session.take().is_none() {
            return;
        }
        if !self.unconfirmed.is_empty() {
            scene.hit(Hit::CrashAfterPublish);
        }
        self.unconfirmed.clear();
        if scene.random.chance(250) {
            self.noted = PublishPosition::default();
            scene.hit(Hit::NoteLost);
        }
    }

    /// Does what an operator requests with `republish`: the next session begins with the journal's first frame.
    pub fn republish(&mut self) {
        self.noted.republish.insert(self.producer.clone());
        self.is_damaged = false;
    }

    /// Stores how far the stream holds the journal. No confirmed frame lies after the message of the resume point.
    fn note(&mut self, scene: &Scene<'_>) {
        let Some(Session { window, .. }) = &self.session else { return };
        if let Some(end) = scene.broker.end(&self.target) {
            let confirmed = [(self.producer.clone(), window.held())].into();
            self.noted = PublishPosition { resume: Some(end), confirmed, ..PublishPosition::default() };
        }
    }

    /// Publishes as many frames of the journal as the window allows. Returns `false` if there was nothing to do.
    pub fn publish(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        let some = scene.random.between(1, FRAMES_MAX);
        let mut published = false;
        for _ in 0..some {
            let Some(seq) = self.session.as_ref().and_then(|session| session.window.wants()) else {
                break;
            };
            let Some(frame) = self.frame(seq)? else { break };
            published = true;
            if !self.send(&frame, scene) {
                scene.hit(Hit::Unroutable);
                scene.say(&format!("{}>{} does not find its stream", self.producer, self.target));
                self.detach(scene);
                break;
            }
        }
        if published {
            scene.published.insert(self.target.clone());
        } else {
            // Even with nothing to publish, the stream may have been recreated by now.
            published = self.look(scene);
        }
        Ok(published)
    }

    fn look(&mut self, scene: &mut Scene<'_>) -> bool {
        let known = self.session.as_ref().map(|session| session.incarnation.clone());
        let gone = known.is_some() && scene.broker.incarnation(&self.target) != known;
        if gone {
            self.detach(scene);
        }
        gone
    }

    fn send(&mut self, frame: &Frame, scene: &mut Scene<'_>) -> bool {
        let (mut sent, Some(Session { name, .. })) = (Sent::There, &self.session) else { return false };
        let name = name.clone();
        if scene.random.chance(scene.weather.publications / 2) {
            sent = Sent::Lost;
            scene.hit(Hit::PublicationLost);
        } else if scene.random.chance(scene.weather.damage) {
            let mut copy = frame.clone();
            damage(&mut copy, &mut scene.random);
            self.is_damaged = true;
            scene.hit(Hit::DamagedInStream);
            scene.say(&format!("{}>{}#{} is damaged in the stream", self.producer, self.target, frame.seq));
            if !scene.broker.publish(&copy, &name) {
                return false;
            }
        } else if !scene.broker.publish(frame, &name) {
            return false;
        }
        scene.say(&format!(
            "{}>{}#{} published{}",
            self.producer,
            self.target,
            frame.seq,
            if sent == Sent::Lost { ", lost" } else { "" }
        ));
        if let Some(session) = &mut self.session {
            session.window.sent();
        }
        self.unconfirmed.push((frame.seq, sent));
        true
    }

    /// Receives confirms from the broker. Returns `false` if there were none.
    pub fn confirm(&mut self, scene: &mut Scene<'_>) -> bool {
        let Some(Session { window, .. }) = &mut self.session else { return false };
        if self.unconfirmed.is_empty() || scene.notes.step < scene.blocked_until {
            return false;
        }
        let disorder = scene.random.chance(scene.weather.publications);
        for _ in 0..scene.random.between(1, self.unconfirmed.len()) {
            let at = if disorder { scene.random.below(self.unconfirmed.len()) } else { 0 };
            if at > 0 {
                scene.hit(Hit::ConfirmLate);
            }
            let (seq, sent) = self.unconfirmed.remove(at);
            if sent == Sent::Lost || scene.random.chance(scene.weather.publications / 2) {
                scene.hit(if sent == Sent::Lost { Hit::PublicationLost } else { Hit::ConfirmLost });
                scene.hit(Hit::Doubt);
                scene.say(&format!("{}>{}#{seq} is not confirmed", self.producer, self.target));
                // This closes the channel: no confirm for any frame sent on it can arrive later.
                self.detach(scene);
                return true;
            }
            window.confirmed(seq);
        }
        if scene.random.chance(500) {
            self.note(scene);
        }
        true
    }

    /// Publishes an old frame once more, out of order. Returns `false` if there is none.
    pub fn replay(&mut self, scene: &mut Scene<'_>) -> Checked<bool> {
        let last = self.last()?;
        if last.0 == 0 {
            return Ok(false);
        }
        let seq = Seq(scene.random.between(1, usize::try_from(last.0).unwrap_or(1)) as u64);
        let Some(frame) = self.frame(seq)? else {
            return Ok(false);
        };
        let name = scene.session();
        if scene.broker.publish(&frame, &name) {
            scene.published.insert(self.target.clone());
            scene.hit(Hit::Replayed);
            scene.say(&format!("{}>{}#{seq} is published once more", self.producer, self.target));
        }
        Ok(true)
    }

    /// The last frame of its journal; 0 if there is none.
    pub fn last(&self) -> Checked<Seq> {
        now(self.journal.last_seq(&self.producer, &self.target)).map_err(|error| stopped(&error))
    }

    /// Whether all frames of its journal are confirmed.
    pub fn is_done(&self) -> Checked<bool> {
        let last = self.last()?;
        Ok(self.session.as_ref().map_or(last.0 == 0, |session| session.window.held() >= last))
    }

    fn frame(&self, seq: Seq) -> Checked<Option<Frame>> {
        let frames = now(self.journal.journal(&self.producer, &self.target, seq, 1, usize::MAX));
        Ok(frames.map_err(|error| stopped(&error))?.into_iter().next())
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
