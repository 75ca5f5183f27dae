//! Following the ensemble: events in order, Clients lists, brokers that are alive.
//!
//! Watches say when to look; what is taken in comes from reads after the last event that is known. So a watch that
//! comes twice, late or not at all costs a look (or at most the time to the next regular one), never an event.

use super::event::{ClientsRow, Event, Ordered};
use super::store::Store;
use super::view::View;
use super::{layout, order};
use crate::command_line::with_advice;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use zw_core::client::{Client, ClientError, WatchStream};
use zw_core::limits::{BROKER_EVENTS_MAX, BROKER_EVENTS_SLACK, CHILDREN_ASKED};
use zw_core::tree::command::{Command, Delete};
use zw_core::wire::client::{Answer, Children, ErrorCode, Operation, Read};

/// The view, and the zxid of its last event for those who wait for one.
pub(super) struct Shared {
    pub(super) view: RwLock<View>,
    pub(super) reached: watch::Sender<u64>,
}

/// Why following came to an end.
#[derive(Debug, Error)]
pub(super) enum FollowError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the broker's own file failed: {0}")]
    Store(#[from] io::Error),
    #[error("{0}")]
    Layout(String),
}

/// Look at least so often.
const REGULAR_LOOK: Duration = Duration::from_secs(1);
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Reads under way at once.
const IN_FLIGHT: usize = 256;

/// Follows until `stop`; reports what goes wrong and tries again. Only a failing disk ends it before.
pub(super) async fn run(
    port: String,
    servers: Vec<String>,
    shared: Arc<Shared>,
    mut store: Store,
    mut stop: watch::Receiver<bool>,
) -> Result<(), io::Error> {
    let mut told = String::new();
    while !*stop.borrow() {
        let connected = tokio::select! {
            connected = order::connect(servers.clone(), None) => connected,
            _ = stop.changed() => return Ok(()),
        };
        let error = match connected {
            Ok(client) => {
                let ended = tokio::select! {
                    ended = follow(&port, &client, &shared, &mut store) => Some(ended),
                    _ = stop.changed() => None,
                };
                // It has no session, so nothing is lost; to wait for what is under way would only delay the end.
                drop(client);
                match ended {
                    None => return Ok(()),
                    Some(Err(FollowError::Store(error))) => return Err(error),
                    Some(Err(error)) => error.to_string(),
                    Some(Ok(never)) => match never {},
                }
            }
            Err(error) => with_advice(&error),
        };
        shared.view.write().expect("no holder of the view panics").in_touch = false;
        if told != error {
            tracing::warn!("the ensemble cannot be followed: {error}");
            told = error;
        }
        sleep(RETRY_PAUSE).await;
    }
    Ok(())
}

async fn follow(port: &str, client: &Client, shared: &Shared, store: &mut Store) -> Result<Infallible, FollowError> {
    order::prepare(client).await?;
    let mut watches = [
        client.add_watch(layout::EVENTS, true).await?,
        client.add_watch(layout::CLIENTS, true).await?,
        client.add_watch(layout::BROKERS, true).await?,
    ];
    client.sync().await?;
    let mut regular = interval(REGULAR_LOOK);
    regular.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut follower = Follower { port, client, shared, store, cursor: String::new() };
    follower.check_history().await?;
    loop {
        // The first tick comes at once, so everything is looked at in the beginning.
        let all = changed(&mut watches, &mut regular).await?;
        if all {
            follower.check_history().await?;
            follower.look_at_lists().await?;
        }
        follower.look_at_events(all).await?;
    }
}

