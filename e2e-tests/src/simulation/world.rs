//! All services in one thread, and the steps of a run.

mod faults;
mod quiet;

use conformance::MemoryStore;
use dataflow::{Engine as _, Meta, Store};
use exchange_rate::record_rates::RecordRates;
use ledger::post::Post;
use ledger::record_commands::RecordCommands;
use purchase::accept::Accept;
use purchase::copy_rates::CopyRates;
use stage::{IngressStage, PartitionCount, Producer, Stage, StreamPartition};

use super::capturing::Capturing;
use super::checks::{Checks, Stores};
use super::clients::Clients;
use super::faulty::{FaultyAllocate, FaultySettle};
use super::publisher::Publisher;
use super::scene::{Mutant, Scene};
use super::seat::{Chair, Seat, Turn};
use super::violation::Checked;

/// Steps before the first check of everything. The intervals grow, as there is more and more to check.
const LOOK_EVERY: u64 = 100;
/// Clients send nothing new while more than this number of requests wait for a reply.
const WAITING_MAX: usize = 30;
/// The number of stages with one partition, whatever the number of partitions of the streams.
const SINGLE: usize = 4;

/// All services, their publishers and clients, and the checks.
pub(super) struct World<'a> {
    scene: Scene<'a>,
    record_rates: Seat<RecordRates, <RecordRates as IngressStage>::Reply>,
    copy_rates: Seat<CopyRates>,
    accept: Seat<Capturing<Accept>, <Accept as IngressStage>::Reply>,
    record_commands: Seat<RecordCommands, <RecordCommands as IngressStage>::Reply>,
    post: Vec<Seat<Post>>,
    settle: Vec<Seat<FaultySettle>>,
    allocate: Vec<Seat<FaultyAllocate>>,
    publishers: Vec<Publisher>,
    clients: Clients,
    checks: Checks,
}

impl<'a> World<'a> {
    /// Empty stores, an empty broker, and partitions without owners.
    pub(super) fn new(scene: Scene<'a>) -> Self {
        let Some(partitions) = PartitionCount::new(scene.size.1) else { unreachable!("1 to 4 partitions") };
        let store = |service| {
            let meta = Meta { service, partitions };
            let fenced = scene.mutant != Some(Mutant::NoFence);
            if fenced { MemoryStore::new(meta) } else { MemoryStore::without_fence(meta) }
        };
        let in_memory = ["exchange-rate", "purchase", "ledger"].map(store);
        let [exchange_rate, purchase, ledger] = in_memory.clone().map(Store::from);
        let stores = Stores { exchange_rate, purchase, ledger };
        let broker = scene.broker.streams.clone();
        let of_rates = CopyRates::PARTITIONING.partitions(partitions)[0];
        let record_rates = Seat::ingress(&stores.exchange_rate, &broker, |_| RecordRates);
        let copy_rates = Seat::reader(of_rates, &stores.purchase, &broker, |_| CopyRates);
        let accept = match scene.mutant {
            Some(Mutant::SkippedCapture) => |_| Capturing::nothing(Accept::default()),
            _ => |_| Capturing::all(Accept::default()),
        };
        let accept = Seat::ingress(&stores.purchase, &broker, accept);
        let record_commands = Seat::ingress(&stores.ledger, &broker, |_| RecordCommands);
        let post = partitions.all().map(|at| Seat::reader(at, &stores.ledger, &broker, Post::new)).collect();
        let mutant = scene.mutant;
        let of_stock = |at| {
            let settle = Seat::reader(at, &stores.purchase, &broker, move |_| FaultySettle::new(mutant));
            (settle, Seat::reader(at, &stores.purchase, &broker, move |_| FaultyAllocate::new(mutant)))
        };
        let (settle, allocate) = partitions.all().map(of_stock).unzip();
        let publishers = publishers(&in_memory, partitions);
        let checks = Checks::new(&stores, Vec::new());
        let clients = Clients::default();
        let mut world = Self {
            scene,
            record_rates,
            copy_rates,
            accept,
            record_commands,
            post,
            settle,
            allocate,
            publishers,
            clients,
            checks,
        };
        let owners = world.chairs().map(|chair| (chair.id().clone(), chair.store().clone())).collect();
        world.checks = Checks::new(&stores, owners);
        world
    }

    /// Runs all steps with faults, and then without faults until the system is at rest. Returns the number of frames
    /// of the longest journal.
    pub(super) fn run(&mut self) -> Checked<u64> {
        let history = self.clients.history(&mut self.scene.random, self.scene.now);
        self.record_rates.ask(history);
        let mut look_at = LOOK_EVERY;
        for _ in 0..self.scene.size.0 {
            self.scene.notes.step += 1;
            self.scene.tick();
            self.step()?;
            self.check()?;
            if self.scene.notes.step == look_at {
                look_at += LOOK_EVERY.max(look_at / 4);
                self.checks.everything(&mut self.scene)?;
            }
        }
        self.come_to_rest()?;
        for purchase in self.checks.have_lost_stock() {
            self.accept.ask(self.clients.cancels(purchase, self.scene.now));
        }
        self.come_to_rest()?;
        self.scene.check_backlogs()?;
        self.checks.only_what_was_sent(&self.clients.sent())?;
        self.checks.only_what_was_instructed(&self.clients.sent_instructions())?;
        self.checks.at_the_end(&mut self.scene)?;
        Ok(self.checks.longest())
    }

