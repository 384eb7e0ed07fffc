use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::provider::{QrContent, SessionId, Token};

const RAW: &str = "2@q1W2e3,R4t5Y6=,u7I8o9=,p0A1s2==,1";
const LINK: &str = "https://wa.me/settings/linked_devices#2@q1W2e3,R4t5Y6=,u7I8o9=,p0A1s2==,1";
const OTHER: &str = "2@other,R4t5Y6=,u7I8o9=,p0A1s2==,1";

fn config() -> EventsConfig {
    EventsConfig {
        path: "/socket.io/".to_owned(),
        namespace: "/".to_owned(),
        subscribe: Vec::new(),
        qr_events: vec!["scan-me".to_owned()],
        status_events: vec!["tick".to_owned()],
    }
}

fn png() -> Vec<u8> {
    b"\x89PNG\r\n\x1a\nanything".to_vec()
}

fn base64_png() -> String {
    STANDARD.encode(png())
}

fn data_url() -> String {
    format!("data:image/png;base64,{}", base64_png())
}

fn said(name: &str, args: &Value) -> Vec<SocketEvent> {
    decode(name, args.as_array().unwrap(), &[], &config())
}

fn id(id: &str) -> Option<SessionId> {
    (!id.is_empty()).then(|| id.parse().unwrap())
}

fn qr(session: &str, content: QrContent, pairing: Option<&str>) -> SocketEvent {
    SocketEvent::Qr { session: id(session), qr: Qr { content, pairing_code: pairing.map(Token::new) } }
}

fn raw(session: &str) -> SocketEvent {
    qr(session, QrContent::Raw(RAW.to_owned()), None)
}

fn picture(session: &str) -> SocketEvent {
    qr(session, QrContent::Png(png()), None)
}

fn status(session: &str, claims: Option<Liveness>) -> SocketEvent {
    SocketEvent::Status { session: id(session), claims }
}

#[track_caller]
fn check(table: Vec<(&str, Value, Vec<SocketEvent>)>) {
    for (name, args, expected) in table {
        let found = said(name, &args);
        // The Debug of a code says nothing, so both sides are told by what they are of.
        assert!(found == expected, "{name} {args}: {found:?} is not {expected:?}");
    }
}

#[test]
fn raw_codes_in_every_shape() {
    check(vec![
        ("qr", json!([RAW]), vec![raw("")]),
        ("qr", json!([LINK]), vec![qr("", QrContent::Raw(LINK.to_owned()), None)]),
        ("qr", json!(["s", RAW]), vec![raw("s")]),
        ("qr", json!(["s", {"qr": RAW}]), vec![raw("s")]),
        ("qr", json!([{"sessionId": "s", "qr": RAW}]), vec![raw("s")]),
        ("session:qr", json!([{"session_id": "s", "qrCode": RAW}]), vec![raw("s")]),
        ("qr_code", json!([{"session": "s", "qr_code": RAW}]), vec![raw("s")]),
        ("QRCODE_UPDATED", json!([{"instance": "s", "qrcode": {"code": RAW}}]), vec![raw("s")]),
        ("qrCode", json!([{"data": {"id": "s", "code": RAW}}]), vec![raw("s")]),
        ("qr", json!([{"payload": {"whatsappId": "s", "anything": RAW}}]), vec![raw("s")]),
        ("qr", json!([{"id": 17, "value": RAW}]), vec![raw("17")]),
        ("scan-me", json!([{"id": "s", "value": RAW}]), vec![raw("s")]),
        (
            "qrcode.updated",
            {
                json!([{"data": {"session": {"id": "s"}, "qrcode": {"code": RAW, "base64": base64_png(), "pairingCode": null}}}])
            },
            vec![raw("s")],
        ),
        ("qr", json!([{"sessionId": "s", "code": RAW, "url": LINK}]), vec![raw("s")]),
    ]);
}

#[test]
fn pictures_in_every_shape() {
    check(vec![
        ("qr", json!([data_url()]), vec![picture("")]),
        ("qr", json!([base64_png()]), vec![picture("")]),
        ("qr", json!(["s", data_url()]), vec![picture("s")]),
        ("session.qr", json!([{"session": "s", "data": data_url()}]), vec![picture("s")]),
        ("qr", json!([{"sessionId": "s", "image": data_url()}]), vec![picture("s")]),
        ("qr", json!([{"sessionId": "s", "qrDataUrl": data_url()}]), vec![picture("s")]),
        ("qr", json!([{"sessionId": "s", "base64": base64_png()}]), vec![picture("s")]),
        ("qr", json!([{"sessionId": "s", "avatar": data_url()}]), vec![]),
        ("qr", json!([{"sessionId": "s", "image": "https://example.com/qr.png"}]), vec![]),
        ("qr", json!([{"sessionId": "s", "image": "data:image/jpeg;base64,/9j/4AAQSkZJRg=="}]), vec![]),
    ]);
}

#[test]
fn the_picture_under_a_telling_key_counts() {
    let other = STANDARD.encode([png(), b"other".to_vec()].concat());
    check(vec![("qr", json!([{"sessionId": "s", "a": other, "qr": base64_png()}]), vec![picture("s")])]);
}

