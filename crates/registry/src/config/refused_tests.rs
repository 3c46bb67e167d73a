//! Every key of docker's registry that is refused, wherever in a file it stands.

use super::*;

// refuses: registry config-key auth auth.silly because it lets everybody in who says anything
// refuses: registry config-key auth auth.silly.realm because it lets everybody in who says anything
// refuses: registry config-key auth auth.silly.service because it lets everybody in who says anything
// refuses: registry config-key auth auth.token.autoredirect because say the token service's whole address in auth.token.realm
// refuses: registry config-key health health.file because take the registry out of a load balancer there
// refuses: registry config-key health health.file[].file because take the registry out of a load balancer there
// refuses: registry config-key health health.file[].interval because take the registry out of a load balancer there
// refuses: registry config-key health health.http because watch other services from where you watch this one
// refuses: registry config-key health health.http[].headers because watch other services from where you watch this one
// refuses: registry config-key health health.http[].headers.Authorization because watch other services from where you watch this one
// refuses: registry config-key health health.http[].interval because watch other services from where you watch this one
// refuses: registry config-key health health.http[].statuscode because watch other services from where you watch this one
// refuses: registry config-key health health.http[].threshold because watch other services from where you watch this one
// refuses: registry config-key health health.http[].timeout because watch other services from where you watch this one
// refuses: registry config-key health health.http[].uri because watch other services from where you watch this one
// refuses: registry config-key health health.tcp because watch other services from where you watch this one
// refuses: registry config-key health health.tcp[].addr because watch other services from where you watch this one
// refuses: registry config-key health health.tcp[].interval because watch other services from where you watch this one
// refuses: registry config-key health health.tcp[].threshold because watch other services from where you watch this one
// refuses: registry config-key health health.tcp[].timeout because watch other services from where you watch this one
// refuses: registry config-key http http.h2c because HTTP/2 without TLS is always understood
// refuses: registry config-key http http.h2c.enabled because HTTP/2 without TLS is always understood
// refuses: registry config-key http http.prefix because clients don't know registries below a path
// refuses: registry config-key http http.secret because the state of uploads is not in their addresses
// refuses: registry config-key http http.tls.letsencrypt because let an ACME client write the certificate: it is reloaded when it changes
// refuses: registry config-key http http.tls.letsencrypt.cachefile because let an ACME client write the certificate: it is reloaded when it changes
// refuses: registry config-key http http.tls.letsencrypt.directoryurl because let an ACME client write the certificate: it is reloaded when it changes
// refuses: registry config-key http http.tls.letsencrypt.email because let an ACME client write the certificate: it is reloaded when it changes
// refuses: registry config-key http http.tls.letsencrypt.hosts because let an ACME client write the certificate: it is reloaded when it changes
// refuses: registry config-key log log.hooks because errors are in the log; alert on what reads it
// refuses: registry config-key log log.hooks[].disabled because errors are in the log; alert on what reads it
// refuses: registry config-key log log.hooks[].levels because errors are in the log; alert on what reads it
// refuses: registry config-key log log.hooks[].options because errors are in the log; alert on what reads it
// refuses: registry config-key log log.hooks[].options.from because errors are in the log; alert on what reads it
// refuses: registry config-key log log.hooks[].options.smtp because errors are in the log; alert on what reads it
// refuses: registry config-key log log.hooks[].options.smtp.addr because errors are in the log; alert on what reads it
// refuses: registry config-key log log.hooks[].options.smtp.insecure because errors are in the log; alert on what reads it
// refuses: registry config-key log log.hooks[].options.smtp.password because errors are in the log; alert on what reads it
// refuses: registry config-key log log.hooks[].options.smtp.username because errors are in the log; alert on what reads it
// refuses: registry config-key log log.hooks[].options.to because errors are in the log; alert on what reads it
// refuses: registry config-key log log.hooks[].type because errors are in the log; alert on what reads it
// refuses: registry config-key loglevel loglevel because say it as log.level
// refuses: registry config-key middleware middleware because there are no plug-ins
// refuses: registry config-key middleware middleware.registry because there are no plug-ins
// refuses: registry config-key middleware middleware.registry[].name because there are no plug-ins
// refuses: registry config-key middleware middleware.registry[].options because there are no plug-ins
// refuses: registry config-key middleware middleware.registry[].options.foo because there are no plug-ins
// refuses: registry config-key middleware middleware.repository because there are no plug-ins
// refuses: registry config-key middleware middleware.repository[].name because there are no plug-ins
// refuses: registry config-key middleware middleware.repository[].options because there are no plug-ins
// refuses: registry config-key middleware middleware.repository[].options.foo because there are no plug-ins
// refuses: registry config-key middleware middleware.storage because there are no plug-ins
// refuses: registry config-key middleware middleware.storage[].name because there are no plug-ins
// refuses: registry config-key middleware middleware.storage[].options because there are no plug-ins
// refuses: registry config-key middleware middleware.storage[].options.awsregion because there are no plug-ins
// refuses: registry config-key middleware middleware.storage[].options.baseurl because there are no plug-ins
// refuses: registry config-key middleware middleware.storage[].options.duration because there are no plug-ins
// refuses: registry config-key middleware middleware.storage[].options.ipfilteredby because there are no plug-ins
// refuses: registry config-key middleware middleware.storage[].options.iprangesurl because there are no plug-ins
// refuses: registry config-key middleware middleware.storage[].options.keypairid because there are no plug-ins
// refuses: registry config-key middleware middleware.storage[].options.privatekey because there are no plug-ins
// refuses: registry config-key middleware middleware.storage[].options.updatefrequency because there are no plug-ins
// refuses: registry config-key proxy proxy.exec because give username and password
// refuses: registry config-key proxy proxy.exec.command because give username and password
// refuses: registry config-key proxy proxy.exec.lifetime because give username and password
// refuses: registry config-key redis redis because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.addrs because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.connmaxidletime because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.db because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.dialtimeout because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.maxidleconns because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.password because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.poolsize because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.readtimeout because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.tls because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.tls.certificate because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.tls.enabled because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.tls.key because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.tls.rootcas because a cache outside the process would be slower than the disk
// refuses: registry config-key redis redis.writetimeout because a cache outside the process would be slower than the disk
// refuses: registry config-key storage storage.azure because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.azure.accountkey because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.azure.accountname because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.azure.container because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.azure.credentials because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.azure.credentials.clientid because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.azure.credentials.secret because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.azure.credentials.tenantid because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.azure.credentials.type because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.azure.max_retries because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.azure.retry_delay because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.azure.rootdirectory because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.cache.blobdescriptorsize because the cache is bounded by itself
// refuses: registry config-key storage storage.filesystem.maxthreads because transfers share a bounded number of threads by themselves
// refuses: registry config-key storage storage.gcs because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.bucket because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.chunksize because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.credentials because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.credentials.auth_provider_x509_cert_url because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.credentials.auth_uri because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.credentials.client_email because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.credentials.client_id because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.credentials.client_x509_cert_url because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.credentials.private_key because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.credentials.private_key_id because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.credentials.project_id because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.credentials.token_uri because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.credentials.type because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.keyfile because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.gcs.rootdirectory because use storage.filesystem, or storage.s3 with what speaks its protocol
// refuses: registry config-key storage storage.inmemory because what was pushed would be lost with the process: use storage.filesystem
// refuses: registry config-key storage storage.s3.accelerate because give the address to use as storage.s3.regionendpoint
// refuses: registry config-key storage storage.s3.loglevel because say it as log.level
// refuses: registry config-key storage storage.s3.multipartcopychunksize because what is stored is never copied
// refuses: registry config-key storage storage.s3.multipartcopymaxconcurrency because what is stored is never copied
// refuses: registry config-key storage storage.s3.multipartcopythresholdsize because what is stored is never copied
// refuses: registry config-key storage storage.s3.usedualstack because give the address to use as storage.s3.regionendpoint
// refuses: registry config-key storage storage.s3.usefipsendpoint because give the address to use as storage.s3.regionendpoint
// refuses: registry config-key storage storage.tag because tags are listed in one step
// refuses: registry config-key storage storage.tag.concurrencylimit because tags are listed in one step
// refuses: registry config-key validation validation because what an index names has to be there
// refuses: registry config-key validation validation.manifests because what an index names has to be there
// refuses: registry config-key validation validation.manifests.indexes because what an index names has to be there
// refuses: registry config-key validation validation.manifests.indexes.platformlist because what an index names has to be there
// refuses: registry config-key validation validation.manifests.indexes.platformlist[].architecture because what an index names has to be there
// refuses: registry config-key validation validation.manifests.indexes.platformlist[].os because what an index names has to be there
// refuses: registry config-key validation validation.manifests.indexes.platforms because what an index names has to be there
// refuses: registry config-key validation validation.manifests.urls because addresses in manifests are not fetched; clients decide about them
// refuses: registry config-key validation validation.manifests.urls.allow because addresses in manifests are not fetched; clients decide about them
// refuses: registry config-key validation validation.manifests.urls.deny because addresses in manifests are not fetched; clients decide about them
#[test]
fn keys_of_docker_s_registry_that_mean_nothing_here_are_refused_by_name() {
    for key in KEYS {
        let document = key.rsplit('.').fold(String::from("x"), |inner, part| match part.strip_suffix("[]") {
            Some(part) => format!("{{{part}: [{inner}]}}"),
            None => format!("{{{part}: {inner}}}"),
        });
        let file = parse(&document);
        let Err(Error::NotSupported { key: said, why }) = &file else { panic!("{key}: {file:?}") };
        let plain = key.replace("[]", "");
        assert!(plain == *said || plain.starts_with(&format!("{said}.")), "{key} is refused as {said}");
        assert!(!why.is_empty());
    }
}

