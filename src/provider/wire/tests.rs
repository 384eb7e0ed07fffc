use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::provider::Token;

const NOW: u64 = 1_700_000_000;
const SECRET: &str = "the-credential";

fn answer(status: u16, body: &[u8]) -> Answer<'_> {
    Answer { status, retry_after: None, now: UNIX_EPOCH + Duration::from_secs(NOW), secret: SECRET, body }
}

/// The class of a refusal, and what it says.
fn refused(status: u16, body: &Value) -> Error {
    parse_page(&answer(status, body.to_string().as_bytes())).unwrap_err()
}

fn jwt(claims: &Value) -> Token {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    Token::new(format!("{}.{}.c2ln", part(&json!({"alg": "HS256", "typ": "JWT"})), part(claims)))
}

fn one(value: &Value) -> RemoteSession {
    let body = json!({"success": true, "data": value}).to_string();
    parse_created(&answer(201, body.as_bytes())).unwrap()
}

#[test]
fn every_code_of_the_page_has_its_class() {
    let rows = [
        (400, "VALIDATION_ERROR", Class::Validation),
        (401, "UNAUTHORIZED", Class::Unauthorized),
        (403, "FORBIDDEN", Class::Forbidden),
        (403, "SUBSCRIPTION_INACTIVE", Class::SubscriptionInactive),
        (403, "LIMIT_EXCEEDED", Class::SessionLimit),
        (404, "NOT_FOUND", Class::NotFound),
        (409, "CONFLICT", Class::Conflict),
        (429, "RATE_LIMITED", Class::RateLimited),
        (500, "INTERNAL_ERROR", Class::Internal),
        (502, "WHATSAPP_UNAVAILABLE", Class::Unavailable),
    ];
    for (status, code, class) in rows {
        let bodies = [
            json!({"success": false, "message": "no", "code": code}),
            json!({"success": false, "message": "no", "error": code}),
            json!({"success": false, "message": "no", "errorCode": code}),
            json!({"success": false, "message": "no", "errorCode": code.to_lowercase()}),
            json!({"success": false, "error": {"code": code, "message": "no"}}),
        ];
        for body in bodies {
            let error = refused(status, &body);
            assert_eq!((error.class, error.status, error.message.as_str()), (class, Some(status), "no"), "{body}");
        }
    }
}

#[test]
fn the_status_comes_before_the_code() {
    for (status, class) in [
        (400, Class::Validation),
        (401, Class::Unauthorized),
        (403, Class::Forbidden),
        (404, Class::NotFound),
        (408, Class::Upstream),
        (409, Class::Conflict),
        (429, Class::RateLimited),
        (500, Class::Internal),
        (501, Class::Upstream),
        (502, Class::Unavailable),
        (503, Class::Upstream),
        (504, Class::Upstream),
        (599, Class::Upstream),
    ] {
        assert_eq!(refused(status, &json!({"code": "NOT_FOUND", "message": ""})).class, class, "{status}");
    }
    for status in [100, 301, 302, 307, 402, 418, 422] {
        assert_eq!(refused(status, &json!({})).class, Class::Unexpected, "{status}");
    }
    assert_eq!(refused(422, &json!({"code": "VALIDATION_ERROR"})).class, Class::Validation);
    assert_eq!(refused(402, &json!({"code": "SUBSCRIPTION_INACTIVE"})).class, Class::SubscriptionInactive);
}

#[test]
fn a_403_without_a_code_is_told_by_its_words() {
    for (message, class) in [
        ("Subscription inactive", Class::SubscriptionInactive),
        ("Your trial has expired", Class::SubscriptionInactive),
        ("Your plan has expired", Class::SubscriptionInactive),
        ("No active subscription", Class::SubscriptionInactive),
        ("Account is not active", Class::SubscriptionInactive),
        ("Plan limit reached", Class::SessionLimit),
        ("Session limit of your subscription reached, request an upgrade", Class::SessionLimit),
        ("Quota exceeded", Class::SessionLimit),
        ("Not included in your plan", Class::SessionLimit),
        ("API request limit reached for your plan", Class::RequestLimit),
        ("Monthly limit of requests exceeded", Class::RequestLimit),
        ("API calls quota exceeded", Class::RequestLimit),
        ("Token expired", Class::Forbidden),
        ("Your session is inactive", Class::Forbidden),
        ("Permission denied", Class::Forbidden),
        ("", Class::Forbidden),
    ] {
        assert_eq!(refused(403, &json!({"success": false, "message": message})).class, class, "{message}");
        let framework = json!({"statusCode": 403, "error": "Forbidden", "message": message});
        assert_eq!(refused(403, &framework).class, class, "{message}");
    }
    for (code, class) in [
        ("SESSION_LIMIT_REACHED", Class::SessionLimit),
        ("api-request-limit", Class::RequestLimit),
        ("TRIAL_EXPIRED", Class::SubscriptionInactive),
        ("NOPE", Class::Forbidden),
    ] {
        assert_eq!(refused(403, &json!({"code": code})).class, class, "{code}");
    }
    let limit = json!({"code": "LIMIT_EXCEEDED", "message": "API requests used up"});
    assert_eq!(refused(403, &limit).class, Class::RequestLimit);
}

