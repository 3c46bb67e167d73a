//! Who else takes something out of the table: an administrator who flushes all rules, a firewall's service that reloads.

use netlink::{Received, Socket, attributes};

use super::message::Family;
use super::rules::ADMIN;
use crate::Error;
use crate::error::kernel;

/// `NFNLGRP_NFTABLES`, as a bit.
const CHANGES: u32 = 1 << 6;
const SUBSYSTEM: u16 = 10 << 8;
/// A table, chain, rule, set or element that is gone.
const REMOVALS: [u16; 5] = [2, 5, 8, 11, 14];
const ENOBUFS: i32 = 105;

/// What the kernel tells of changes to its tables.
#[derive(Debug)]
pub struct Watch {
    socket: Socket,
    table: String,
}

impl Watch {
    /// In the network namespace of the calling thread.
    pub fn open(table: &str) -> Result<Self, Error> {
        Ok(Self { socket: Socket::netfilter_changes(CHANGES)?, table: table.to_owned() })
    }

    /// Waits until somebody else took something out of the table, all but the administrator's own rules. Blocking.
    pub fn wait(&mut self, is_own: impl Fn(u32) -> bool) -> Result<(), Error> {
        loop {
            match self.socket.listen() {
                Ok(told) if told.iter().any(|change| self.concerns(change) && !is_own(change.port)) => {
                    return Ok(());
                }
                Ok(_) => {}
                // So much changed at once that the kernel couldn't tell all of it.
                Err(netlink::Error::Socket { source }) if source.raw_os_error() == Some(ENOBUFS) => {
                    return Ok(());
                }
                Err(error) => return Err(kernel("hear of changes to the firewall")(error)),
            }
        }
    }

    fn concerns(&self, change: &Received) -> bool {
        const HEADER: usize = 4;
        let removal = change.kind.checked_sub(SUBSYSTEM).is_some_and(|kind| REMOVALS.contains(&kind));
        let families = [Family::Inet as u8, Family::Bridge as u8];
        let ours = change.body.first().is_some_and(|family| families.contains(family));
        let Some(rest) = change.body.get(HEADER..).filter(|_| removal && ours) else { return false };
        let text =
            |kind| attributes(rest).find(|found| found.kind == kind).map(|found| found.text().to_owned());
        // Of a rule, the second one is its chain.
        let of_admin = change.kind == SUBSYSTEM | 8 && text(2).as_deref() == Some(ADMIN);
        text(1).as_deref() == Some(&self.table) && !of_admin
    }
}
