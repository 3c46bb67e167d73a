//! A server of S3's protocol with one bucket: moto, from Python's registry.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::http::{self, Request};
use crate::{command, own_network};

/// Runs until it is dropped; what it holds goes with it.
#[derive(Debug)]
pub struct Bucket {
    child: Child,
    address: String,
}

impl Bucket {
    /// Starts the server.
    #[track_caller]
    pub fn serve() -> Self {
        own_network::enter();
        let python = command::python();
        assert!(python.is_file(), "no {}: run `cargo xtask clients`", python.display());
        let mut child = Command::new(python)
            .args(["-I", "-c", include_str!("bucket.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped"))
            .read_line(&mut line)
            .expect("it says where");
        assert!(!line.is_empty(), "the S3 server does not start");
        Self { child, address: line.trim().to_owned() }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The keys of all objects, and `parts of …` for what has only begun to come.
    pub fn keys(&self) -> Vec<String> {
        let address = self.address.parse().expect("it is an address");
        let stream = http::connect_tcp(address).expect("the server listens");
        let reply = http::open_on(stream, &Request::new("GET", "/keys")).and_then(http::Exchange::finish);
        reply.expect("the server answers").text().lines().map(ToOwned::to_owned).collect()
    }

    /// The section of a registry's configuration that means this bucket, in one line.
    pub fn section(&self) -> String {
        format!(
            "{{bucket: images, region: us-east-1, accesskey: the-key, secretkey: the-secret, regionendpoint: 'http://{}', \
             rootdirectory: reg, chunksize: 5MiB}}",
            self.address
        )
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