#[test]
fn an_error_keeps_short_clean_texts_and_no_credential() {
    let long = "é".repeat(500);
    let mut errors: Map<String, Value> = (0..30).map(|n| (format!("f{n}"), json!(["a\u{7}", "b"]))).collect();
    errors.insert(SECRET.to_owned(), json!({"message": format!("saw {SECRET}")}));
    let padded = format!("{}{SECRET}\n\u{202e}x", "y ".repeat(98));
    for message in [&long, &padded] {
        let error = refused(400, &json!({"success": false, "message": message, "errors": errors}));
        assert_eq!(error.message.chars().count(), 200);
        assert_eq!(error.fields.len(), 10);
        let shown = format!("{error:?} {error}");
        assert!(!shown.contains("the-cred") && !shown.contains("\\u"), "{shown}");
        assert!(error.fields.values().all(|text| text == "a; b" || text == "saw (redacted)"), "{shown}");
    }
    let list = json!({"errors": [{"path": "name", "msg": "short"}, "odd"], "message": ["one", "two"]});
    let error = refused(400, &list);
    assert_eq!(error.message, "one; two");
    assert_eq!(
        error.fields.into_iter().collect::<Vec<_>>(),
        [("1".to_owned(), "odd".to_owned()), ("name".to_owned(), "short".to_owned())]
    );
}

#[test]
fn an_error_keeps_no_credential_that_was_not_sent_with_the_call_either() {
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl";
    let code = format!("2@{0},{0},{0}", "a/b+".repeat(11));
    for (said, kept) in [
        (format!("token={token} is old"), "(redacted) is old"),
        (format!("scan {code}\nor {code}"), "scan (redacted)or (redacted)"),
        (
            "no session 1b4e28ba-2fa1-41d2-883f-0016d3cca427".to_owned(),
            "no session 1b4e28ba-2fa1-41d2-883f-0016d3cca427",
        ),
        ("é".repeat(60), &*"é".repeat(60)),
    ] {
        assert_eq!(refused(400, &json!({"message": said})).message, kept);
    }
}

#[test]
fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    let date = |offset: i64| {
        let at = NOW.checked_add_signed(offset).unwrap();
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at))
    };
    for (header, seconds) in [
        ("0", Some(0)),
        ("17", Some(17)),
        (" 17 ", Some(17)),
        ("-5", Some(0)),
        ("86400", Some(3600)),
        ("99999999999999999999999999", Some(3600)),
        (&date(90), Some(90)),
        (&date(-90), Some(0)),
        (&date(86400), Some(3600)),
        ("soon", None),
        ("", None),
        ("NaN", None),
    ] {
        assert_eq!(retry_after(header, now).map(|wait| wait.as_secs()), seconds, "{header}");
        let answer = Answer { retry_after: Some(header), ..answer(429, b"<html>") };
        assert_eq!(parse_page(&answer).unwrap_err().retry_after, retry_after(header, now));
    }
}

