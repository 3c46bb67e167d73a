//! Items of lists that stand for the same thing: the last one counts.

use indexmap::IndexMap;

use crate::error::Mistake;
use yaml::{Node, Value};

use super::short;

type Index = fn(&Node) -> Option<String>;

/// Keys of services, and how their items are told apart.
const OF_SERVICES: &[(&[&str], Index)] = &[
    (&["annotations"], by_name),
    (&["build", "additional_contexts"], by_name),
    (&["build", "args"], by_name),
    (&["build", "labels"], by_name),
    (&["build", "tags"], by_name),
    (&["cap_add"], by_name),
    (&["cap_drop"], by_name),
    (&["configs"], |node| by_mount(node, "")),
    (&["deploy", "labels"], by_name),
    (&["devices"], by_device),
    (&["dns"], by_name),
    (&["dns_opt"], by_name),
    (&["dns_search"], by_name),
    (&["env_file"], by_path),
    (&["environment"], by_name),
    (&["expose"], by_text),
    (&["labels"], by_name),
    (&["links"], by_name),
    (&["profiles"], by_name),
    (&["ports"], by_port),
    (&["secrets"], |node| by_mount(node, "/run/secrets")),
    (&["sysctls"], by_name),
    (&["tmpfs"], by_name),
    (&["volumes"], by_target),
];

/// Leaves one of each.
pub(super) fn unique(tree: &mut Node) -> Result<(), Mistake> {
    let Some(root) = tree.as_map_mut() else { return Ok(()) };
    for (top, node) in root {
        let Some(map) = node.as_map_mut() else { continue };
        for resource in map.values_mut() {
            match top.as_str() {
                "services" => {
                    for (path, index) in OF_SERVICES {
                        at(resource, path, *index);
                    }
                    if let Some(networks) = resource.as_map_mut().and_then(|map| map.get_mut("networks")) {
                        for network in networks.as_map_mut().into_iter().flat_map(|map| map.values_mut()) {
                            at(network, &["aliases"], by_name);
                            at(network, &["link_local_ips"], by_name);
                        }
                    }
                }
                "networks" | "volumes" => at(resource, &["labels"], by_name),
                _ => {}
            }
        }
    }
    Ok(())
}

fn at(node: &mut Node, path: &[&str], index: Index) {
    match (path, &mut node.value) {
        ([name, rest @ ..], Value::Map(map)) => {
            if let Some(node) = map.get_mut(*name) {
                at(node, rest, index);
            }
        }
        ([], Value::List(list)) => {
            let mut kept: IndexMap<String, Node> = IndexMap::new();
            for (place, node) in std::mem::take(list).into_iter().enumerate() {
                // What can't be told apart is itself.
                let key = index(&node).unwrap_or_else(|| format!("\0{place}"));
                kept.insert(key, node);
            }
            list.extend(kept.into_values());
        }
        _ => {}
    }
}

fn by_text(node: &Node) -> Option<String> {
    node.scalar()
}

fn by_name(node: &Node) -> Option<String> {
    let text = node.scalar()?;
    Some(text.split_once('=').map_or(text.clone(), |(name, _)| name.to_owned()))
}

fn by_path(node: &Node) -> Option<String> {
    node.scalar().or_else(|| node.text_at("path").map(str::to_owned))
}

fn by_mount(node: &Node, folder: &str) -> Option<String> {
    if let Some(source) = node.as_text() {
        return Some(format!("{folder}/{source}"));
    }
    let target = node.text_at("target").map(str::to_owned);
    target.or_else(|| Some(format!("{folder}/{}", node.text_at("source")?)))
}

fn by_target(node: &Node) -> Option<String> {
    match node.as_text() {
        Some(text) => short::volume(text).ok()?.text_at("target").map(str::to_owned),
        None => node.text_at("target").map(str::to_owned),
    }
}

fn by_device(node: &Node) -> Option<String> {
    match node.as_text() {
        Some(text) => Some(text.split(':').nth(1).unwrap_or(text).to_owned()),
        None => node.text_at("target").or_else(|| node.text_at("source")).map(str::to_owned),
    }
}

fn by_port(node: &Node) -> Option<String> {
    if node.as_map().is_none() {
        return node.scalar();
    }
    let part = |name: &str| node.get(name).and_then(Node::scalar);
    let (target, protocol) = (part("target")?, part("protocol").unwrap_or_else(|| "tcp".to_owned()));
    let host = part("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned());
    let published = part("published").unwrap_or_default();
    Some(format!("{host}:{published}:{target}/{protocol}"))
}
