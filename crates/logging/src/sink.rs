//! Where lines go: through a bounded queue to a thread that writes them. Whoever has something to say
//! never waits for a disk or a pipe; what does not fit is lost, counted, and said later.

use std::{
    io::{self, Write},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

/// How many lines may wait to be written.
const ROOM: usize = 8192;
/// How many lines are written at once, when that many wait.
const BATCH: usize = 256;
/// How long lines are gathered before they are written. A thread that is woken for each line, and
/// writes it alone, takes the processor from requests (`benches/watching.sh`).
const GATHER: Duration = Duration::from_millis(5);
/// How long lines that wait may take when the program ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Lines that were not written, of all sinks of this process.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Returns how many lines were lost since the process began: because the queue was full, or because
/// they could not be written.
pub fn lines_dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// What is written to. A whole number of lines at a time.
pub(crate) trait Output: Send + 'static {
    /// Writes all of `lines`, or fails.
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;
}

impl Output for io::Stderr {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.write_all(lines)
    }
}

enum Message {
    Line(Vec<u8>),
    /// Everything before this is to be written; then the sender is told.
    Flush(SyncSender<()>),
}

/// The way in. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Sink(SyncSender<Message>);

impl Sink {
    /// Starts a thread that writes to `output`. `notice` makes the line that tells of lost ones.
    pub(crate) fn start(output: impl Output, notice: fn(u64) -> Vec<u8>) -> io::Result<Self> {
        let (sender, lines) = sync_channel(ROOM);
        let name = "log".to_owned();
        thread::Builder::new().name(name).spawn(move || work(&lines, output, notice))?;
        Ok(Self(sender))
    }

    /// Takes a line, which ends with a line feed, or loses it.
    pub(crate) fn put(&self, line: Vec<u8>) {
        if self.0.try_send(Message::Line(line)).is_err() {
            lost(1);
        }
    }

    /// Waits until what was put is written, but not for long.
    pub(crate) fn flush(&self) {
        let deadline = Instant::now() + LAST_WORDS;
        let (sender, written) = sync_channel(1);
        let mut message = Message::Flush(sender);
        while let Err(TrySendError::Full(back)) = self.0.try_send(message) {
            if Instant::now() >= deadline {
                return;
            }
            message = back;
            #[expect(
                clippy::disallowed_methods,
                reason = "a full queue says nothing when there is room"
            )]
            thread::sleep(Duration::from_millis(5));
        }
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

fn lost(lines: u64) {
    DROPPED.fetch_add(lines, Ordering::Relaxed);
}

fn work(lines: &Receiver<Message>, mut output: impl Output, notice: fn(u64) -> Vec<u8>) {
    // Other sinks of the process, as tests have them, tell of their own.
    let (mut said, mut was_full) = (lines_dropped(), false);
    while let Ok(first) = lines.recv() {
        // Asleep, and not waiting for the next line, so that nobody who has one needs to wake it.
        if !was_full && matches!(first, Message::Line(_)) {
            #[expect(
                clippy::disallowed_methods,
                reason = "lines that come together are written together"
            )]
            thread::sleep(GATHER);
        }
        let (mut batch, mut count, mut waiting) = (Vec::new(), 0, None);
        let mut next = Ok(first);
        while let Ok(message) = next {
            match message {
                Message::Line(line) => {
                    batch.extend_from_slice(&line);
                    count += 1;
                }
                Message::Flush(sender) => waiting = Some(sender),
            }
            let is_enough = count >= BATCH || waiting.is_some();
            next = if is_enough { Err(TryRecvError::Empty) } else { lines.try_recv() };
        }
        was_full = count >= BATCH;
        let dropped = lines_dropped();
        let untold = dropped - said;
        if untold > 0 {
            batch.splice(0..0, notice(untold));
        }
        if !batch.is_empty() {
            match output.append(&batch) {
                Ok(()) => said = dropped,
                Err(_) => lost(u64::try_from(count).unwrap_or_default()),
            }
        }
        if let Some(waiting) = waiting {
            let _ = waiting.try_send(());
        }
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// tracing-subscriber writes each line at once.
impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Fails, or waits, as a test says.
    struct Disk {
        is_full: Arc<Mutex<bool>>,
        written: Arc<Mutex<Vec<u8>>>,
        /// Hears of it when it is told to write.
        asked: SyncSender<()>,
    }

    impl Output for Disk {
        fn append(&mut self, lines: &[u8]) -> io::Result<()> {
            let _ = self.asked.try_send(());
            if *self.is_full.lock().unwrap() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.lock().unwrap().extend_from_slice(lines);
            Ok(())
        }
    }

    /// One test: what is lost is counted for the whole process.
    #[test]
    fn what_is_lost_is_counted_and_said_and_nobody_waits() {
        let (is_full, written) = (Arc::new(Mutex::new(true)), Arc::default());
        let (asks, asked) = sync_channel(1);
        let disk =
            Disk { is_full: Arc::clone(&is_full), written: Arc::clone(&written), asked: asks };
        let notice = |lines| format!("lost {lines}\n").into_bytes();
        let sink = Sink::start(disk, notice).unwrap();

        // A disk that is full.
        for _ in 0..10 {
            sink.put(b"never seen\n".to_vec());
        }
        sink.flush();
        assert_eq!(lines_dropped(), 10);
        *is_full.lock().unwrap() = false;
        sink.put(b"seen\n".to_vec());
        sink.flush();
        assert_eq!(*written.lock().unwrap(), b"lost 10\nseen\n");
        sink.put(b"once is enough\n".to_vec());
        sink.flush();
        assert!(written.lock().unwrap().ends_with(b"seen\nonce is enough\n"));

        // A disk that has stopped: the queue fills, and putting is as fast as before.
        let stopped = is_full.lock().unwrap();
        while asked.try_recv().is_ok() {}
        sink.put(b"on its way\n".to_vec());
        asked.recv_timeout(Duration::from_secs(30)).unwrap();
        let started = Instant::now();
        for _ in 0..ROOM + 100 {
            sink.put(b"x\n".to_vec());
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        assert_eq!(lines_dropped(), 110);
        let started = Instant::now();
        sink.flush();
        assert!(started.elapsed() < LAST_WORDS * 2, "ending does not wait for it either");
        drop(stopped);
        // Until the thread has caught up, which a flush waits for.
        sink.flush();
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.contains("lost 100\n"), "{}", &text[..200]);
        assert_eq!(text.lines().count(), ROOM + 5, "and all that fitted are there");
    }
}