#[test]
fn binary_pictures() {
    let holder = json!({"_placeholder": true, "num": 0});
    let attachments = [png()];
    let told = |name: &str, args: Value, attachments: &[Vec<u8>]| {
        decode(name, args.as_array().unwrap(), attachments, &config())
    };
    assert_eq!(told("qr_code", json!([{"sessionId": "s", "image": holder}]), &attachments), [picture("s")]);
    assert_eq!(told("qr", json!(["s", holder]), &attachments), [picture("s")]);
    assert_eq!(told("qr", json!([holder]), &attachments), [picture("")]);
    assert_eq!(told("qr", json!([holder]), &[]), []);
    assert_eq!(told("qr", json!([holder]), &[b"GIF89a".to_vec()]), []);
    assert_eq!(told("qr", json!([{"_placeholder": true, "num": -1}]), &attachments), []);
    let large = [png(), vec![0; 256 << 10]].concat();
    assert_eq!(told("qr", json!([holder]), &[large]), []);
}

#[test]
fn pairing_codes_only_where_something_says_so() {
    let both = |code: &str| vec![qr("s", QrContent::Raw(RAW.to_owned()), Some(code))];
    check(vec![
        ("qr", json!([{"sessionId": "s", "qr": RAW, "pairingCode": "ABCD-1234"}]), both("ABCD-1234")),
        ("qr", json!([{"sessionId": "s", "qrcode": {"base64": null, "code": RAW, "pairingCode": "ABCD1234"}}]), {
            both("ABCD1234")
        }),
        ("qr", json!([{"sessionId": "s", "qr": RAW, "code": "ABCD1234"}]), both("ABCD1234")),
        ("qr", json!(["s", RAW, "ABCD1234"]), both("ABCD1234")),
        ("qr", json!([{"sessionId": "s", "qr": RAW, "mode": "STARTING"}]), vec![raw("s")]),
        ("qr", json!(["ABCD1234", RAW]), vec![raw("ABCD1234")]),
        ("pairing_code", json!([{"sessionId": "s", "code": "ABCD1234"}]), vec![status("s", None)]),
        ("pairing_code", json!(["s", "ABCD1234"]), vec![status("s", None)]),
        ("session.status", json!([{"sessionId": "s", "status": "STARTING"}]), {
            vec![status("s", Some(Liveness::Connecting))]
        }),
        ("session.status", json!([{"sessionId": "s", "code": "CONFLICT"}]), vec![status("s", None)]),
    ]);
}

#[test]
fn cleared_codes() {
    check(vec![
        ("qr", json!([]), vec![status("", None)]),
        ("qr", json!([null]), vec![status("", None)]),
        ("qr", json!([""]), vec![status("", None)]),
        ("qr", json!(["s", null]), vec![status("s", None)]),
        ("qr", json!([{"sessionId": "s", "qr": null}]), vec![status("s", None)]),
        ("qr", json!([{"sessionId": "s", "data": {"qrCode": ""}}]), vec![status("s", None)]),
        ("qr", json!([{"sessionId": "s", "qr": null, "status": "connected"}]), {
            vec![status("s", Some(Liveness::Connected))]
        }),
    ]);
}

#[test]
fn status_events() {
    let connected = Some(Liveness::Connected);
    let disconnected = Some(Liveness::Disconnected);
    check(vec![
        ("session.status", json!([{"sessionId": "s", "status": "connected"}]), vec![status("s", connected.clone())]),
        ("session:status", json!(["s", "disconnected"]), vec![status("s", disconnected.clone())]),
        ("whatsapp:status", json!([{"data": {"id": "s", "status": "qr_pending"}}]), {
            vec![status("s", Some(Liveness::QrPending))]
        }),
        ("status-update", json!([{"id": "s", "status": "connected", "connected": false}]), {
            vec![status("s", disconnected.clone())]
        }),
        ("connection.update", json!([{"instance": "s", "data": {"connection": "open"}}]), {
            vec![status("s", connected.clone())]
        }),
        (
            "connection.update",
            json!([{"session": "s", "connection": "close"}]),
            vec![status("s", disconnected.clone())],
        ),
        ("session.connected", json!([{"sessionId": "s"}]), vec![status("s", connected.clone())]),
        ("session.disconnected", json!([{"sessionId": "s"}]), vec![status("s", disconnected.clone())]),
        ("session.disconnected", json!([{"sessionId": "s", "status": "logged_out"}]), {
            vec![status("s", Some(Liveness::LoggedOut))]
        }),
        ("session.disconnected", json!(["s", "some reason"]), vec![status("s", disconnected.clone())]),
        ("session.logged_out", json!([{"sessionId": "s"}]), vec![status("s", Some(Liveness::LoggedOut))]),
        ("ready", json!([]), vec![status("", connected.clone())]),
        ("ready", json!([{"sessionId": "s", "status": "success"}]), vec![status("s", connected.clone())]),
        ("authenticated", json!([{"sessionId": "s"}]), vec![status("s", Some(Liveness::Connecting))]),
        ("disconnected", json!([{"sessionId": "s"}]), vec![status("s", disconnected.clone())]),
        ("session.status", json!([{"sessionId": "s", "status": "weird"}]), {
            vec![status("s", Some(Liveness::Other("weird".to_owned())))]
        }),
        ("session.status", json!([{"sessionId": "s"}]), vec![status("s", None)]),
        ("tick", json!([{"sessionId": "s", "state": "connected"}]), vec![status("s", connected.clone())]),
        ("sessions.status", json!([[{"id": "a", "connected": true}, {"id": "b", "connected": false}]]), {
            vec![status("a", connected.clone()), status("b", disconnected.clone())]
        }),
        ("session.status", json!([{"data": [{"id": "a", "connected": true}]}]), vec![status("a", connected)]),
    ]);
}

