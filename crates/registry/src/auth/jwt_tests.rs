use super::*;

const NOW: i64 = 1_000_000;

fn claims() -> Claims {
    let access = vec![Grant { kind: "repository".into(), name: "a".into(), actions: vec!["pull".into()] }];
    let aud = Audience::One("service".into());
    Claims {
        iss: "issuer".into(),
        sub: "ann".into(),
        aud,
        exp: NOW + 300,
        nbf: NOW,
        iat: NOW,
        jti: "1".into(),
        access,
    }
}

fn expected() -> Expected<'static> {
    Expected { issuer: "issuer", service: "service", now: NOW, algorithms: &[] }
}

fn signer() -> Signer {
    Signer::load(&Signer::generate().unwrap()).unwrap()
}

fn forged(header: &str, claims: &Claims, signature: &[u8]) -> String {
    let payload = serde_json::to_vec(claims).unwrap();
    format!("{}.{}.{}", BASE64.encode(header), BASE64.encode(payload), BASE64.encode(signature))
}

#[test]
fn what_a_trusted_key_signed_is_believed() {
    let signer = signer();
    let token = signer.sign(&claims()).unwrap();
    assert_eq!(verify(&token, &[signer.public()], &expected()).unwrap(), claims());
    let many = Claims { aud: Audience::Many(vec!["x".into(), "service".into()]), ..claims() };
    assert!(verify(&signer.sign(&many).unwrap(), &[signer.public()], &expected()).is_ok());
}

#[test]
fn wrong_claims_are_not_believed() {
    let signer = signer();
    let refused = |claims: Claims| {
        verify(&signer.sign(&claims).unwrap(), &[signer.public()], &expected()).unwrap_err().0
    };
    assert_eq!(refused(Claims { iss: "other".into(), ..claims() }), "another issuer");
    assert_eq!(refused(Claims { aud: Audience::One("other".into()), ..claims() }), "for another service");
    assert_eq!(refused(Claims { aud: Audience::default(), ..claims() }), "for another service");
    assert_eq!(refused(Claims { exp: NOW - 61, ..claims() }), "expired");
    assert_eq!(refused(Claims { nbf: NOW + 61, ..claims() }), "not valid yet");
}

/// CVE-2025-24976 and the classes around it: a token brings no key of its own, and chooses no weaker proof.
#[test]
fn forgeries_are_not_believed() {
    let (trusted, stranger) = (signer(), signer());
    let keys = [trusted.public()];
    let none = forged(r#"{"alg":"none"}"#, &claims(), b"");
    let embedded = {
        let token = stranger.sign(&claims()).unwrap();
        let point = stranger.pair.public_key().as_ref().to_vec();
        let jwk = format!(
            r#"{{"alg":"ES256","kid":"known","jwk":{{"kty":"EC","crv":"P-256","kid":"known","x":"{}","y":"{}"}}}}"#,
            BASE64.encode(&point[1..33]),
            BASE64.encode(&point[33..])
        );
        let (_, rest) = token.split_once('.').unwrap();
        let message = format!("{}.{}", BASE64.encode(jwk), rest.rsplit_once('.').unwrap().0);
        let signature = stranger.pair.sign(&stranger.random, message.as_bytes()).unwrap();
        format!("{message}.{}", BASE64.encode(signature.as_ref()))
    };
    // The public key as the secret of an HMAC.
    let confused = forged(r#"{"alg":"HS256"}"#, &claims(), trusted.pair.public_key().as_ref());
    let critical = forged(r#"{"alg":"ES256","crit":["x"]}"#, &claims(), b"");
    for token in [none, embedded, confused, critical, stranger.sign(&claims()).unwrap()] {
        assert!(verify(&token, &keys, &expected()).is_err(), "{token}");
    }
    let token = trusted.sign(&claims()).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let other = trusted.sign(&Claims { sub: "root".into(), ..claims() }).unwrap();
    assert!(
        verify(&format!("{}.{signature}", other.rsplit_once('.').unwrap().0), &keys, &expected()).is_err()
    );
    assert!(verify(message, &keys, &expected()).is_err());
    let only = ["RS256".to_owned()];
    assert!(verify(&token, &keys, &Expected { algorithms: &only, ..expected() }).is_err());
    for nonsense in ["", ".", "..", "a.b.c", "e30.e30.", &"a.".repeat(100_000)] {
        assert!(verify(nonsense, &keys, &expected()).is_err());
    }
}

#[test]
fn keys_of_a_set() {
    let signer = signer();
    let point = signer.pair.public_key().as_ref().to_vec();
    let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..]));
    let set = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"one","x":"{x}","y":"{y}"}}]}}"#);
    let keys = jwks(set.as_bytes()).unwrap();
    assert!(verify(&signer.sign(&claims()).unwrap(), &keys, &expected()).is_ok());
    assert!(jwks(br#"{"keys":[{"kty":"oct","k":"x"}]}"#).is_err());
}

#[test]
fn a_signature_in_certificates_form() {
    let mut fixed = vec![0; 64];
    fixed[31] = 0x80;
    fixed[63] = 1;
    assert_eq!(der(&fixed, 32).unwrap(), [0x30, 7, 2, 2, 0, 0x80, 2, 1, 1]);
    assert!(der(&[0; 63], 32).is_none());
}
