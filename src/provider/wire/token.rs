//! Login data, and what an access token says about itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::dangerous::insecure_decode_claims;
use serde_json::{Map, Value};

use super::{TEXT, clean, scalar};
use crate::provider::{Token, Tokens};

/// A longer life is cut to this: it only tells when to renew, and must not overflow a clock.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// What an access token says about itself. Its signature is not checked: it is the provider's business whether the
/// token is good, and nothing is granted on its word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// From now until `exp`; at most a year; `None` when `exp` is absent or has passed.
    pub expires_in: Option<Duration>,
    /// The tenant it is for, at most 200 characters.
    pub tenant: Option<String>,
    /// The user it is for, at most 200 characters.
    pub user: Option<String>,
}

impl Claims {
    /// The tenant, or else the user.
    #[must_use]
    pub fn identity(self) -> Option<String> {
        self.tenant.or(self.user)
    }
}

/// Reads the claims of a JWT; none for a token that is no JWT. `now` is the wall time.
#[must_use]
pub fn claims(token: &Token, now: SystemTime) -> Claims {
    let Ok(claims) = insecure_decode_claims::<Map<String, Value>>(token.expose()) else { return Claims::default() };
    Claims {
        expires_in: claims.get("exp").and_then(Value::as_f64).and_then(|exp| until(exp, now)),
        tenant: tenant(&claims),
        user: user(&claims),
    }
}

/// `None` also for an `exp` that has passed: on a token just given it tells of a clock that is off, not of its life.
fn until(exp: f64, now: SystemTime) -> Option<Duration> {
    let exp = Duration::try_from_secs_f64(exp).ok()?;
    let now = now.duration_since(UNIX_EPOCH).ok()?;
    exp.checked_sub(now).filter(|left| !left.is_zero()).map(|left| left.min(LONGEST))
}

/// Reads `expiresIn`: seconds as a number or as its digits, or a text such as `7d` or `15m`. At most a year.
#[must_use]
pub fn life(value: &Value) -> Option<Duration> {
    let life = match value {
        Value::Number(seconds) => seconds_of(seconds.as_f64()?),
        Value::String(text) => match text.trim().parse() {
            Ok(seconds) => seconds_of(seconds),
            Err(_) => humantime::parse_duration(text.trim()).ok(),
        },
        _ => None,
    };
    life.filter(|life| !life.is_zero()).map(|life| life.min(LONGEST))
}

fn seconds_of(seconds: f64) -> Option<Duration> {
    // Below zero and NaN stay what they are, and are refused.
    Duration::try_from_secs_f64(seconds.clamp(-1.0, LONGEST.as_secs_f64())).ok()
}

pub(super) fn tokens(data: &Map<String, Value>, now: SystemTime) -> Option<Tokens> {
    let token = |member: &str| data.get(member).and_then(Value::as_str).filter(|text| sendable(text)).map(Token::new);
    let access = token("accessToken")?;
    let said = claims(&access, now);
    let person = data.get("user").and_then(Value::as_object);
    Some(Tokens {
        refresh: token("refreshToken"),
        expires_in: said.expires_in.or_else(|| data.get("expiresIn").and_then(life)),
        identity: person
            .and_then(tenant)
            .or_else(|| tenant(data))
            .or(said.tenant)
            .or_else(|| person.and_then(user))
            .or(said.user),
        access,
    })
}

/// A token goes into a header as it stands, so it is visible ASCII.
fn sendable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn tenant(members: &Map<String, Value>) -> Option<String> {
    first(members, &["tenantId", "tenant_id", "tenant", "organizationId"])
}

fn user(members: &Map<String, Value>) -> Option<String> {
    first(members, &["sub", "userId", "user_id", "id"])
}

/// The first member that holds an id, as it stands or as an object's `id`.
fn first(members: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| {
        let value = members.get(*name)?;
        scalar(value.get("id").unwrap_or(value)).map(|id| clean(&id, TEXT)).filter(|id| !id.is_empty())
    })
}