#[test]
fn status_words_do_not_depend_on_case_or_separators() {
    let rows: [(Liveness, &[&str]); 8] = [
        (Liveness::Connected, &["connected", "CONNECTED", " Connected ", "open"]),
        (Liveness::Disconnected, &["disconnected", "closed", "close", "offline", "inactive", "Not Connected"]),
        (
            Liveness::QrPending,
            &["qr_pending", "QR", "scan-qr", "qrPending", "awaiting scan", "pairing", "SCAN_QR_CODE"],
        ),
        (Liveness::Connecting, &["connecting", "initializing", "starting", "opening", "syncing", "authenticated"]),
        (Liveness::LoggedOut, &["logged_out", "LOGGED-OUT", "loggedOut", "unpaired", "logout"]),
        (Liveness::Banned, &["banned", "BLOCKED"]),
        (Liveness::Replaced, &["replaced", "conflict"]),
        (Liveness::Failed, &["failed", "error", "timeout", "timed_out"]),
    ];
    for (meant, words) in rows {
        for word in words {
            assert_eq!(liveness(Some(word), None), meant, "{word}");
            assert_eq!(liveness(Some(word), Some(true)), Liveness::Connected, "{word}");
            let offline = if meant == Liveness::Connected { Liveness::Disconnected } else { meant.clone() };
            assert_eq!(liveness(Some(word), Some(false)), offline, "{word}");
        }
    }
    assert_eq!(liveness(Some("Hibernating\n"), None), Liveness::Other("Hibernating".to_owned()));
    assert_eq!(liveness(Some("hibernating"), Some(false)), Liveness::Other("hibernating".to_owned()));
    assert_eq!(liveness(Some(&"x".repeat(9000)), None), Liveness::Other("x".repeat(64)));
    assert_eq!(liveness(None, Some(false)), Liveness::Disconnected);
    assert_eq!(liveness(None, None), Liveness::Other(String::new()));
}

#[test]
fn sessions_are_read_tolerantly() {
    let session = one(&json!({
        "id": "a-1", "name": " Cafe\u{301} ", "status": "connected", "connected": false, "phoneNumber": "919876543210",
        "new": {"deep": [1]}
    }));
    assert_eq!((session.id.as_str(), session.name.as_str()), ("a-1", "Café"));
    assert_eq!(session.liveness, Liveness::Disconnected);
    assert_eq!(session.phone, Phone::parse("919876543210"));
    let session = one(&json!({"id": 42, "phoneNumber": 919_876_543_210_u64, "status": 7, "name": null}));
    assert_eq!((session.id.as_str(), session.name.as_str()), ("42", ""));
    assert_eq!(session.phone, Phone::parse("919876543210"));
    assert_eq!(session.liveness, Liveness::Other(String::new()));
    let session = one(&json!({"id": "x", "phoneNumber": "919876543210:12@s.whatsapp.net"}));
    assert_eq!(session.phone, Phone::parse("919876543210"));
    assert_eq!(one(&json!({"id": "x", "phoneNumber": null})).phone, None);
}

#[test]
fn a_page_counts_what_it_cannot_read() {
    let body = json!({
        "success": true, "later": 1, "pagination": {"limit": "20", "total": 7, "totalPages": null},
        "data": [{"id": "a"}, {"id": "../b"}, {"name": "c"}, null, 5, {"id": -1}, {"id": "d", "status": "odd"}]
    });
    let page = parse_page(&answer(200, body.to_string().as_bytes())).unwrap();
    assert_eq!((page.sessions.len(), page.unreadable, page.limit, page.total), (2, 5, Some(20), Some(7)));
    for pagination in [json!(null), json!([]), json!("x"), json!({}), json!({"total": -1, "limit": 1e99})] {
        let body = json!({"success": true, "data": [], "pagination": pagination});
        let page = parse_page(&answer(200, body.to_string().as_bytes())).unwrap();
        assert_eq!((page.limit, page.total), (None, None), "{body}");
    }
}

