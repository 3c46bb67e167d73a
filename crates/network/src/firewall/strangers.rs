//! What others have made of the firewall, as far as it decides about containers' traffic, too.

use netlink::{Socket, attributes, u32_of};

use super::rules::ADMIN;
use crate::Error;
use crate::error::kernel;

const SUBSYSTEM: u16 = 10 << 8;
const GET_CHAINS: u16 = SUBSYSTEM | 4;
const GET_RULES: u16 = SUBSYSTEM | 7;
const TABLE: u16 = 1;

/// A chain of somebody else's that drops what none of its rules accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropping {
    pub family: &'static str,
    pub table: String,
    pub chain: String,
    /// It sees what is for this host, not what is passed on.
    pub is_input: bool,
}

impl std::fmt::Display for Dropping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.family, self.table, self.chain)
    }
}

/// Those of them that see what is passed on, or what is for this host.
pub fn dropping_chains(own: &str) -> Result<Vec<Dropping>, Error> {
    let chains = Socket::netfilter()?.list(GET_CHAINS, &[0; 4], |_| {}).map_err(kernel("list chains"))?;
    let found = chains.iter().filter_map(|chain| dropping(&chain.body));
    Ok(found.filter(|chain| chain.table != own).collect())
}

fn dropping(body: &[u8]) -> Option<Dropping> {
    const NAME: u16 = 3;
    const HOOK: u16 = 4;
    const HOOK_NUMBER: u16 = 1;
    const POLICY: u16 = 5;
    const DROP: u32 = 0;
    const INPUT: u32 = 1;
    const FORWARD: u32 = 2;
    let family = match body.first()? {
        1 => "inet",
        2 => "ip",
        10 => "ip6",
        _ => return None,
    };
    let of = |kind| attributes(body.get(4..).unwrap_or_default()).find(|found| found.kind == kind);
    let hook = attributes(of(HOOK)?.value).find(|found| found.kind == HOOK_NUMBER)?;
    let hook = u32::from_be(u32_of(hook.value)?);
    let drops = u32::from_be(u32_of(of(POLICY)?.value)?) == DROP;
    let table = of(TABLE)?.text().to_owned();
    (drops && [INPUT, FORWARD].contains(&hook)).then(|| Dropping {
        family,
        table,
        chain: of(NAME).map(|name| name.text().to_owned()).unwrap_or_default(),
        is_input: hook == INPUT,
    })
}

/// How many rules the administrator has in the chain that is his.
pub fn admin_rules(own: &str) -> Result<usize, Error> {
    const CHAIN: u16 = 2;
    let rules = Socket::netfilter()?.list(GET_RULES, &[0; 4], |_| {}).map_err(kernel("list rules"))?;
    let text = |body: &[u8], kind| {
        let found = attributes(body.get(4..).unwrap_or_default()).find(|found| found.kind == kind);
        found.map(|found| found.text().to_owned())
    };
    let is_his = |body: &[u8]| {
        text(body, TABLE).as_deref() == Some(own) && text(body, CHAIN).as_deref() == Some(ADMIN)
    };
    Ok(rules.iter().filter(|rule| is_his(&rule.body)).count())
}

/// Whether this kernel has nftables, and tables for what bridges pass on. Nothing is changed by looking.
pub fn kernel_has() -> (bool, bool) {
    const GET_TABLES: u16 = SUBSYSTEM | 1;
    let lists = |family: u8| {
        let listed = Socket::netfilter().and_then(|mut s| s.list(GET_TABLES, &[family, 0, 0, 0], |_| {}));
        listed.is_ok()
    };
    (lists(1), lists(7))
}
