//! Signatures of requests, AWS' version 4: who sends what to whom, when, is hashed with a key made for that day.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use ring::{digest, hmac};

use crate::Secret;

/// The hash of a body that isn't hashed: TLS protects it.
pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Who we are to the store.
#[derive(Debug, Clone)]
pub struct Keys {
    pub id: String,
    pub secret: Secret,
    /// Goes with keys that are lent for a while.
    pub token: Option<Secret>,
}

/// What signs.
pub struct Signer {
    pub keys: Keys,
    pub region: String,
}

/// What is signed of an address.
pub struct Target<'a> {
    pub method: &'a Method,
    pub host: &'a str,
    /// Encoded.
    pub path: &'a str,
    /// Not encoded.
    pub query: &'a [(&'a str, String)],
}

fn hex_of(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(bytes)
}

/// The hash of a body at hand.
pub fn hash(bytes: &[u8]) -> String {
    hex_of(digest::digest(&digest::SHA256, bytes))
}

/// The hash of so many bytes of a file: without TLS they have to be signed.
pub fn hash_of(file: &File, size: u64) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    while at < size {
        // What can't be read isn't sent either.
        let Ok(count @ 1..) = file.read_at(&mut buffer, at) else { break };
        let count = count.min(usize::try_from(size - at).unwrap_or(usize::MAX));
        context.update(&buffer[..count]);
        at += count as u64;
    }
    hex_of(context.finish())
}

/// A value in an address.
pub fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Names and values, encoded and in order, as the address has them too.
pub fn query(pairs: &[(&str, String)]) -> String {
    let mut encoded: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    encoded.sort_unstable();
    encoded.join("&")
}

impl Signer {
    /// Adds the headers that prove who sends this. Those that are there already are signed with it.
    pub fn sign(&self, target: &Target<'_>, payload: &str, headers: &mut HeaderMap, now: Timestamp) {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        put(headers, HeaderName::from_static("x-amz-date"), &time);
        put(headers, HeaderName::from_static("x-amz-content-sha256"), payload);
        if let Some(token) = &self.keys.token {
            put(headers, HeaderName::from_static("x-amz-security-token"), token.reveal());
        }
        let mut lines: Vec<(String, String)> = vec![("host".into(), target.host.to_owned())];
        for (name, value) in headers.iter() {
            lines.push((name.as_str().into(), value.to_str().unwrap_or_default().trim().to_owned()));
        }
        lines.sort_unstable();
        let names: Vec<&str> = lines.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let listed: String = lines.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let signature = self.signature(target, &query(target.query), &listed, &names, payload, &time);
        let (id, scope) = (&self.keys.id, self.scope(&time));
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
        put(headers, header::AUTHORIZATION, &authorization);
    }

    /// The query with which whoever has the address may do this, and nothing else, for so many seconds.
    pub fn presign(&self, target: &Target<'_>, seconds: u32, now: Timestamp) -> String {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut pairs: Vec<(&str, String)> = vec![
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".into()),
            ("X-Amz-Credential", format!("{}/{}", self.keys.id, self.scope(&time))),
            ("X-Amz-Date", time.clone()),
            ("X-Amz-Expires", seconds.to_string()),
            ("X-Amz-SignedHeaders", "host".into()),
        ];
        pairs.extend(
            self.keys.token.as_ref().map(|token| ("X-Amz-Security-Token", token.reveal().to_owned())),
        );
        pairs.extend(target.query.iter().cloned());
        let (query, host) = (query(&pairs), format!("host:{}\n", target.host));
        let signature = self.signature(target, &query, &host, "host", UNSIGNED, &time);
        format!("{query}&X-Amz-Signature={signature}")
    }

    fn scope(&self, time: &str) -> String {
        format!("{}/{}/s3/aws4_request", &time[..8], self.region)
    }

    fn signature(
        &self,
        target: &Target<'_>,
        query: &str,
        headers: &str,
        names: &str,
        payload: &str,
        time: &str,
    ) -> String {
        let (method, path) = (target.method, target.path);
        let request = format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{payload}");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{}\n{}", self.scope(time), hash(request.as_bytes()));
        let mut key = format!("AWS4{}", self.keys.secret.reveal()).into_bytes();
        for part in [&time[..8], &self.region, "s3", "aws4_request"] {
            key = mac(&key, part).as_ref().to_vec();
        }
        hex_of(mac(&key, &text))
    }
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // What can't be a header can't be right either: the store says so.
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> Signer {
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let keys = Keys { id: "AKIAIOSFODNN7EXAMPLE".into(), secret, token: None };
        Signer { keys, region: "us-east-1".into() }
    }

    fn day() -> Timestamp {
        "2013-05-24T00:00:00Z".parse().unwrap()
    }

    const HOST: &str = "examplebucket.s3.amazonaws.com";

    /// The examples of AWS' own documentation.
    #[test]
    fn signatures_are_those_of_the_documentation() {
        let sign =
            |method, path, query: &[(&str, String)], more: &[(&'static str, &'static str)], body: &[u8]| {
                let mut headers = HeaderMap::new();
                for (name, value) in more {
                    headers.insert(*name, HeaderValue::from_static(value));
                }
                let target = Target { method: &method, host: HOST, path, query };
                signer().sign(&target, &hash(body), &mut headers, day());
                let authorization = headers[header::AUTHORIZATION].to_str().unwrap();
                authorization.rsplit('=').next().unwrap().to_owned()
            };
        assert_eq!(
            sign(Method::GET, "/test.txt", &[], &[("range", "bytes=0-9")], b""),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        assert_eq!(
            sign(Method::GET, "/", &[("lifecycle", String::new())], &[], b""),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert_eq!(
            sign(Method::GET, "/", &[("prefix", "J".into()), ("max-keys", "2".into())], &[], b""),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn addresses_that_are_lent_are_those_of_the_documentation() {
        let target = Target { method: &Method::GET, host: HOST, path: "/test.txt", query: &[] };
        let query = signer().presign(&target, 86400, day());
        assert!(
            query
                .starts_with("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F2013")
        );
        assert!(
            query.ends_with("=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"),
            "{query}"
        );
    }
}
