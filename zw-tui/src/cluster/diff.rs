//! Compares the trees of two nodes: goes down only where the digests of subtrees differ.
//!
//! Invariant: it ends, after so many questions, differences and seconds, and says which bound it was. A node that does
//! not answer ends it too.

use super::READ_TIMEOUT;
use super::ask::Line;
use super::poll::reason;
use crate::model::diff::{DIFFERENCES_MAX, DiffEnd, DiffReport, Difference, Side};
use crate::model::message::Msg;
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;
use zw_core::client::ClientError;
use zw_core::ids::Zxid;
use zw_core::limits::CHILDREN_ASKED;
use zw_core::tree::command::Stat;
use zw_core::wire::client::{Answer, Children, ChildrenPage, ErrorCode, Operation, Read};

/// Questions to both nodes together.
const REQUESTS_MAX: u32 = 4_000;
/// The whole comparison.
const TIME_MAX: Duration = Duration::from_secs(20);
/// A digest of a large subtree reads all of it.
const TIMEOUT: Duration = READ_TIMEOUT.saturating_mul(5);
/// Questions after which the screen hears how far it is.
const NEWS: u32 = 50;

/// Compares, and tells what it finds as it goes.
pub(super) async fn compare(number: u64, addresses: [String; 2], messages: Sender<Msg>) {
    let nodes = addresses.map(|address| Line::new(address, TIMEOUT));
    Walk::new(nodes, Listener { number, messages: Some(messages) }).run().await;
}

/// Who hears what is found.
struct Listener {
    number: u64,
    messages: Option<Sender<Msg>>,
}

impl Listener {
    /// False if nobody listens any more.
    async fn tell(&self, report: &DiffReport) -> bool {
        let Some(messages) = &self.messages else { return true };
        let message = Msg::Diff { number: self.number, report: Box::new(report.clone()) };
        messages.send(message).await.is_ok()
    }
}

/// What a walk asks a node. The tests have another one than the network.
trait Reader {
    /// Digest of a subtree and the zxid; none if there is no such znode.
    async fn digest(&mut self, path: &str) -> Result<(Zxid, Option<u64>), ClientError>;
    /// A znode; none if it is not there.
    async fn value(&mut self, path: &str) -> Result<(Zxid, Option<(Bytes, Stat)>), ClientError>;
    /// A page of children; none if there is no such znode.
    async fn children(&mut self, path: &str, after: &str) -> Result<(Zxid, Option<ChildrenPage>), ClientError>;
}

impl Reader for Line {
    async fn digest(&mut self, path: &str) -> Result<(Zxid, Option<u64>), ClientError> {
        match self.request(Operation::SubtreeDigest(read(path))).await {
            Ok((_, Answer::Digest(reply))) => Ok((reply.zxid, Some(reply.digest))),
            other => absent(other),
        }
    }

    async fn value(&mut self, path: &str) -> Result<(Zxid, Option<(Bytes, Stat)>), ClientError> {
        match self.request(Operation::Get(read(path))).await {
            Ok((zxid, Answer::Data(data))) => Ok((zxid, Some((data.data, data.stat)))),
            other => absent(other),
        }
    }

    async fn children(&mut self, path: &str, after: &str) -> Result<(Zxid, Option<ChildrenPage>), ClientError> {
        let question =
            Children { path: path.into(), watch: false, after: after.into(), limit: CHILDREN_ASKED, with_stat: true };
        match self.request(Operation::Children(question)).await {
            Ok((zxid, Answer::Children(page))) => Ok((zxid, Some(page))),
            other => absent(other),
        }
    }
}

fn read(path: &str) -> Read {
    Read { path: path.into(), watch: false }
}

/// An answer that is none: no such znode, or a failure.
fn absent<T>(result: Result<(Zxid, Answer), ClientError>) -> Result<(Zxid, Option<T>), ClientError> {
    match result {
        Ok((_, answer)) => Err(ClientError::Protocol(format!("an answer of kind {}", answer.kind()))),
        Err(error) if error.code() == Some(ErrorCode::NoNode) => Ok((Zxid::ZERO, None)),
        Err(error) => Err(error),
    }
}

/// A walk over two trees.
struct Walk<R> {
    nodes: [R; 2],
    report: DiffReport,
    began: Instant,
    listener: Listener,
}

/// Asks both nodes at once, so that they are read at nearly the same time.
macro_rules! both {
    ($walk:ident, $method:ident($($argument:expr),*)) => {{
        $walk.check()?;
        $walk.report.requests += 2;
        let [left, right] = &mut $walk.nodes;
        let (left, right) = tokio::join!(left.$method($($argument),*), right.$method($($argument),*));
        [$walk.take(0, left)?, $walk.take(1, right)?]
    }};
}