/// Waits for a reason to look: whether at everything, or only at new events.
async fn changed(watches: &mut [WatchStream; 3], regular: &mut tokio::time::Interval) -> Result<bool, FollowError> {
    let [events, clients, brokers] = watches;
    let (event, all) = tokio::select! {
        event = events.next() => (event, false),
        event = clients.next() => (event, true),
        event = brokers.next() => (event, true),
        _ = regular.tick() => return Ok(true),
    };
    if event.is_none() {
        return Err(FollowError::Layout("a watch ended".into()));
    }
    // One look serves all that is queued.
    let mut all = all;
    loop {
        let more = tokio::select! {
            biased;
            event = clients.next() => { all = true; event }
            event = brokers.next() => { all = true; event }
            event = events.next() => event,
            () = std::future::ready(()) => return Ok(all),
        };
        if more.is_none() {
            return Err(FollowError::Layout("a watch ended".into()));
        }
    }
}

struct Follower<'a> {
    port: &'a str,
    client: &'a Client,
    shared: &'a Shared,
    store: &'a mut Store,
    /// The name of the last event that was looked at; what is no event is passed by.
    cursor: String,
}

impl Follower<'_> {
    /// Sets the view and the file aside if they belong to another ensemble's history.
    async fn check_history(&mut self) -> Result<(), FollowError> {
        let (data, _) = self.client.get(layout::EVENTS).await?;
        let id = serde_json::from_slice::<serde_json::Value>(&data).ok();
        let id = id.as_ref().and_then(|value| value.get("Id")?.as_str());
        let Some(id) = id else {
            let reason = format!("{} does not name its history; delete it with zw delete -r", layout::EVENTS);
            return Err(FollowError::Layout(reason));
        };
        let known = self.shared.view.read().expect("no holder of the view panics").history.clone();
        if known != id {
            tokio::task::block_in_place(|| self.store.rewrite(id, std::iter::empty(), !known.is_empty()))?;
            let view = View::new(id.to_owned());
            *self.shared.view.write().expect("no holder of the view panics") = view;
            self.shared.reached.send_replace(0);
            self.cursor.clear();
        }
        let view = self.shared.view.read().expect("no holder of the view panics");
        if self.cursor.as_str() < view.last_name() {
            view.last_name().clone_into(&mut self.cursor);
        }
        Ok(())
    }

    /// Reads the Clients lists and the brokers anew.
    async fn look_at_lists(&mut self) -> Result<(), FollowError> {
        let brokers = self.client.children(layout::BROKERS).await?;
        let senders = self.client.children(layout::CLIENTS).await?;
        let rows = self.read_all(&senders, layout::sender).await?;
        let mut view = self.shared.view.write().expect("no holder of the view panics");
        view.brokers = brokers;
        view.newest.clear();
        for (sender, (data, _)) in rows {
            if let Ok(row) = serde_json::from_slice::<ClientsRow>(&data) {
                view.newest.insert(sender, row);
            }
        }
        Ok(())
    }

    /// Takes in what comes after the last event; `oldest_too` drops what the ensemble does not keep any more.
    async fn look_at_events(&mut self, oldest_too: bool) -> Result<(), FollowError> {
        let mut after = self.cursor.clone();
        loop {
            let mut page = self.client.children_page(events_after(after.clone(), CHILDREN_ASKED)).await?;
            if let Some(last) = page.names.last() {
                after.clone_from(last);
            }
            // What somebody made here by hand must not move the cursor beyond the events to come.
            page.names.retain(|name| layout::is_event_name(name, page.stat.cversion));
            let read = self.read_all(&page.names, layout::event).await?;
            self.take_in(read)?;
            if let Some(last) = page.names.last() {
                self.cursor.clone_from(last);
            }
            if !page.more {
                break;
            }
        }
        if oldest_too {
            self.drop_old().await?;
        }
        Ok(())
    }

    /// Stores and shows the next events. What is no event, or stands where the order does not allow it, is left out.
    fn take_in(&mut self, read: Vec<(String, (bytes::Bytes, u64))>) -> io::Result<()> {
        let mut last_zxid = self.shared.view.read().expect("no holder of the view panics").last_zxid();
        let mut events = Vec::new();
        for (name, (data, zxid)) in read {
            match serde_json::from_slice::<Event>(&data) {
                Ok(event) if zxid >= last_zxid => {
                    last_zxid = zxid;
                    events.push(Ordered { name, zxid, event });
                }
                Ok(_) => tracing::warn!("{} is out of order and is left out", layout::event(&name)),
                Err(error) => tracing::warn!("{} is no event and is left out: {error}", layout::event(&name)),
            }
        }
        if !events.is_empty() {
            tokio::task::block_in_place(|| self.store.append(&events))?;
        }
        let mut view = self.shared.view.write().expect("no holder of the view panics");
        events.into_iter().for_each(|event| view.push(event));
        view.in_touch = true;
        view.node = self.client.connected_to().unwrap_or_default();
        drop(view);
        self.shared.reached.send_replace(last_zxid);
        Ok(())
    }

    /// Drops what the ensemble does not keep any more, and deletes what it need not keep if that is this broker's turn.
    async fn drop_old(&mut self) -> Result<(), FollowError> {
        let oldest = self.client.children_page(events_after(layout::EVENT_NAME.to_owned(), 1)).await?;
        let surplus: Vec<(String, String)> = {
            let mut view = self.shared.view.write().expect("no holder of the view panics");
            match oldest.names.first() {
                Some(name) => view.drop_before(name),
                None => view.drop_all(),
            }
            if self.store.is_bloated() {
                let history = view.history.clone();
                tokio::task::block_in_place(|| self.store.rewrite(&history, view.all(), false))?;
            }
            let surplus = view.all().len().saturating_sub(BROKER_EVENTS_MAX);
            // One broker is enough; any may do it, for a delete that was done is done.
            let is_my_turn = view.brokers.first().is_some_and(|first| first == self.port);
            if surplus < BROKER_EVENTS_SLACK || !is_my_turn {
                return Ok(());
            }
            view.all().take(surplus).map(|old| (old.name.clone(), old.event.request_id.clone())).collect()
        };
        for batch in surplus.chunks(IN_FLIGHT) {
            let delete = |path| self.client.send(Operation::Write(Command::Delete(Delete { path, version: -1 })));
            let sent: Vec<_> = batch
                .iter()
                .flat_map(|(name, request)| [delete(layout::event(name)), delete(layout::request(request))])
                .collect();
            for answer in sent {
                match answer.await {
                    Err(error) if error.code() != Some(ErrorCode::NoNode) => return Err(error.into()),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Reads the znodes of `names`, many under way; those that are gone are left out. Gives data and czxid.
    async fn read_all(
        &self,
        names: &[String],
        path: impl Fn(&str) -> String,
    ) -> Result<Vec<(String, (bytes::Bytes, u64))>, FollowError> {
        let mut read = Vec::with_capacity(names.len());
        let mut under_way = VecDeque::new();
        for name in names {
            if under_way.len() >= IN_FLIGHT {
                take_one(&mut under_way, &mut read).await?;
            }
            let get = Operation::Get(Read { path: path(name), watch: false });
            under_way.push_back((name.clone(), Box::pin(self.client.send(get))));
        }
        while !under_way.is_empty() {
            take_one(&mut under_way, &mut read).await?;
        }
        Ok(read)
    }
}

async fn take_one<F>(
    under_way: &mut VecDeque<(String, F)>,
    read: &mut Vec<(String, (bytes::Bytes, u64))>,
) -> Result<(), FollowError>
where
    F: Future<Output = Result<(zw_core::ids::Zxid, Answer), ClientError>>,
{
    let Some((name, answer)) = under_way.pop_front() else { return Ok(()) };
    match answer.await {
        Ok((_, Answer::Data(data))) => read.push((name, (data.data, data.stat.czxid.0))),
        Ok((_, other)) => {
            return Err(FollowError::Layout(format!("a node answered with kind {} to a read", other.kind())));
        }
        Err(error) if error.code() == Some(ErrorCode::NoNode) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn events_after(after: String, limit: u32) -> Children {
    Children { path: layout::EVENTS.to_owned(), watch: false, after, limit, with_stat: false }
}