    fn check(&mut self) -> Checked {
        self.checks.after_step(&mut self.scene)?;
        for (request, reply) in std::mem::take(&mut self.accept.answered) {
            self.checks.answered(&request, &reply, &mut self.scene)?;
        }
        for (request, reply) in std::mem::take(&mut self.record_commands.answered) {
            self.checks.answered_instruction(&request, &reply, &mut self.scene)?;
        }
        for (request, reply) in std::mem::take(&mut self.record_rates.answered) {
            self.checks.answered_rates(&request, reply)?;
        }
        Ok(())
    }

    fn step(&mut self) -> Checked {
        match self.scene.random.below(100) {
            0..14 => self.ask(),
            14..57 => self.turn_of_any(),
            57..84 => self.publisher_step(),
            _ => self.fault(),
        }
    }

    /// Clients send requests.
    fn ask(&mut self) -> Checked {
        let Self { scene, clients, record_rates, accept, record_commands, .. } = self;
        let (random, now) = (&mut scene.random, scene.now);
        if random.chance(400) && record_commands.waiting() <= WAITING_MAX {
            for _ in 0..random.between(1, 5) {
                record_commands.ask(clients.instruction(random, now));
            }
        }
        if random.chance(150) {
            record_rates.ask(clients.put_rates(random, now));
        }
        // As over HTTP, no request is accepted before the copy of the rates is complete, or while too many wait.
        if !self.checks.copy_is_complete() || accept.waiting() > WAITING_MAX {
            return Ok(());
        }
        for _ in 0..random.between(1, 8) {
            let what = random.below(100);
            accept.ask(match clients.first_offer(random, now) {
                Some(offer) => offer,
                None if clients.has_crowd() && random.chance(600) => clients.limited_offer(random, now),
                None => match what {
                    0..9 => clients.offer(random, now),
                    9..19 => clients.limited_offer(random, now),
                    19..26 => clients.recall(random, now),
                    26..42 => {
                        let is_told = random.chance(600);
                        let lost = if is_told { self.checks.have_lost_stock() } else { Vec::new() };
                        clients.cancellation(random, now, &lost)
                    }
                    _ => clients.purchase(random, now),
                },
            });
        }
        Ok(())
    }

    fn turn_of_any(&mut self) -> Checked {
        let all = SINGLE + self.post.len() + self.settle.len() + self.allocate.len();
        let some = self.scene.random.below(2 * all);
        // Ingress stages have more to do than the other stages.
        let at = if some < all { some } else { some % SINGLE };
        self.turn(at).map(|_| ())
    }

    fn turn(&mut self, at: usize) -> Checked<Turn> {
        let (chair, scene) = self.chair(at);
        let turn = chair.turn(scene)?;
        let id = chair.id().clone();
        if turn == Turn::Died {
            self.stop_publishing(&id);
        }
        Ok(turn)
    }

    /// One publisher does one step, if any has something to do.
    fn publisher_step(&mut self) -> Checked {
        let Self { scene, publishers, .. } = self;
        let (count, step) = (publishers.len(), scene.random.below(usize::from(u16::MAX)));
        let first = scene.random.below(count);
        for at in (first..count).chain(0..first) {
            if publishers[at].step(step, scene)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Detaches the publishers of a producer whose owner has crashed.
    fn stop_publishing(&mut self, producer: &Producer) {
        let Self { scene, publishers, .. } = self;
        publishers.iter_mut().filter(|p| p.producers.contains(producer)).for_each(|p| p.detach(scene));
    }

    fn chair(&mut self, at: usize) -> (&mut dyn Chair, &mut Scene<'a>) {
        let (posts, settles) = (self.post.len(), self.settle.len());
        let chair: &mut dyn Chair = match at {
            0 => &mut self.accept,
            1 => &mut self.record_rates,
            2 => &mut self.copy_rates,
            3 => &mut self.record_commands,
            at if at < SINGLE + posts => &mut self.post[at - SINGLE],
            at if at < SINGLE + posts + settles => &mut self.settle[at - SINGLE - posts],
            at => &mut self.allocate[at - SINGLE - posts - settles],
        };
        (chair, &mut self.scene)
    }

    fn chairs(&self) -> impl Iterator<Item = &dyn Chair> {
        let (record_rates, copy_rates): (&dyn Chair, &dyn Chair) = (&self.record_rates, &self.copy_rates);
        let (accept, record_commands): (&dyn Chair, &dyn Chair) = (&self.accept, &self.record_commands);
        let post = self.post.iter().map(|seat| seat as &dyn Chair);
        let settle = self.settle.iter().map(|seat| seat as &dyn Chair);
        let allocate = self.allocate.iter().map(|seat| seat as &dyn Chair);
        let single = [accept, record_rates, copy_rates, record_commands];
        single.into_iter().chain(post).chain(settle).chain(allocate)
    }

    fn targets(&self) -> Vec<StreamPartition> {
        self.publishers.iter().map(|publisher| publisher.target.clone()).collect()
    }
}

/// One publisher for each stream partition, as in production.
fn publishers(stores: &[MemoryStore], partitions: PartitionCount) -> Vec<Publisher> {
    let mut publishers = Vec::new();
    let services = unbundled::services::all(None);
    let streams = services.iter().flat_map(|service| service.topology.streams);
    for stream in streams {
        let Some(store) = stores.iter().find(|store| store.meta().service == stream.service) else {
            unreachable!("{} has no service", stream.name)
        };
        let of = |partition| {
            let producers = stream.known_producers(partition, partitions);
            Publisher::new(stream.target(partition), producers, store.clone())
        };
        publishers.extend(partitions.all().map(of));
    }
    publishers
}
