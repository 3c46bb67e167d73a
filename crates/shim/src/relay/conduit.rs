//! From one socket to another by a pipe: the kernel hands over its pages, and nothing is copied into this process and out
//! of it again.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// As much is carried at once. What the other end doesn't take of it waits in this process.
pub(super) const LOT: usize = 256 * 1024;

/// One pipe for all connections, which share a loop: it is empty whenever one has been served, or it is none any more, so
/// that nothing of one connection can come out in another.
#[derive(Debug, Default)]
pub(super) struct Conduit {
    pipe: Option<(OwnedFd, OwnedFd)>,
}

/// What came of one round.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Carried {
    /// How much was read; of nothing there is no more to come.
    pub(super) count: usize,
    /// What of it the other end didn't take yet.
    pub(super) rest: Vec<u8>,
}

impl Conduit {
    /// Takes what has come from one end to the other. None, if nothing has.
    pub(super) fn carry(&mut self, from: &TcpStream, to: &TcpStream) -> io::Result<Option<Carried>> {
        let (outlet, inlet) = match self.pipe.take() {
            Some(pipe) => pipe,
            None => lay()?,
        };
        let count = match hand_over(from, &inlet, LOT) {
            Ok(count) => count,
            Err(error) if is_later(&error) => {
                self.pipe = Some((outlet, inlet));
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut rest = vec![0; count - hand_over_all(&outlet, to, count)?];
        let mut outlet = std::fs::File::from(outlet);
        outlet.read_exact(&mut rest)?;
        self.pipe = Some((outlet.into(), inlet));
        Ok(Some(Carried { count, rest }))
    }
}

/// A new pipe. Where the kernel grants none so large, a smaller one carries less at once.
fn lay() -> io::Result<(OwnedFd, OwnedFd)> {
    let pipe = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let _ = fcntl_setpipe_size(&pipe.1, LOT);
    Ok(pipe)
}

/// As much as the other takes of what is there.
fn hand_over_all(from: &OwnedFd, to: &TcpStream, count: usize) -> io::Result<usize> {
    let mut taken = 0;
    while taken < count {
        match hand_over(from, to, count - taken) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => taken += more,
            Err(error) if is_later(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

fn hand_over(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    Ok(splice(from, None, to, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?)
}

pub(super) fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use rustix::net::sockopt::set_socket_send_buffer_size;

    use super::{Carried, Conduit, LOT};

    /// Both ends of a connection.
    fn connection() -> (TcpStream, TcpStream) {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(door.local_addr().unwrap()).unwrap();
        (near, door.accept().unwrap().0)
    }

    fn sent(bytes: &[u8]) -> TcpStream {
        let (mut client, ours) = connection();
        client.write_all(bytes).unwrap();
        ours
    }

    #[test]
    fn what_is_not_taken_waits_in_its_order() {
        let (ours, container) = connection();
        ours.set_nonblocking(true).unwrap();
        set_socket_send_buffer_size(&ours, 1).unwrap();
        let mut conduit = Conduit::default();
        let (mut client, from) = connection();
        let all: Vec<u8> = (0..64 * LOT).map(|at| (at / 7) as u8).collect();
        let expected = all.clone();
        let sending = std::thread::spawn(move || client.write_all(&all).is_ok());
        let mut carried = 0;
        let rest = loop {
            let lot = conduit.carry(&from, &ours).unwrap().expect("there is more");
            carried += lot.count - lot.rest.len();
            if !lot.rest.is_empty() {
                break lot.rest;
            }
        };
        let mut taken = vec![0; carried];
        (&container).read_exact(&mut taken).unwrap();
        assert!(taken == expected[..carried] && rest == expected[carried..carried + rest.len()]);
        drop(from);
        drop(sending.join());
    }

    #[test]
    fn the_end_of_a_stream_and_an_empty_one_are_told_apart() {
        let mut conduit = Conduit::default();
        let (container, _theirs) = connection();
        let (client, from) = connection();
        from.set_nonblocking(true).unwrap();
        assert_eq!(conduit.carry(&from, &container).unwrap(), None);
        drop(client);
        assert_eq!(conduit.carry(&from, &container).unwrap(), Some(Carried { count: 0, rest: Vec::new() }));
    }

    #[test]
    fn nothing_of_a_connection_that_failed_comes_out_in_another() {
        let mut conduit = Conduit::default();
        let (broken, _theirs) = connection();
        broken.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(conduit.carry(&sent(b"secret"), &broken).is_err());
        let (ours, mut container) = connection();
        conduit.carry(&sent(b"hello"), &ours).unwrap();
        drop(ours);
        let mut text = String::new();
        container.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }
}