#[test]
fn a_success_that_does_not_say_what_it_must_is_garbled() {
    let deep = vec![b'['; 100_000];
    let bodies: [&[u8]; 18] = [
        b"",
        b" ",
        b"null",
        b"true",
        b"7",
        b"\"x\"",
        b"{}",
        b"<html>",
        b"{\"success\":true",
        b"{\"success\":false,\"data\":[]}",
        b"{\"success\":\"true\",\"data\":[]}",
        b"{\"success\":true}",
        b"{\"success\":true,\"data\":null}",
        b"{\"success\":true,\"data\":7}",
        b"{\"success\":true,\"data\":[{}]} trailing",
        b"\xff\xfe\x00",
        &deep,
        b"{\"success\":true,\"data\":{\"id\":\"a b\",\"accessToken\":\"two words\"}}",
    ];
    let asked = "a".parse().unwrap();
    for body in bodies {
        let answer = answer(200, body);
        let classes = [
            parse_page(&answer).map(drop),
            parse_created(&answer).map(drop),
            parse_status(&answer, &asked).map(drop),
            parse_external(&answer).map(drop),
            parse_tokens(&answer).map(drop),
            parse_subscription(&answer).map(drop),
        ];
        for class in classes {
            assert_eq!(class.unwrap_err().class, Class::Garbled, "{}", String::from_utf8_lossy(body));
        }
    }
    let error = parse_done(&answer(200, br#"{"success":false,"message":"not yet","code":"CONFLICT"}"#)).unwrap_err();
    assert_eq!((error.class, error.message.as_str()), (Class::Garbled, "not yet"));
    assert_eq!(parse_done(&answer(200, b"")).unwrap_err().class, Class::Garbled);
    assert_eq!(parse_done(&answer(204, b"")), Ok(()));
    let other = br#"{"success":true,"data":{"id":"b","status":"connected"}}"#;
    assert_eq!(parse_status(&answer(200, other), &asked).unwrap_err().class, Class::Garbled);
}

#[test]
fn the_external_list_comes_in_two_forms_and_hides_nothing() {
    let entries = r#"[{"id":"a","status":"connected"},{"id":"b","status":"qr_pending"}]"#;
    for body in [entries.to_owned(), format!(r#"{{"success":true,"data":{entries}}}"#)] {
        let sessions = parse_external(&answer(200, body.as_bytes())).unwrap();
        assert_eq!(
            sessions.iter().map(|s| s.liveness.clone()).collect::<Vec<_>>(),
            [Liveness::Connected, Liveness::QrPending]
        );
    }
    assert_eq!(parse_external(&answer(200, br#"[{"id":"a"},{}]"#)).unwrap_err().class, Class::Garbled);
}

#[test]
fn expires_in_has_many_forms() {
    for (value, seconds) in [
        (json!("7d"), Some(604_800)),
        (json!("15m"), Some(900)),
        (json!("1h 30m"), Some(5400)),
        (json!("7 days"), Some(604_800)),
        (json!(3600), Some(3600)),
        (json!(3600.9), Some(3600)),
        (json!("3600"), Some(3600)),
        (json!(" 3600 "), Some(3600)),
        (json!("99999999999999999d"), None),
        (json!("9000y"), Some(31_536_000)),
        (json!(1e300), Some(31_536_000)),
        (json!(u64::MAX), Some(31_536_000)),
        (json!(0), None),
        (json!(-5), None),
        (json!("-5"), None),
        (json!("soon"), None),
        (json!("nan"), None),
        (json!(""), None),
        (json!(null), None),
        (json!([7]), None),
    ] {
        assert_eq!(life(&value).map(|life| life.as_secs()), seconds, "{value}");
    }
}

#[test]
fn a_login_takes_the_tokens_own_end_and_the_tenant_first() {
    let read = |data: Value| {
        parse_tokens(&answer(200, json!({"success": true, "data": data}).to_string().as_bytes())).unwrap()
    };
    let access = jwt(&json!({"exp": NOW + 600, "sub": "u-claim", "tenantId": "t-claim"}));
    let tokens =
        read(json!({"accessToken": access.expose(), "refreshToken": "r", "expiresIn": "7d", "user": {"id": 9}}));
    assert_eq!((&tokens.access, tokens.refresh), (&access, Some(Token::new("r"))));
    assert_eq!(tokens.expires_in, Some(Duration::from_mins(10)));
    assert_eq!(tokens.identity.as_deref(), Some("t-claim"));

    let opaque = |user: Value| read(json!({"accessToken": "opaque", "expiresIn": 60, "user": user}));
    assert_eq!(opaque(json!({"id": 9, "tenantId": "t"})).identity.as_deref(), Some("t"));
    assert_eq!(opaque(json!({"id": 9, "tenant": {"id": "t2"}})).identity.as_deref(), Some("t2"));
    let tokens = opaque(json!({"id": 9}));
    assert_eq!((tokens.identity.as_deref(), tokens.expires_in), (Some("9"), Some(Duration::from_mins(1))));
    assert_eq!((tokens.refresh, opaque(json!(null)).identity), (None, None));

    let passed = jwt(&json!({"exp": NOW - 1, "userId": 5}));
    let tokens = read(json!({"accessToken": passed.expose(), "expiresIn": "15m", "refreshToken": ""}));
    assert_eq!((tokens.expires_in, tokens.refresh), (Some(Duration::from_mins(15)), None));
    assert_eq!(tokens.identity.as_deref(), Some("5"));
}

#[test]
fn odd_claims_are_no_claims() {
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    let odd =
        [json!({"exp": "soon", "sub": []}), json!({"exp": -1e300}), json!({"exp": null, "sub": "\n"}), json!([1])];
    for token in odd.iter().map(jwt).chain(["", ".", "..", "a.b.c", "é.é.é"].map(Token::new)) {
        assert_eq!(claims(&token, now), Claims::default(), "{}", token.expose());
    }
    assert_eq!(claims(&jwt(&json!({"exp": 1e300})), now).expires_in, None);
    assert_eq!(claims(&jwt(&json!({"tenant_id": 5, "sub": "u"})), now).identity().as_deref(), Some("5"));
}

#[test]
fn billing_is_read_tolerantly() {
    let usage =
        |data: Value| parse_usage(&answer(200, json!({"success": true, "data": data}).to_string().as_bytes())).unwrap();
    let full = usage(json!({"sessions": {"used": 2, "limit": 5}, "apiRequests": {"used": "10", "limit": 100_000}}));
    assert_eq!(full, Usage { sessions: Some((2, 5)), requests: Some((10, 100_000)) });
    assert_eq!(usage(json!({"sessions": {"used": 2, "limit": null}, "apiRequests": 7})), Usage::default());
    for (plan, name) in [
        (json!({"slug": "pro", "name": "Pro"}), Some("Pro")),
        (json!({"slug": "pro"}), Some("pro")),
        (json!("pro"), Some("pro")),
        (json!(null), None),
    ] {
        let body = json!({"success": true, "data": {"status": "past_due", "plan": plan, "currentPeriodEnd": "2030-01-01T00:00:00Z"}});
        let subscription = parse_subscription(&answer(200, body.to_string().as_bytes())).unwrap();
        assert_eq!((subscription.status.as_str(), subscription.plan.as_deref()), ("past_due", name));
        assert_eq!(subscription.period_end.as_deref(), Some("2030-01-01T00:00:00Z"));
    }
}

/// JSON of the shapes the parsers look into, with anything as a leaf.
#[test]
fn what_ends_in_a_status_is_short_and_printable() {
    let hostile = format!("\u{1b}[2J\u{202e}a\n{}", "b".repeat(9000));
    let body = json!({"success": true, "data": {
        "accessToken": "t", "user": {"tenantId": hostile},
        "status": hostile, "plan": {"name": hostile}, "currentPeriodEnd": hostile,
    }});
    let body = body.to_string();
    let answer = answer(200, body.as_bytes());
    let said = parse_subscription(&answer).unwrap();
    for text in [parse_tokens(&answer).unwrap().identity, Some(said.status), said.plan, said.period_end] {
        assert_eq!(text, Some(format!("[2Ja{}", "b".repeat(196))));
    }
}

fn shaped() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "success",
        "data",
        "message",
        "errors",
        "code",
        "error",
        "pagination",
        "limit",
        "total",
        "id",
        "name",
        "status",
        "connected",
        "phoneNumber",
        "accessToken",
        "expiresIn",
        "user",
        "tenant",
        "sessions",
        "used",
        "plan",
    ]);
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn read_everything(status: u16, header: &str, body: &[u8]) {
    let answer = Answer { retry_after: Some(header), secret: "", ..answer(status, body) };
    let asked = "a".parse().unwrap();
    let errors = [
        parse_tokens(&answer).err(),
        parse_page(&answer).err(),
        parse_created(&answer).err(),
        parse_status(&answer, &asked).err(),
        parse_done(&answer).err(),
        parse_external(&answer).err(),
        parse_usage(&answer).err(),
        parse_subscription(&answer).err(),
    ];
    for error in errors.into_iter().flatten() {
        assert_eq!(error.status, Some(status));
        assert!(error.message.chars().count() <= 200 && error.fields.len() <= 10);
        assert!(error.retry_after.is_none_or(|wait| wait <= Duration::from_hours(1)));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(status: u16, header: String, body: Vec<u8>) {
        read_everything(status, &header, &body);
    }

    #[test]
    fn no_json_makes_a_parser_panic(status in prop_oneof![Just(200_u16), 100..600_u16], body in shaped()) {
        read_everything(status, "x", body.to_string().as_bytes());
    }

    #[test]
    fn no_text_makes_a_word_reader_panic(text: String, connected: Option<bool>, exp: f64) {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let _ = (liveness(Some(&text), connected), retry_after(&text, now), life(&json!(text)), life(&json!(exp)));
        let _ = (claims(&Token::new(text.clone()), now), claims(&jwt(&json!({"exp": exp, "sub": text})), now));
    }
}
