//! What the registry counts, in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};

use crate::route::Route;

/// Upper ends of the buckets of answers' times, in seconds.
const BUCKETS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];
const KINDS: [&str; 8] = ["base", "blob", "upload", "manifest", "tags", "referrers", "catalog", "other"];
const METHODS: [&str; 7] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "other"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters of one process.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: [[[AtomicU64; CLASSES.len()]; METHODS.len()]; KINDS.len()],
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    microseconds: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    pub(crate) cached: AtomicU64,
    pub(crate) fetched: AtomicU64,
    pub(crate) notified: AtomicU64,
    pub(crate) unnotified: AtomicU64,
    pub(crate) freed: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Metrics {
    pub(crate) fn count(&self, route: Option<&Route>, method: &Method, status: StatusCode, took: Duration) {
        let kind = match route {
            Some(Route::Base) => 0,
            Some(Route::Blob(..)) => 1,
            Some(Route::Uploads(_) | Route::Upload(..)) => 2,
            Some(Route::Manifest(..)) => 3,
            Some(Route::Tags(_)) => 4,
            Some(Route::Referrers(..)) => 5,
            Some(Route::Catalog) => 6,
            _ => 7,
        };
        let method = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.requests[kind][method][class].fetch_add(1, Relaxed);
        for (bucket, end) in self.buckets.iter().zip(BUCKETS) {
            if took.as_secs_f64() <= end {
                bucket.fetch_add(1, Relaxed);
            }
        }
        self.count.fetch_add(1, Relaxed);
        self.microseconds.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Relaxed);
    }

    /// What the last look at the storage found.
    pub(crate) fn found(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn render(&self) -> String {
        let mut text = String::from("# TYPE registry_http_requests_total counter\n");
        for (kind, methods) in KINDS.iter().zip(&self.requests) {
            for (method, classes) in METHODS.iter().zip(methods) {
                for (class, count) in CLASSES.iter().zip(classes).filter(|(_, count)| count.load(Relaxed) > 0)
                {
                    let count = count.load(Relaxed);
                    let _ = writeln!(
                        text,
                        "registry_http_requests_total{{handler=\"{kind}\",method=\"{method}\",code=\"{class}\"}} {count}"
                    );
                }
            }
        }
        text.push_str("# TYPE registry_http_request_duration_seconds histogram\n");
        for (count, end) in self.buckets.iter().zip(BUCKETS) {
            let count = count.load(Relaxed);
            let _ = writeln!(text, "registry_http_request_duration_seconds_bucket{{le=\"{end}\"}} {count}");
        }
        let count = self.count.load(Relaxed);
        let seconds = Duration::from_micros(self.microseconds.load(Relaxed)).as_secs_f64();
        let _ = writeln!(
            text,
            "registry_http_request_duration_seconds_bucket{{le=\"+Inf\"}} {count}\n\
             registry_http_request_duration_seconds_sum {seconds}\n\
             registry_http_request_duration_seconds_count {count}"
        );
        let counters = [
            ("registry_sent_bytes_total", &self.sent),
            ("registry_received_bytes_total", &self.received),
            ("registry_proxy_hits_total", &self.cached),
            ("registry_proxy_misses_total", &self.fetched),
            ("registry_notifications_total", &self.notified),
            ("registry_notifications_failed_total", &self.unnotified),
            ("registry_collected_bytes_total", &self.freed),
        ];
        for (name, value) in counters {
            let _ = writeln!(text, "# TYPE {name} counter\n{name} {}", value.load(Relaxed));
        }
        let healthy = u8::from(self.trouble().is_none());
        let _ = writeln!(text, "# TYPE registry_storage_healthy gauge\nregistry_storage_healthy {healthy}");
        text
    }
}
