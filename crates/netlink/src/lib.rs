//! Netlink: messages to the kernel's network and what it answers.
//!
//! [`Message`] writes one, [`Socket`] sends several at once and reads what became of each, [`attributes`] reads what came.
//! What the numbers mean is for those who ask.

mod message;
mod read;
mod socket;

pub use message::Message;
pub use read::{Attribute, attributes, u8_of, u16_of, u32_of};
pub use socket::{Error, Received, Socket};