impl<R: Reader> Walk<R> {
    fn new(nodes: [R; 2], listener: Listener) -> Walk<R> {
        Walk { nodes, report: DiffReport::default(), began: Instant::now(), listener }
    }

    /// Walks to the end, and tells how far it is now and then.
    async fn run(&mut self) {
        let mut todo = vec!["/".to_owned()];
        let mut told = 0;
        let end = loop {
            let Some(path) = todo.pop() else { break DiffEnd::Whole };
            match self.visit(&path).await {
                Ok(below) => todo.extend(below.into_iter().rev()),
                Err(end) => break end,
            }
            if self.report.requests >= told + NEWS {
                told = self.report.requests;
                if !self.listener.tell(&self.report).await {
                    return;
                }
            }
        };
        self.report.end = Some(end);
        self.listener.tell(&self.report).await;
    }

    /// Whether a bound is reached.
    fn check(&self) -> Result<(), DiffEnd> {
        let capped = |bound: String| Err(DiffEnd::Capped(bound));
        if self.report.differences.len() >= DIFFERENCES_MAX {
            capped(format!("{DIFFERENCES_MAX} differences"))
        } else if self.report.requests >= REQUESTS_MAX {
            capped(format!("{REQUESTS_MAX} questions"))
        } else if self.began.elapsed() >= TIME_MAX {
            capped(format!("{} s", TIME_MAX.as_secs()))
        } else {
            Ok(())
        }
    }

    fn take<T>(&mut self, side: usize, answer: Result<(Zxid, T), ClientError>) -> Result<T, DiffEnd> {
        match answer {
            Ok((zxid, value)) => {
                self.report.read(side, zxid);
                Ok(value)
            }
            Err(error) => Err(DiffEnd::Failed { side, reason: reason(&error) }),
        }
    }

    /// Compares one subtree; gives those below that must be looked at.
    async fn visit(&mut self, path: &str) -> Result<Vec<String>, DiffEnd> {
        let [left, right] = both!(self, digest(path));
        if left == right {
            return Ok(Vec::new());
        }
        let [left, right] = both!(self, value(path));
        let differs = match (&left, &right) {
            (Some((left, a)), Some((right, b))) => left != right || !same_own(a, b),
            (None, None) => return Ok(Vec::new()),
            _ => true,
        };
        let is_on_both = left.is_some() && right.is_some();
        let has_children =
            [&left, &right].iter().any(|side| side.as_ref().is_some_and(|(_, stat)| stat.num_children > 0));
        if differs {
            let sides = [left, right].map(|side| side.map(|(data, stat)| Side::new(&data, stat)));
            self.report.differences.push(Difference { path: path.to_owned(), sides });
        }
        if is_on_both && has_children { self.visit_children(path, differs).await } else { Ok(Vec::new()) }
    }

    /// Goes over the children of both side by side, a page at a time. Leaves are compared by their Stat, which comes
    /// with the page; what has children is given back.
    async fn visit_children(&mut self, path: &str, is_found: bool) -> Result<Vec<String>, DiffEnd> {
        let (mut below, mut leaves) = (Vec::new(), Vec::new());
        let found = self.report.differences.len();
        let mut after = String::new();
        loop {
            let [left, right] = both!(self, children(path, &after));
            let (Some(left), Some(right)) = (left, right) else { return Ok(below) };
            // A page that is cut says nothing of the names after its last one.
            let end =
                [&left, &right].iter().filter(|page| page.more).filter_map(|page| page.names.last()).min().cloned();
            for (name, sides) in merged(&left, &right, end.as_deref()) {
                let child = format!("{}/{name}", path.trim_end_matches('/'));
                match sides {
                    [Some(a), Some(b)] if a.num_children > 0 || b.num_children > 0 => below.push(child),
                    [Some(a), Some(b)] if a == b => leaves.push(child),
                    sides => self.differ(child, sides).await?,
                }
            }
            match end {
                Some(last) => after = last,
                None => break,
            }
        }
        // The digests differ and no Stat says why: the data of a leaf does, or it is below.
        if below.is_empty() && !is_found && self.report.differences.len() == found {
            return Ok(leaves);
        }
        Ok(below)
    }

