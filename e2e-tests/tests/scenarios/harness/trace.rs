//! A trace as it has to be: which spans, whose children, linked with what.

use super::Span;

/// What comes of `POST /purchases` when it is paid in another currency than the price's.
pub const PURCHASE: &str = "\
purchase: POST /purchases (SERVER)
  purchase: accept (INTERNAL)
    purchase: send purchases (PRODUCER)
      ledger: process purchases (CONSUMER)
        ledger: send credits (PRODUCER)
          ledger: process credits (CONSUMER)
        ledger: send credits (PRODUCER)
          ledger: process credits (CONSUMER)
        ledger: send outcomes (PRODUCER)
          purchase: process outcomes (CONSUMER)
";

/// The part of [`PURCHASE`] below its root, of a purchase paid in the price's currency.
pub const WITHOUT_FX: &str = "  purchase: accept (INTERNAL)
    purchase: send purchases (PRODUCER)
      ledger: process purchases (CONSUMER)
        ledger: send credits (PRODUCER)
          ledger: process credits (CONSUMER)
        ledger: send outcomes (PRODUCER)
          purchase: process outcomes (CONSUMER)
";

/// The spans of one trace.
pub struct Trace(pub Vec<Span>);

impl Trace {
    /// Of all spans, those of one trace.
    pub fn of(all: &[Span], id: &str) -> Self {
        Self(all.iter().filter(|span| span.trace == id).cloned().collect())
    }

    /// The only span without a parent among these.
    pub fn root(&self) -> &Span {
        let known = |id: &str| self.0.iter().any(|span| span.id == id);
        let roots: Vec<_> = self.0.iter().filter(|span| !known(&span.parent)).collect();
        let [root] = roots.as_slice() else { panic!("not one root: {roots:#?}") };
        root
    }

    /// The tree, a span a line, children below their parents in the order of their names.
    pub fn drawn(&self) -> String {
        let mut lines = String::new();
        self.draw(self.root(), 0, &mut lines);
        lines
    }

    fn draw(&self, span: &Span, depth: usize, lines: &mut String) {
        *lines += &format!("{}{}: {} ({})\n", "  ".repeat(depth), span.service, span.name, span.kind);
        let mut children: Vec<_> = self.0.iter().filter(|child| child.parent == span.id).collect();
        children.sort_by(|one, other| one.name.cmp(&other.name));
        children.into_iter().for_each(|child| self.draw(child, depth + 1, lines));
    }

    /// Every span says which request it belongs to, ends after it began, and begins no sooner than its parent.
    pub fn is_of_request(&self, id: &str) {
        for span in &self.0 {
            assert_eq!(span.text("unbundled.request_id"), id, "{span:?}");
            assert!(span.began <= span.ended && !span.is_error, "{span:?}");
            let parent = self.0.iter().find(|parent| parent.id == span.parent);
            assert!(parent.is_none_or(|parent| parent.began <= span.began), "{parent:?} {span:?}");
        }
    }

    /// Facts travel by this system, and say which they are.
    pub fn travels_by(&self, system: &str) {
        for span in self.0.iter().filter(|span| ["PRODUCER", "CONSUMER"].contains(&span.kind.as_str())) {
            let (operation, stream) = span.name.split_once(' ').unwrap();
            assert_eq!(span.text("messaging.system"), system, "{span:?}");
            assert_eq!(span.text("messaging.operation.type"), operation, "{span:?}");
            assert_eq!(span.text("messaging.destination.name"), stream, "{span:?}");
            let partition = span.text("messaging.destination.partition.id");
            let message = span.text("messaging.message.id");
            assert!(message.contains(&format!(">{stream}/{partition}#")), "{span:?}");
        }
        let fact = |name| self.0.iter().find(|span| span.name == name).unwrap().text("cloudevents.event_type");
        assert_eq!([fact("process purchases"), fact("process outcomes")], ["PurchaseConfirmed", "PaymentPosted"]);
    }

    /// What a stage applied is linked with its batch, and the batch with it.
    pub fn is_linked_with_its_batches(&self, all: &[Span]) {
        let applied = |span: &&Span| span.name == "accept" || span.name.starts_with("process ");
        let mut count = 0;
        for span in self.0.iter().filter(applied) {
            let [(trace, id)] = span.links.as_slice() else { panic!("not one link: {span:?}") };
            let batch = all.iter().find(|batch| batch.trace == *trace && batch.id == *id);
            let batch = batch.unwrap_or_else(|| panic!("no batch of {span:?}"));
            assert_eq!(batch.name, format!("batch {}", span.text("unbundled.stage")));
            assert_eq!((batch.service.as_str(), batch.parent.as_str()), (span.service.as_str(), ""));
            assert!(batch.links.contains(&(span.trace.clone(), span.id.clone())), "{batch:?} {span:?}");
            assert!(batch.ended >= span.began && !batch.text("messaging.batch.message_count").is_empty());
            count += 1;
        }
        assert!(count >= 3, "{:#?}", self.0);
    }
}
