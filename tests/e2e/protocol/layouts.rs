//! Images in clients' OCI layouts, as definitions and frontends ask for them.

use buildkit::attach::Offer;
use buildkit::proto::gateway::{
    ResolveImageConfigRequest, ResolveImageConfigResponse, ResolveSourceMetaRequest,
    ResolveSourceMetaResponse,
};
use buildkit::proto::pb;
use testkit::command::run;

use super::{Build, Definition, engine};

// covers: buildkit llb-source SourceOp.identifier oci-layout://
// covers: buildkit llb-source-attr SourceOp.attrs oci.store
// covers: buildkit llb-source-attr SourceOp.attrs oci.session
// refuses: buildkit llb-source-attr SourceOp.attrs oci.layerlimit because a part of an image is no image, and no client that can be had asks for one
#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_taken_out_of_a_layout() {
    let engine = engine();
    engine.scratch().write("c/Dockerfile", "FROM scratch\nENV A=1\nCOPY Dockerfile /mark\n");
    let archive = engine.scratch().join("x.tar");
    let mut command = engine.ketch_command();
    command.args(["build", "-o", &format!("type=oci,dest={}", archive.display())]);
    run(command.arg(engine.scratch().join("c"))).ok();
    let folder = engine.scratch().join("layout");
    tar::Archive::new(std::fs::File::open(archive).unwrap()).unpack(&folder).unwrap();
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let offer = || {
        let stores = [("oci:mine".to_owned(), folder.clone())].into();
        Offer { stores, ..Offer::default() }
    };
    let build = Build::offering(&engine, offer()).await;
    let reference = format!("docker.io/library/given@{digest}");
    let identifier = format!("oci-layout://{reference}");
    let source = |attributes: &[(&str, &str)]| {
        let mut definition = Definition::default();
        let made = definition.source(&identifier, attributes);
        definition.end(&made)
    };
    let made = build.solve(source(&[("oci.store", "mine")])).await.unwrap();
    assert!(build.read(&made, "/mark").await.unwrap().starts_with("FROM scratch"));
    let question = ResolveImageConfigRequest {
        r#ref: reference.clone(),
        resolver_type: 1,
        store_id: "mine".into(),
        ..ResolveImageConfigRequest::default()
    };
    let answer: ResolveImageConfigResponse = build.ask("ResolveImageConfig", &question).await.unwrap();
    assert_eq!(answer.digest, digest);
    let config: serde_json::Value = serde_json::from_slice(&answer.config).unwrap();
    assert!(config["config"]["Env"].as_array().unwrap().contains(&serde_json::json!("A=1")));
    let attrs = [("oci.store".to_owned(), "mine".to_owned())].into();
    let question = ResolveSourceMetaRequest {
        source: Some(pb::SourceOp { identifier: identifier.clone(), attrs }),
        ..ResolveSourceMetaRequest::default()
    };
    let answer: ResolveSourceMetaResponse = build.ask("ResolveSourceMeta", &question).await.unwrap();
    assert_eq!(
        (answer.source.unwrap().identifier, answer.image.unwrap().digest),
        (identifier.clone(), digest)
    );
    for (attributes, expected) in [
        (&[("oci.store", "other")][..], "no content store"),
        (&[("oci.store", "mine"), ("oci.session", "another")], "content of another session"),
        (&[("oci.store", "mine"), ("oci.layerlimit", "1")], "oci.layerlimit of source"),
    ] {
        // In one build the same image is looked for once.
        let another = Build::offering(&engine, offer()).await;
        let why = another.refused(source(attributes)).await;
        assert!(why.contains(expected), "{attributes:?}: {why}");
    }
    let mut definition = Definition::default();
    let made = definition.source("oci-layout://docker.io/library/given:1", &[("oci.store", "mine")]);
    assert!(build.refused(definition.end(&made)).await.contains("no digest"));
}