    /// Reads the values of a leaf that differs.
    async fn differ(&mut self, path: String, stats: [Option<Stat>; 2]) -> Result<(), DiffEnd> {
        let values = both!(self, value(&path));
        let mut sides = values.map(|value| value.map(|(data, stat)| Side::new(&data, stat)));
        // It changed since the page was read, and is the same by now.
        if let [Some(a), Some(b)] = &sides
            && (&a.data, &a.stat) == (&b.data, &b.stat)
        {
            return Ok(());
        }
        // One that is gone by now was there all the same.
        for (side, stat) in sides.iter_mut().zip(stats) {
            if side.is_none() {
                *side = stat.map(|stat| Side { data: None, stat });
            }
        }
        self.report.differences.push(Difference { path, sides });
        Ok(())
    }
}

/// Whether two Stats are those of one znode in one state, whatever its children are.
fn same_own(a: &Stat, b: &Stat) -> bool {
    let own = |stat: &Stat| (stat.czxid, stat.mzxid, stat.version, stat.aversion, stat.ephemeral_owner);
    own(a) == own(b)
}

/// The names of two pages in order, up to `end`, each with its Stat on both sides.
fn merged(left: &ChildrenPage, right: &ChildrenPage, end: Option<&str>) -> Vec<(String, [Option<Stat>; 2])> {
    let entries = |page: &'_ ChildrenPage| {
        let pairs = page.names.iter().cloned().zip(page.stats.iter().copied());
        pairs.filter(|(name, _)| end.is_none_or(|end| name.as_str() <= end)).collect::<Vec<_>>()
    };
    let (left, right) = (entries(left), entries(right));
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    let mut all = Vec::new();
    while let Some(name) = [left.peek(), right.peek()].into_iter().flatten().map(|(name, _)| name).min().cloned() {
        let is_it = |entry: &(String, Stat)| entry.0 == name;
        let sides = [left.next_if(is_it), right.next_if(is_it)].map(|entry| entry.map(|(_, stat)| stat));
        all.push((name, sides));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use zw_core::ids::Epoch;

    /// A tree in memory, by path: data, and the zxid of its last change.
    #[derive(Clone, Default)]
    struct Fake {
        znodes: BTreeMap<String, (Bytes, u64)>,
        zxid: u64,
        is_gone: bool,
        page: usize,
    }

    impl Fake {
        fn new(paths: &[(&str, &'static str, u64)]) -> Fake {
            let mut znodes = BTreeMap::from([("/".to_owned(), (Bytes::new(), 0))]);
            znodes.extend(paths.iter().map(|(path, data, zxid)| ((*path).to_owned(), (Bytes::from(*data), *zxid))));
            Fake { znodes, zxid: 9, is_gone: false, page: 2 }
        }

        fn below(&self, path: &str) -> Vec<&String> {
            let prefix = format!("{}/", path.trim_end_matches('/'));
            self.znodes.keys().filter(|key| key.starts_with(&prefix) && key.len() > prefix.len()).collect()
        }

        fn names(&self, path: &str) -> Vec<String> {
            let prefix = path.trim_end_matches('/').len() + 1;
            let names = self.below(path).into_iter().map(|key| key[prefix..].to_owned());
            names.filter(|name| !name.contains('/')).collect()
        }

        fn stat(&self, path: &str) -> Option<Stat> {
            let (data, zxid) = self.znodes.get(path)?;
            let num_children = u32::try_from(self.names(path).len()).unwrap();
            let data_length = u32::try_from(data.len()).unwrap();
            Some(Stat { mzxid: Zxid(*zxid), num_children, data_length, ..Stat::default() })
        }

        fn answer<T>(&self, value: T) -> Result<(Zxid, T), ClientError> {
            match self.is_gone {
                true => Err(ClientError::Protocol("gone".into())),
                false => Ok((Zxid::new(Epoch(7), self.zxid), value)),
            }
        }
    }

    impl Reader for Fake {
        async fn digest(&mut self, path: &str) -> Result<(Zxid, Option<u64>), ClientError> {
            use std::hash::{DefaultHasher, Hash, Hasher};
            let mut hasher = DefaultHasher::new();
            for key in std::iter::once(&path.to_owned()).chain(self.below(path)) {
                (key, &self.znodes.get(key)).hash(&mut hasher);
            }
            self.answer(self.znodes.contains_key(path).then(|| hasher.finish()))
        }

        async fn value(&mut self, path: &str) -> Result<(Zxid, Option<(Bytes, Stat)>), ClientError> {
            self.answer(self.stat(path).map(|stat| (self.znodes[path].0.clone(), stat)))
        }

        async fn children(&mut self, path: &str, after: &str) -> Result<(Zxid, Option<ChildrenPage>), ClientError> {
            let Some(stat) = self.stat(path) else { return self.answer(None) };
            let mut names = self.names(path);
            names.retain(|name| name.as_str() > after);
            let more = names.len() > self.page;
            names.truncate(self.page);
            let stats = names.iter().map(|name| self.stat(&format!("{}/{name}", path.trim_end_matches('/'))).unwrap());
            self.answer(Some(ChildrenPage { stats: stats.collect(), names, stat, more }))
        }
    }

    async fn walk(nodes: [Fake; 2]) -> DiffReport {
        let mut walk = Walk::new(nodes, Listener { number: 1, messages: None });
        walk.run().await;
        walk.report
    }

    fn found(report: &DiffReport) -> Vec<(&str, [bool; 2])> {
        report.differences.iter().map(|d| (d.path.as_str(), [d.sides[0].is_some(), d.sides[1].is_some()])).collect()
    }

    #[tokio::test]
    async fn only_what_differs_is_found_and_nothing_else_is_read() {
        let shared =
            [("/a", "1", 1), ("/a/x", "1", 1), ("/a/y", "1", 1), ("/b", "1", 1), ("/b/c", "1", 1), ("/b/c/d", "1", 1)];
        let (mut left, mut right) = (Fake::new(&shared), Fake::new(&shared));
        let report = walk([left.clone(), right.clone()]).await;
        assert_eq!((report.requests, found(&report).len(), report.is_at_one_zxid()), (2, 0, true));

        left.znodes.insert("/b/c/d".into(), ("2".into(), 8));
        right.znodes.insert("/b/c/e".into(), ("3".into(), 9));
        left.znodes.insert("/z".into(), ("4".into(), 9));
        left.zxid = 8;
        let report = walk([left, right]).await;
        let expected = [("/z", [true, false]), ("/b/c/d", [true, true]), ("/b/c/e", [false, true])];
        assert_eq!(found(&report), expected);
        assert!(!report.is_at_one_zxid());
        assert_eq!(report.differences[1].sides[0].as_ref().unwrap().data.as_deref(), Some(&b"2"[..]));
        assert!(report.requests < 30, "{}", report.requests);
    }

    #[tokio::test]
    async fn pages_of_unlike_length_hide_nothing() {
        let names: Vec<String> = (0..40).map(|index| format!("/d/{index:02}")).collect();
        let mut all: Vec<(&str, &'static str, u64)> = vec![("/d", "", 1)];
        all.extend(names.iter().map(|name| (name.as_str(), "x", 1)));
        let (mut left, mut right) = (Fake::new(&all), Fake::new(&all));
        for name in &names[3..9] {
            left.znodes.remove(name);
        }
        right.znodes.remove("/d/39");
        right.znodes.insert("/d/20".into(), ("y".into(), 2));
        right.page = 7;
        let report = walk([left, right]).await;
        let mut expected: Vec<(&str, [bool; 2])> = names[3..9].iter().map(|n| (n.as_str(), [false, true])).collect();
        expected.extend([("/d/20", [true, true]), ("/d/39", [true, false])]);
        assert_eq!(found(&report), expected);
    }

    #[tokio::test]
    async fn data_that_differs_under_equal_stats_is_found_too() {
        let shared = [("/a", "1", 1), ("/a/x", "1", 1), ("/a/y", "1", 1)];
        let (left, mut right) = (Fake::new(&shared), Fake::new(&shared));
        right.znodes.insert("/a/y".into(), ("7".into(), 1));
        let report = walk([left, right]).await;
        assert_eq!(found(&report), [("/a/y", [true, true])]);
        assert!(report.is_at_one_zxid());
    }

    #[tokio::test]
    async fn it_ends_at_its_bounds_and_says_which() {
        let names: Vec<String> = (0..DIFFERENCES_MAX + 50).map(|index| format!("/{index:04}")).collect();
        let all: Vec<(&str, &'static str, u64)> = names.iter().map(|name| (name.as_str(), "x", 1)).collect();
        let report = walk([Fake::new(&all), Fake::new(&[])]).await;
        assert_eq!(report.differences.len(), DIFFERENCES_MAX);
        assert!(matches!(report.end, Some(DiffEnd::Capped(bound)) if bound == "200 differences"));
        let gone = Fake { is_gone: true, ..Fake::new(&[]) };
        let report = walk([Fake::new(&[]), gone]).await;
        assert!(matches!(report.end, Some(DiffEnd::Failed { side: 1, .. })), "{report:?}");
    }
}
