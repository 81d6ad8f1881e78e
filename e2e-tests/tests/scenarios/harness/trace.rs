//! Assertions on a trace: its spans, their parents, links and attributes.

use super::Span;

/// The spans of `POST /purchases`, paid in another currency than the price's.
pub const PURCHASE_TREE: &str = "\
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

/// The spans below the root of `POST /purchases`, paid in the price's currency.
pub const SAME_CURRENCY_SUBTREE: &str = "  purchase: accept (INTERNAL)
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
    /// The trace with this id.
    pub fn of(all: &[Span], id: &str) -> Self {
        Self(all.iter().filter(|span| span.trace == id).cloned().collect())
    }

    /// The only span whose parent is not among the spans.
    pub fn root(&self) -> &Span {
        let known = |id: &str| self.0.iter().any(|span| span.id == id);
        let roots: Vec<_> = self.0.iter().filter(|span| !known(&span.parent)).collect();
        let [root] = roots.as_slice() else { panic!("not exactly one root: {roots:#?}") };
        root
    }

    /// Renders the tree with one span per line, children below their parent and sorted by name.
    pub fn render(&self) -> String {
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

    /// Asserts that every span has this request id and no error, does not end before its start, and does not start
    /// before its parent.
    pub fn assert_request_id(&self, id: &str) {
        for span in &self.0 {
            assert_eq!(span.text("unbundled.request_id"), id, "{span:?}");
            assert!(span.started <= span.ended && !span.is_error, "{span:?}");
            let parent = self.0.iter().find(|parent| parent.id == span.parent);
            assert!(parent.is_none_or(|parent| parent.started <= span.started), "{parent:?} {span:?}");
        }
    }

    /// Asserts the attributes of the messaging spans: `messaging.system`, stream, partition, message id, event type.
    pub fn assert_transport(&self, system: &str) {
        for span in self.0.iter().filter(|span| ["PRODUCER", "CONSUMER"].contains(&span.kind.as_str())) {
            let (operation, stream) = span.name.split_once(' ').unwrap();
            assert_eq!(span.text("messaging.system"), system, "{span:?}");
            assert_eq!(span.text("messaging.operation.type"), operation, "{span:?}");
            assert_eq!(span.text("messaging.destination.name"), stream, "{span:?}");
            let partition = span.text("messaging.destination.partition.id");
            let message = span.text("messaging.message.id");
            assert!(message.contains(&format!(">{stream}/{partition}#")), "{span:?}");
        }
        let event_type = |name| self.0.iter().find(|span| span.name == name).unwrap().text("cloudevents.event_type");
        assert_eq!(
            [event_type("process purchases"), event_type("process outcomes")],
            ["PurchaseConfirmed", "PaymentPosted"]
        );
    }

    /// Asserts that the span of each fact that a stage processed links to the span of its batch, and the other way
    /// round.
    pub fn assert_linked_with_batches(&self, all: &[Span]) {
        let is_processing = |span: &&Span| span.name == "accept" || span.name.starts_with("process ");
        let mut count = 0;
        for span in self.0.iter().filter(is_processing) {
            let [(trace, id)] = span.links.as_slice() else { panic!("not exactly one link: {span:?}") };
            let batch = all.iter().find(|batch| batch.trace == *trace && batch.id == *id);
            let batch = batch.unwrap_or_else(|| panic!("there is no batch of {span:?}"));
            assert_eq!(batch.name, format!("batch {}", span.text("unbundled.stage")));
            assert_eq!((batch.service.as_str(), batch.parent.as_str()), (span.service.as_str(), ""));
            assert!(batch.links.contains(&(span.trace.clone(), span.id.clone())), "{batch:?} {span:?}");
            assert!(batch.ended >= span.started && !batch.text("messaging.batch.message_count").is_empty());
            count += 1;
        }
        assert!(count >= 3, "{:#?}", self.0);
    }
}