const KEYS: &[&str] = &[
    "auth.silly",
    "auth.silly.realm",
    "auth.silly.service",
    "auth.token.autoredirect",
    "health.file",
    "health.file[].file",
    "health.file[].interval",
    "health.http",
    "health.http[].headers",
    "health.http[].headers.Authorization",
    "health.http[].interval",
    "health.http[].statuscode",
    "health.http[].threshold",
    "health.http[].timeout",
    "health.http[].uri",
    "health.tcp",
    "health.tcp[].addr",
    "health.tcp[].interval",
    "health.tcp[].threshold",
    "health.tcp[].timeout",
    "http.h2c",
    "http.h2c.enabled",
    "http.prefix",
    "http.secret",
    "http.tls.letsencrypt",
    "http.tls.letsencrypt.cachefile",
    "http.tls.letsencrypt.directoryurl",
    "http.tls.letsencrypt.email",
    "http.tls.letsencrypt.hosts",
    "log.hooks",
    "log.hooks[].disabled",
    "log.hooks[].levels",
    "log.hooks[].options",
    "log.hooks[].options.from",
    "log.hooks[].options.smtp",
    "log.hooks[].options.smtp.addr",
    "log.hooks[].options.smtp.insecure",
    "log.hooks[].options.smtp.password",
    "log.hooks[].options.smtp.username",
    "log.hooks[].options.to",
    "log.hooks[].type",
    "loglevel",
    "middleware",
    "middleware.registry",
    "middleware.registry[].name",
    "middleware.registry[].options",
    "middleware.registry[].options.foo",
    "middleware.repository",
    "middleware.repository[].name",
    "middleware.repository[].options",
    "middleware.repository[].options.foo",
    "middleware.storage",
    "middleware.storage[].name",
    "middleware.storage[].options",
    "middleware.storage[].options.awsregion",
    "middleware.storage[].options.baseurl",
    "middleware.storage[].options.duration",
    "middleware.storage[].options.ipfilteredby",
    "middleware.storage[].options.iprangesurl",
    "middleware.storage[].options.keypairid",
    "middleware.storage[].options.privatekey",
    "middleware.storage[].options.updatefrequency",
    "proxy.exec",
    "proxy.exec.command",
    "proxy.exec.lifetime",
    "redis",
    "redis.addrs",
    "redis.connmaxidletime",
    "redis.db",
    "redis.dialtimeout",
    "redis.maxidleconns",
    "redis.password",
    "redis.poolsize",
    "redis.readtimeout",
    "redis.tls",
    "redis.tls.certificate",
    "redis.tls.enabled",
    "redis.tls.key",
    "redis.tls.rootcas",
    "redis.writetimeout",
    "storage.azure",
    "storage.azure.accountkey",
    "storage.azure.accountname",
    "storage.azure.container",
    "storage.azure.credentials",
    "storage.azure.credentials.clientid",
    "storage.azure.credentials.secret",
    "storage.azure.credentials.tenantid",
    "storage.azure.credentials.type",
    "storage.azure.max_retries",
    "storage.azure.retry_delay",
    "storage.azure.rootdirectory",
    "storage.cache.blobdescriptorsize",
    "storage.filesystem.maxthreads",
    "storage.gcs",
    "storage.gcs.bucket",
    "storage.gcs.chunksize",
    "storage.gcs.credentials",
    "storage.gcs.credentials.auth_provider_x509_cert_url",
    "storage.gcs.credentials.auth_uri",
    "storage.gcs.credentials.client_email",
    "storage.gcs.credentials.client_id",
    "storage.gcs.credentials.client_x509_cert_url",
    "storage.gcs.credentials.private_key",
    "storage.gcs.credentials.private_key_id",
    "storage.gcs.credentials.project_id",
    "storage.gcs.credentials.token_uri",
    "storage.gcs.credentials.type",
    "storage.gcs.keyfile",
    "storage.gcs.rootdirectory",
    "storage.inmemory",
    "storage.s3.accelerate",
    "storage.s3.loglevel",
    "storage.s3.multipartcopychunksize",
    "storage.s3.multipartcopymaxconcurrency",
    "storage.s3.multipartcopythresholdsize",
    "storage.s3.usedualstack",
    "storage.s3.usefipsendpoint",
    "storage.tag",
    "storage.tag.concurrencylimit",
    "validation",
    "validation.manifests",
    "validation.manifests.indexes",
    "validation.manifests.indexes.platformlist",
    "validation.manifests.indexes.platformlist[].architecture",
    "validation.manifests.indexes.platformlist[].os",
    "validation.manifests.indexes.platforms",
    "validation.manifests.urls",
    "validation.manifests.urls.allow",
    "validation.manifests.urls.deny",
];
