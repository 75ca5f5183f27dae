//! The client's methods, one for each thing a program asks for.

use super::connection::unexpected;
use super::error::ClientError;
use super::watch::{Interest, Registration, Watch, WatchStream};
use super::{Client, WhenFull};
use crate::ids::Zxid;
use crate::tree::command::{Acl, Command, Create, CreateMode, Created, Delete, Multi, Reply, SetAcl, SetData, Stat};
use crate::wire::admin::{DigestReply, SessionInfo, Status};
use crate::wire::client::{AddWatch, Answer, Children, ChildrenPage, Data, Operation, Ping, Read};
use bytes::Bytes;

fn read(path: &str, watch: bool) -> Read {
    Read { path: path.to_owned(), watch }
}

fn all_children(path: &str) -> Children {
    Children { path: path.to_owned(), watch: false, after: String::new(), limit: 0, with_stat: false }
}

/// For every method: see [`ClientError`]; a refusal of the ensemble is [`ClientError::Request`].
impl Client {
    /// Makes a znode that everybody may change.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create(&self, path: &str, data: impl Into<Bytes>, mode: CreateMode) -> Result<Created, ClientError> {
        let create = Create { path: path.to_owned(), data: data.into(), acl: Acl::open(), mode, ttl_ms: 0 };
        self.create_with(create).await
    }

    /// Makes a znode, with everything said.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_with(&self, create: Create) -> Result<Created, ClientError> {
        match self.write(Command::Create(create)).await? {
            (_, Reply::Created(created)) => Ok(created),
            (_, reply) => Err(unexpected(&Answer::Written(reply))),
        }
    }

    /// Replaces a znode's data; `version` -1 for any.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set(&self, path: &str, data: impl Into<Bytes>, version: i32) -> Result<Stat, ClientError> {
        let set = SetData { path: path.to_owned(), data: data.into(), version };
        self.write_for_stat(Command::SetData(set)).await
    }

    /// Removes a znode without children; `version` -1 for any.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete(&self, path: &str, version: i32) -> Result<(), ClientError> {
        self.write(Command::Delete(Delete { path: path.to_owned(), version })).await.map(drop)
    }

    /// Replaces a znode's access control list; `version` is the list's, -1 for any.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_acl(&self, path: &str, acl: Vec<Acl>, version: i32) -> Result<Stat, ClientError> {
        self.write_for_stat(Command::SetAcl(SetAcl { path: path.to_owned(), acl, version })).await
    }

    /// All of these creates, deletes, sets and checks, or none.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn multi(&self, operations: Vec<Command>) -> Result<Vec<Reply>, ClientError> {
        match self.write(Command::Multi(Multi { operations })).await? {
            (_, Reply::Multi(replies)) => Ok(replies),
            (_, reply) => Err(unexpected(&Answer::Written(reply))),
        }
    }

    /// Any command, with the zxid that it was done at.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn write(&self, command: Command) -> Result<(Zxid, Reply), ClientError> {
        match self.request(Operation::Write(command)).await? {
            (zxid, Answer::Written(reply)) => Ok((zxid, reply)),
            (_, answer) => Err(unexpected(&answer)),
        }
    }

    async fn write_for_stat(&self, command: Command) -> Result<Stat, ClientError> {
        match self.write(command).await? {
            (_, Reply::Stat(stat)) => Ok(stat),
            (_, reply) => Err(unexpected(&Answer::Written(reply))),
        }
    }

    /// A znode's data and Stat.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get(&self, path: &str) -> Result<(Bytes, Stat), ClientError> {
        data_of(self.request(Operation::Get(read(path, false))).await?)
    }

    /// A znode's Stat, or none if there is no such znode.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn exists(&self, path: &str) -> Result<Option<Stat>, ClientError> {
        stat_of(self.request(Operation::Exists(read(path, false))).await?)
    }

    /// The names of all children, in order. A parent with more of them than a page holds is read in several steps,
    /// between which it may change.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn children(&self, path: &str) -> Result<Vec<String>, ClientError> {
        let first = self.children_page(all_children(path)).await?;
        self.rest_of_children(path, first).await
    }

    /// One page of children.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn children_page(&self, children: Children) -> Result<ChildrenPage, ClientError> {
        page_of(self.request(Operation::Children(children)).await?)
    }

    async fn rest_of_children(&self, path: &str, first: ChildrenPage) -> Result<Vec<String>, ClientError> {
        let ChildrenPage { mut names, mut more, .. } = first;
        while let Some(after) = names.last().filter(|_| more).cloned() {
            let page = self.children_page(Children { after, ..all_children(path) }).await?;
            more = page.more && !page.names.is_empty();
            names.extend(page.names);
        }
        Ok(names)
    }

    /// A znode's access control list and Stat.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn acl(&self, path: &str) -> Result<(Vec<Acl>, Stat), ClientError> {
        match self.request(Operation::GetAcl(read(path, false))).await? {
            (_, Answer::Acl(reply)) => Ok((reply.acl, reply.stat)),
            (_, answer) => Err(unexpected(&answer)),
        }
    }

    /// Waits until this client's server has applied everything that was committed anywhere before this call: reads
    /// that follow are linearizable.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn sync(&self) -> Result<Zxid, ClientError> {
        self.request(Operation::Sync(Ping)).await.map(|(zxid, _)| zxid)
    }

    /// Like [`Client::get`], and a watch for the next change of the data or the deletion.
    ///
    /// # Errors
    /// See [`ClientError`]; if there is no such znode, no watch is left.
    pub async fn get_watch(&self, path: &str) -> Result<(Bytes, Stat, Watch), ClientError> {
        let (answer, watch) = self.watched(Operation::Get(read(path, true)), path, Interest::Data).await?;
        data_of(answer).map(|(data, stat)| (data, stat, watch))
    }

    /// Like [`Client::exists`], and a watch for the creation, the next change of the data, or the deletion.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn exists_watch(&self, path: &str) -> Result<(Option<Stat>, Watch), ClientError> {
        let (answer, watch) = self.watched(Operation::Exists(read(path, true)), path, Interest::Exists).await?;
        stat_of(answer).map(|stat| (stat, watch))
    }

    /// Like [`Client::children`], and a watch for the next child that comes or goes, or the deletion of the parent.
    ///
    /// # Errors
    /// See [`ClientError`]; if there is no such znode, no watch is left.
    pub async fn children_watch(&self, path: &str) -> Result<(Vec<String>, Watch), ClientError> {
        let children = Children { watch: true, ..all_children(path) };
        let (answer, watch) = self.watched(Operation::Children(children), path, Interest::Children).await?;
        let names = self.rest_of_children(path, page_of(answer)?).await?;
        Ok((names, watch))
    }

    async fn watched(
        &self,
        operation: Operation,
        path: &str,
        interest: Interest,
    ) -> Result<((Zxid, Answer), Watch), ClientError> {
        let (registration, watch) = Registration::once(path, interest, self.shared.end.clone());
        Ok((self.enqueue(operation, Some(registration), WhenFull::Wait).await?, watch))
    }

    /// A persistent watch on a znode, whether it exists or not: its creation, deletion, changes of its data and of its
    /// children; or, if `recursive`, creation, deletion and changes of data of it and all below.
    ///
    /// # Errors
    /// See [`ClientError`]. A client keeps at most
    /// [`WATCHES_PER_CONNECTION_MAX`](crate::limits::WATCHES_PER_CONNECTION_MAX) watches.
    pub async fn add_watch(&self, path: &str, recursive: bool) -> Result<WatchStream, ClientError> {
        let (registration, stream) = Registration::stream(path, recursive);
        let operation = Operation::AddWatch(AddWatch { path: path.to_owned(), recursive });
        match self.enqueue(operation, Some(registration), WhenFull::Wait).await? {
            (_, Answer::Done(_)) => Ok(stream),
            (_, answer) => Err(unexpected(&answer)),
        }
    }

    /// The status of the server that this client is connected to.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn status(&self) -> Result<Status, ClientError> {
        match self.request(Operation::Status(Ping)).await? {
            (_, Answer::Status(status)) => Ok(*status),
            (_, answer) => Err(unexpected(&answer)),
        }
    }

    /// The digest of a subtree on the server that this client is connected to.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn subtree_digest(&self, path: &str) -> Result<DigestReply, ClientError> {
        match self.request(Operation::SubtreeDigest(read(path, false))).await? {
            (_, Answer::Digest(digest)) => Ok(digest),
            (_, answer) => Err(unexpected(&answer)),
        }
    }

    /// The sessions of the ensemble.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>, ClientError> {
        match self.request(Operation::Sessions(Ping)).await? {
            (_, Answer::Sessions(sessions)) => Ok(sessions),
            (_, answer) => Err(unexpected(&answer)),
        }
    }
}

fn data_of((_, answer): (Zxid, Answer)) -> Result<(Bytes, Stat), ClientError> {
    match answer {
        Answer::Data(Data { data, stat }) => Ok((data, stat)),
        answer => Err(unexpected(&answer)),
    }
}

fn stat_of((_, answer): (Zxid, Answer)) -> Result<Option<Stat>, ClientError> {
    match answer {
        Answer::Stat(stat) => Ok(stat),
        answer => Err(unexpected(&answer)),
    }
}

fn page_of((_, answer): (Zxid, Answer)) -> Result<ChildrenPage, ClientError> {
    match answer {
        Answer::Children(page) => Ok(page),
        answer => Err(unexpected(&answer)),
    }
}