#[test]
fn codes_in_status_events() {
    let pending = || status("s", Some(Liveness::QrPending));
    check(vec![
        ("session.status", json!([{"sessionId": "s", "status": "qr_pending", "connected": false, "qr": RAW}]), {
            vec![pending(), raw("s")]
        }),
        ("connection.update", json!([{"session": "s", "qr": RAW}]), vec![status("s", None), raw("s")]),
        ("session.status", json!([{"sessionId": "s", "status": "qr_pending", "qrCode": data_url()}]), {
            vec![pending(), picture("s")]
        }),
        ("session.status", json!([{"sessionId": "s", "status": "qr_pending", "picture": data_url()}]), vec![pending()]),
        ("session.status", json!([{"sessionId": "s", "status": "qr_pending", "qr": null}]), vec![pending()]),
    ]);
}

#[test]
fn what_is_neither_is_dropped() {
    check(vec![
        ("message", json!([{"sessionId": "s", "body": RAW}]), vec![]),
        ("message.status", json!([{"sessionId": "s", "status": "connected"}]), vec![]),
        ("hello", json!([RAW]), vec![]),
        ("qr", json!(["garbage"]), vec![]),
        ("qr", json!([42, true]), vec![]),
        ("qr", json!([{"sessionId": "s", "qr": "2@a,b"}]), vec![]),
        ("qr", json!([{"sessionId": "s", "qr": format!("{RAW}{}", "x".repeat(1024))}]), vec![]),
        ("qr", json!([{"sessionId": "s", "qr": format!("{RAW}\n")}]), vec![]),
        ("session.status", json!([42]), vec![]),
        ("session.status", json!(["who knows"]), vec![]),
    ]);
}

#[test]
fn a_code_that_may_be_another_sessions_is_dropped() {
    check(vec![
        ("qr", json!([{"sessionId": "a", "data": {"sessionId": "b", "qr": RAW}}]), vec![]),
        ("qr", json!([{"sessionId": "a", "x": {"qr": RAW}, "y": {"qr": OTHER}}]), vec![]),
        ("qr", json!([[{"id": "a", "qr": RAW}, {"id": "b", "qr": OTHER}]]), {
            vec![raw("a"), qr("b", QrContent::Raw(OTHER.to_owned()), None)]
        }),
    ]);
}

#[test]
fn depth_and_size_are_bounded() {
    let mut deep = json!({"qr": RAW});
    for _ in 0..60 {
        deep = json!({"data": deep});
    }
    assert_eq!(said("qr", &json!([deep])), []);
    let wide: Vec<Value> = (0..10_000).map(|_| json!(1)).chain([json!(RAW)]).collect();
    assert_eq!(said("qr", &json!([wide])), []);
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        Just(json!(RAW)),
        Just(json!(LINK)),
        Just(json!(data_url())),
        "[0-9A-Z]{4}-?[0-9A-Z]{4}".prop_map(Value::from),
        "data:[a-z/;]{0,20}(base64)?,(iVBORw0KGgo)?.{0,20}".prop_map(Value::from),
        Just(json!({"_placeholder": true, "num": 0})),
    ];
    let key = prop_oneof![
        "(sessionId|session|id|qr|qrCode|qrcode|code|pairingCode|data|payload|status|connected|image|base64)",
        ".{0,12}",
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn never_panics(
        name in prop_oneof!["(qr|qrCode|session.status|pairing_code|ready|message|connection.update)", ".{0,40}"],
        args in proptest::collection::vec(values(), 0..4),
        attachment in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        for event in decode(&name, &args, &[attachment], &config()) {
            if let SocketEvent::Qr { qr: Qr { content: QrContent::Raw(raw), .. }, .. } = &event {
                prop_assert!(is_raw(raw));
            }
            let shown = format!("{event:?}");
            prop_assert!(!shown.contains("q1W2e3"));
        }
        let told = shape(&args);
        prop_assert!(!told.contains("q1W2e3") && !told.contains(&base64_png()));
        let _ = label(&name, 64);
    }

    #[test]
    fn nothing_is_a_code_but_a_code(text in "[a-zA-Z0-9@,#:/._-]{0,300}") {
        let said = decode("qr", &[json!({"sessionId": "s", "qr": text})], &[], &config());
        let shown = said.iter().any(|event| matches!(event, SocketEvent::Qr { .. }));
        prop_assert_eq!(shown, is_raw(&text));
    }
}
