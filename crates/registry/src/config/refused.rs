//! Keys of docker's registry that this one hasn't got, and why.

use serde_json::Value;

/// Refused for what they are, with everything below them.
const REFUSED: &[(&str, &str)] = &[
    ("loglevel", "say it as log.level"),
    ("log.hooks", "errors are in the log; alert on what reads it"),
    ("storage.azure", "use storage.filesystem, or storage.s3 with what speaks its protocol"),
    ("storage.gcs", "use storage.filesystem, or storage.s3 with what speaks its protocol"),
    ("storage.s3.accelerate", "give the address to use as storage.s3.regionendpoint"),
    ("storage.s3.usedualstack", "give the address to use as storage.s3.regionendpoint"),
    ("storage.s3.usefipsendpoint", "give the address to use as storage.s3.regionendpoint"),
    ("storage.s3.loglevel", "say it as log.level"),
    ("storage.s3.objectacl", "the bucket's owner decides who may read it"),
    ("storage.s3.useragent", "it is ketch-registry"),
    ("storage.s3.skipverify", "put the store's authority into /etc/docker/certs.d/<host>/ca.crt"),
    ("storage.s3.multipartcopychunksize", "what is stored is never copied"),
    ("storage.s3.multipartcopymaxconcurrency", "what is stored is never copied"),
    ("storage.s3.multipartcopythresholdsize", "what is stored is never copied"),
    ("storage.oss", "use storage.filesystem, or storage.s3 with what speaks its protocol"),
    ("storage.swift", "use storage.filesystem, or storage.s3 with what speaks its protocol"),
    ("storage.inmemory", "what was pushed would be lost with the process: use storage.filesystem"),
    ("storage.filesystem.maxthreads", "transfers share a bounded number of threads by themselves"),
    ("storage.tag", "tags are listed in one step"),
    ("storage.cache.blobdescriptorsize", "the cache is bounded by itself"),
    ("auth.silly", "it lets everybody in who says anything"),
    ("auth.token.autoredirect", "say the token service's whole address in auth.token.realm"),
    ("middleware", "there are no plug-ins"),
    ("redis", "a cache outside the process would be slower than the disk"),
    ("http.prefix", "clients don't know registries below a path"),
    ("http.secret", "the state of uploads is not in their addresses"),
    ("http.net", "say unix sockets to a reverse proxy; this listens on TCP"),
    ("http.h2c", "HTTP/2 without TLS is always understood"),
    ("http.tls.letsencrypt", "let an ACME client write the certificate: it is reloaded when it changes"),
    ("http.tls.minimumtls", "it is TLS 1.2"),
    ("http.tls.ciphersuites", "only sound ones are offered"),
    ("health.file", "take the registry out of a load balancer there"),
    ("health.http", "watch other services from where you watch this one"),
    ("health.tcp", "watch other services from where you watch this one"),
    ("proxy.exec", "give username and password"),
    ("validation.manifests.urls", "addresses in manifests are not fetched; clients decide about them"),
    ("validation.manifests", "what an index names has to be there"),
    ("validation", "what an index names has to be there"),
    ("compatibility", "schema 1 is not supported"),
];

/// The first of them in a file.
pub(super) fn find(file: &Value) -> Option<(&'static str, &'static str)> {
    REFUSED
        .iter()
        .copied()
        .find(|(key, _)| key.split('.').try_fold(file, |value, part| value.get(part)).is_some())
}
