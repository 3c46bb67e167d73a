//! Passing lines on to a log server: what waits for it is bounded, and only while it is connected may it hold the
//! container up.

mod fluentd;
mod gelf;
mod journald;
mod link;
mod syslog;

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::lines::{Line, Stream};
use crate::{Forward, Language, WhenFull};
use link::{Link, Sent};

pub(super) struct Forwarder {
    config: Forward,
    link: Link,
    /// Whole messages, the oldest first.
    queue: VecDeque<Vec<u8>>,
    /// The size of all that is in the queue.
    queued: usize,
    /// How much of the first one has gone, over a stream.
    sent: usize,
    failures: u32,
    /// How many lines there were.
    lines: u64,
}

impl Forwarder {
    /// Connects; a server that isn't there is an error unless that was said to be no matter.
    pub(super) fn open(config: Forward) -> io::Result<Self> {
        let mut link = Link::new(config.to.clone());
        if config.connect_later {
            // Its state is looked at when there is something to send.
            let _ = link.connect();
        } else {
            link.connect_now()?;
        }
        Ok(Self { config, link, queue: VecDeque::new(), queued: 0, sent: 0, failures: 0, lines: 0 })
    }

    pub(super) fn take(&mut self, line: &Line<'_>, stream: Stream) {
        self.lines += 1;
        let waits = self.config.when_full == WhenFull::Wait && self.link.is_up();
        if self.is_over() && !waits {
            return;
        }
        let (queue, queued) = (&mut self.queue, &mut self.queued);
        let mut add = |message: Vec<u8>| {
            *queued += message.len();
            queue.push_back(message);
        };
        match &self.config.language {
            Language::Syslog { format, facility, host, tag } => {
                add(syslog::message(*format, *facility, (host, tag), line, stream));
            }
            Language::Journald { fields } => add(journald::entry(fields, self.lines, line, stream)),
            Language::Gelf { fields, packing } => gelf::message(fields, *packing, line, stream, &mut add),
            Language::Fluentd { tag, record, nanoseconds } => {
                add(fluentd::event(tag, record, *nanoseconds, line, stream));
            }
        }
    }

    fn is_over(&self) -> bool {
        self.queued > self.config.buffer
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_over() && self.config.when_full == WhenFull::Wait && self.link.is_up()
    }

    pub(super) fn has_more_to_send(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.link.interest(self.has_more_to_send())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.link.down_until().filter(|_| self.has_more_to_send())
    }

    /// Sends what the server takes without waiting, and reaches for it if it is gone.
    pub(super) fn work(&mut self) {
        self.link.look();
        while self.has_more_to_send() && (self.link.is_up() || self.reach()) {
            let Some(message) = self.queue.front() else { return };
            match self.link.send(&message[self.sent..]) {
                Ok(Sent::Some(count)) => self.sent += count,
                Ok(Sent::All) => {
                    self.failures = 0;
                    self.next();
                }
                Ok(Sent::Never) => self.next(),
                Ok(Sent::NotNow) => return,
                Err(_) => return self.fail(),
            }
        }
    }

    fn next(&mut self) {
        self.sent = 0;
        self.queued -= self.queue.pop_front().map_or(0, |message| message.len());
    }

    /// Whether the server is connected now.
    fn reach(&mut self) -> bool {
        match self.link.connect() {
            Ok(up) => up,
            Err(_) => {
                self.fail();
                false
            }
        }
    }

    fn fail(&mut self) {
        // What had gone of a message went nowhere: the next connection gets all of it.
        self.sent = 0;
        self.failures += 1;
        self.link.rest(Duration::from_millis(self.config.retry_after));
        if self.failures >= self.config.attempts {
            self.failures = 0;
            self.queue.clear();
            self.queued = 0;
        }
    }
}

