//! Descriptors that travel over a unix socket beside a message.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Sends one message with at most one descriptor.
pub fn send_with_fd(socket: impl AsFd, message: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = fd.as_slice();
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    Ok(sendmsg(socket, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Receives one message and the descriptor that came with it, close-on-exec. Zero bytes are the end. A message that
/// was longer than the buffer, or had more descriptors than one, is an error.
pub fn receive_with_fd(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            done => break done?,
        }
    };
    let mut fd = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            fd = fds.into_iter().next();
        }
    }
    if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message was cut off"));
    }
    Ok((got.bytes, fd))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn a_descriptor_arrives_with_its_message() {
        let (a, b) = UnixDatagram::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        send_with_fd(&a, b"hello", Some(writer.as_fd())).unwrap();
        drop(writer);
        let mut buffer = [0; 16];
        let (size, fd) = receive_with_fd(&b, &mut buffer).unwrap();
        assert_eq!(&buffer[..size], b"hello");
        rustix::io::write(fd.unwrap(), b"x").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
    }

    #[test]
    fn a_message_that_does_not_fit_is_an_error() {
        let (a, b) = UnixDatagram::pair().unwrap();
        send_with_fd(&a, b"hello", None).unwrap();
        assert!(receive_with_fd(&b, &mut [0; 2]).is_err());
    }
}
