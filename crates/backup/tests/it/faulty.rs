//! A store that fails, or whose user dies, at a chosen moment.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
    memory::InMemory, path::Path,
};

/// What happens from the chosen moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// That one request fails.
    Once,
    /// That one and all after it do: to the store it looks as if its user had died.
    Death,
    /// That one is done, and its answer is lost.
    LostAnswer,
}

/// A store in memory, which counts what is asked of it.
#[derive(Debug, Clone)]
pub(crate) struct Faulty {
    pub(crate) inner: Arc<InMemory>,
    asked: Arc<AtomicU64>,
    /// Uploads that were begun, less those that were completed or called off.
    pub(crate) open: Arc<AtomicU64>,
    at: u64,
    fault: Fault,
}

impl Faulty {
    /// Fails at the request of that number, counted from 0.
    pub(crate) fn new(inner: Arc<InMemory>, at: u64, fault: Fault) -> Self {
        Self { inner, asked: Arc::default(), open: Arc::default(), at, fault }
    }

    /// Returns how many requests there were.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Counts a request. Returns whether its answer is to be lost.
    fn ask(&self) -> Result<bool> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        let is_it = number == self.at;
        match self.fault {
            Fault::Once if is_it => Err(broken()),
            Fault::Death if number >= self.at => Err(broken()),
            _ => Ok(is_it && self.fault == Fault::LostAnswer),
        }
    }
}

fn broken() -> Error {
    Error::Generic { store: "faulty", source: "503 SlowDown".into() }
}

fn answer<T>(lost: bool, outcome: Result<T>) -> Result<T> {
    if lost { outcome.and(Err(broken())) } else { outcome }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, to: &Path, payload: PutPayload, how: PutOptions) -> Result<PutResult> {
        let lost = self.ask()?;
        answer(lost, self.inner.put_opts(to, payload, how).await)
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.ask()?;
        let inner = self.inner.put_multipart_opts(to, how).await?;
        self.open.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(FaultyUpload { inner, store: self.clone() }))
    }

    async fn get_opts(&self, from: &Path, how: GetOptions) -> Result<GetResult> {
        let lost = self.ask()?;
        answer(lost, self.inner.get_opts(from, how).await)
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let paths = paths.map(move |path| store.ask().and(path)).boxed();
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.ask() {
            Ok(_) => self.inner.list(prefix),
            Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let lost = self.ask()?;
        answer(lost, self.inner.list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.ask()?;
        self.inner.copy_opts(from, to, how).await
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    store: Faulty,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match self.store.ask() {
            Ok(_) => self.inner.put_part(data),
            Err(error) => async { Err(error) }.boxed(),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.store.ask()?;
        let outcome = self.inner.complete().await;
        self.store.open.fetch_sub(1, Ordering::SeqCst);
        outcome
    }

    async fn abort(&mut self) -> Result<()> {
        self.store.ask()?;
        self.store.open.fetch_sub(1, Ordering::SeqCst);
        self.inner.abort().await
    }
}