/// Syslog's and GELF's numbers for how bad a line is.
fn severity(stream: Stream) -> u8 {
    match stream {
        Stream::Stdout => 6,
        Stream::Stderr => 3,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::Path;

    use super::*;
    use crate::{Server, SyslogFormat};

    fn config(to: Server, when_full: WhenFull) -> Forward {
        let language =
            Language::Syslog { format: SyslogFormat::Unix, facility: 3, host: "h".into(), tag: "t".into() };
        Forward { to, language, buffer: 1000, when_full, connect_later: false, retry_after: 0, attempts: 100 }
    }

    fn say(forwarder: &mut Forwarder, text: &str) {
        let line = Line { text: text.as_bytes(), complete: true, time: 0, piece: None };
        forwarder.take(&line, Stream::Stdout);
        forwarder.work();
    }

    fn texts(received: &str) -> Vec<String> {
        received.lines().filter_map(|line| line.rsplit(' ').next().map(str::to_owned)).collect()
    }

    #[test]
    fn a_server_that_goes_and_comes_back_gets_what_came_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.sock");
        let first = UnixListener::bind(&path).unwrap();
        let mut forwarder =
            Forwarder::open(config(Server::UnixStream(path.clone()), WhenFull::Wait)).unwrap();
        say(&mut forwarder, "one");
        let mut received = String::new();
        let (mut connection, _) = first.accept().unwrap();
        drop(first);
        std::fs::remove_file(&path).unwrap();
        let mut buffer = [0; 200];
        let count = connection.read(&mut buffer).unwrap();
        received.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        drop(connection);
        say(&mut forwarder, "two");
        say(&mut forwarder, "three");
        let second = UnixListener::bind(&path).unwrap();
        forwarder.work();
        say(&mut forwarder, "four");
        drop(forwarder);
        second.accept().unwrap().0.read_to_string(&mut received).unwrap();
        assert_eq!(texts(&received), ["one", "two", "three", "four"]);
    }

    #[test]
    fn a_container_waits_for_a_connected_server_and_for_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let fill = |when_full, expect_full: bool| {
            let mut forwarder = Forwarder::open(config(Server::UnixStream(path.clone()), when_full)).unwrap();
            let long = "x".repeat(10_000);
            for _ in 0..200 {
                if !forwarder.is_full() {
                    say(&mut forwarder, &long);
                }
            }
            assert_eq!(forwarder.is_full(), expect_full);
            assert!(forwarder.queued < 25_000, "what waits is bounded: {}", forwarder.queued);
            forwarder
        };
        drop(fill(WhenFull::Wait, true));
        drop(fill(WhenFull::Drop, false));
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        let lost =
            Forward { connect_later: true, ..config(Server::UnixStream(path.clone()), WhenFull::Wait) };
        let mut forwarder = Forwarder::open(lost).unwrap();
        (0..100).for_each(|_| say(&mut forwarder, &"y".repeat(500)));
        assert!(!forwarder.is_full() && forwarder.queued < 2000);
    }

    #[test]
    fn after_so_many_attempts_what_waits_is_given_up() {
        let nowhere = Server::UnixDatagram(Path::new("/nonexistent/log.sock").to_owned());
        let config = Forward { connect_later: true, attempts: 3, ..config(nowhere, WhenFull::Wait) };
        let mut forwarder = Forwarder::open(config).unwrap();
        say(&mut forwarder, "a");
        assert!(forwarder.has_more_to_send() && forwarder.deadline().is_some());
        (0..3).for_each(|_| forwarder.work());
        assert!(!forwarder.has_more_to_send());
    }

    #[test]
    fn a_server_that_is_not_there_fails_the_start() {
        let nowhere = Server::Tcp(([127, 0, 0, 1], 1).into());
        let error = Forwarder::open(config(nowhere, WhenFull::Wait)).err().unwrap().to_string();
        assert_eq!(error, "dial tcp 127.0.0.1:1: connect: connection refused");
    }

    #[test]
    fn journald_gets_one_datagram_for_each_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let language = Language::Journald { fields: BTreeMap::from([("CONTAINER_NAME".into(), "c".into())]) };
        let config = Forward { language, ..config(Server::UnixDatagram(path), WhenFull::Wait) };
        let mut forwarder = Forwarder::open(config).unwrap();
        say(&mut forwarder, "hello");
        let mut buffer = [0; 500];
        let count = journal.recv(&mut buffer).unwrap();
        let entry = String::from_utf8_lossy(&buffer[..count]).into_owned();
        assert!(entry.contains("MESSAGE=hello\n") && entry.contains("CONTAINER_NAME=c\n"), "{entry}");
        assert!(entry.contains("PRIORITY=6\n") && entry.contains("CONTAINER_LOG_ORDINAL=1\n"), "{entry}");
    }
}
