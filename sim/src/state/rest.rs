//! The calls of the API: what each does and how it answers.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::answers::{Answer, Refusal, data};
use super::faults::{RetryAfter, Route};
use super::options::OversizedPage;
use super::session::{Session, Status};
use super::tenant::{PendingConnect, RefreshTokens, Tenant};
use super::tokens::{self, Proof};
use super::{Plan, Request, State};

type Outcome = Result<Answer, Refusal>;

const DEFAULT_PAGE_LIMIT: u64 = 20;

fn body(request: &Request) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(Refusal::validation("body", "A JSON object is required")),
    }
}

fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}

fn in_list(session: &Session) -> Value {
    json!({
        "id": session.id,
        "name": session.name,
        "status": session.status.as_str(),
        "phoneNumber": session.phone_number,
        "connected": session.is_connected(),
    })
}

impl State {
    /// Whose credentials a call bears, valid or not.
    pub(super) fn owner(&self, request: &Request, route: Route) -> Option<String> {
        let by = |wanted: &dyn Fn(&Tenant) -> bool| {
            self.tenants.values().find(|tenant| wanted(tenant)).map(|tenant| tenant.name.clone())
        };
        match route {
            Route::External => {
                let key = request.api_key.as_deref()?;
                by(&|tenant| tenant.settings.api_key == key)
            }
            Route::Login => {
                let members = body(request).ok()?;
                let email = member(&members, "email")?;
                by(&|tenant| tenant.settings.email == email)
            }
            Route::Refresh => {
                let members = body(request).ok()?;
                self.tokens.refresh_owner(member(&members, "refreshToken")?).map(str::to_owned)
            }
            _ => match self.check_token(request.bearer.as_deref()?) {
                Proof::Valid(name) | Proof::Expired(name) => Some(name),
                Proof::Unknown => None,
            },
        }
    }

    /// Does what the call asks for.
    pub(super) fn apply(&mut self, request: &Request, plan: &Plan) -> Answer {
        self.dispatch(request, plan).unwrap_or_else(|refusal| refusal.render(self.api.error_codes, self.wall_clock()))
    }

    fn dispatch(&mut self, request: &Request, plan: &Plan) -> Outcome {
        match plan.route {
            Route::Login | Route::Refresh => {
                let granted = if plan.route == Route::Login { self.login(request) } else { self.refresh(request) }?;
                self.granted(plan);
                return Ok(granted);
            }
            Route::Unknown | Route::Socket => return Err(Refusal::not_found()),
            _ => {}
        }
        let tenant = self.authenticate(request, plan)?;
        let id = plan.session.as_deref().unwrap_or_default();
        match plan.route {
            Route::Usage => return self.usage(&tenant),
            Route::Subscription => return self.subscription(&tenant),
            _ => self.meter(&tenant, plan.route)?,
        }
        match plan.route {
            Route::List => self.list(&tenant, request),
            Route::Create => self.create(&tenant, request, plan),
            Route::Connect => self.connect(&tenant, id),
            Route::Status => self.status(&tenant, id),
            Route::Disconnect => self.disconnect(&tenant, id),
            _ => self.external(&tenant),
        }
    }

    fn authenticate(&self, request: &Request, plan: &Plan) -> Result<String, Refusal> {
        if plan.route == Route::External {
            return self.owner(request, plan.route).ok_or_else(|| Refusal::unauthorized("Missing or invalid API key"));
        }
        match request.bearer.as_deref().map_or(Proof::Unknown, |token| self.check_token(token)) {
            Proof::Valid(name) => Ok(name),
            Proof::Expired(_) => Err(Refusal::unauthorized("Token expired")),
            Proof::Unknown => Err(Refusal::unauthorized("Missing or invalid token")),
        }
    }

    /// Everything that can refuse a metered call before it is looked at: rate, subscription, permission, quota.
    fn meter(&mut self, tenant: &str, route: Route) -> Result<(), Refusal> {
        let now = self.now.as_secs();
        let tenant = self.tenants.get_mut(tenant).ok_or_else(Refusal::not_found)?;
        if tenant.minute != now / 60 {
            tenant.minute = now / 60;
            tenant.requests_this_minute = 0;
        }
        if tenant.settings.rate_per_minute.is_some_and(|rate| tenant.requests_this_minute >= rate) {
            let mut refusal = Refusal::of_status(429, None);
            refusal.retry_after = Some(RetryAfter::Seconds(60 - now % 60));
            return Err(refusal);
        }
        tenant.requests_this_minute += 1;
        if !tenant.settings.is_entitled() {
            return Err(Refusal::of_status(403, Some("SUBSCRIPTION_INACTIVE")));
        }
        if tenant.settings.read_only && matches!(route, Route::Create | Route::Connect | Route::Disconnect) {
            return Err(Refusal::of_status(403, Some("FORBIDDEN")));
        }
        if tenant.requests_used >= tenant.settings.request_limit {
            return Err(Refusal::limit_exceeded("API request limit reached for your plan"));
        }
        tenant.requests_used += 1;
        Ok(())
    }

    fn login(&mut self, request: &Request) -> Outcome {
        let members = body(request)?;
        let email = member(&members, "email").ok_or_else(|| Refusal::validation("email", "Email is required"))?;
        let password =
            member(&members, "password").ok_or_else(|| Refusal::validation("password", "Password is required"))?;
        let tenant = self
            .tenants
            .values()
            .find(|tenant| tenant.settings.email == email && tenant.settings.password == password)
            .map(|tenant| tenant.name.clone())
            .ok_or_else(|| Refusal::unauthorized("Invalid email or password"))?;
        self.grant(&tenant, true)
    }

    fn refresh(&mut self, request: &Request) -> Outcome {
        let members = body(request)?;
        let token = member(&members, "refreshToken")
            .ok_or_else(|| Refusal::validation("refreshToken", "Refresh token is required"))?;
        let tenant = self
            .tokens
            .refresh_owner(token)
            .map(str::to_owned)
            .ok_or_else(|| Refusal::unauthorized("Invalid refresh token"))?;
        let rotate = self.tenants.get(&tenant).map(|tenant| tenant.settings.refresh_tokens);
        if rotate == Some(RefreshTokens::Rotate) {
            self.tokens.revoke_refresh(token);
        }
        self.grant(&tenant, rotate == Some(RefreshTokens::Rotate))
    }

    fn grant(&mut self, name: &str, with_refresh: bool) -> Outcome {
        let tenant = self.tenants.get(name).ok_or_else(|| Refusal::unauthorized("Invalid credentials"))?;
        let access = self.tokens.mint_access(&mut self.rng, tenant, self.now, self.epoch.as_secs());
        let mut members = json!({
            "accessToken": access,
            "expiresIn": tokens::expires_in(tenant.settings.token_lifetime),
            "user": {"id": tenant.user_id, "email": tenant.settings.email, "tenantId": tenant.id},
        });
        if with_refresh && tenant.settings.refresh_tokens != RefreshTokens::None {
            let refresh = self.tokens.mint_refresh(&mut self.rng, name);
            if let Some(members) = members.as_object_mut() {
                members.insert("refreshToken".to_owned(), json!(refresh));
            }
        }
        Ok(data(200, &members))
    }

    fn known(&self, tenant: &str) -> Result<&Tenant, Refusal> {
        self.tenants.get(tenant).ok_or_else(Refusal::not_found)
    }

    fn known_session(&self, tenant: &str, id: &str) -> Result<&Session, Refusal> {
        self.known(tenant)?.session(id).ok_or_else(Refusal::not_found)
    }

    fn list(&self, tenant: &str, request: &Request) -> Outcome {
        let number = |name: &'static str, default: u64| match request.query_value(name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(value) if value > 0 => Ok(value),
                _ => Err(Refusal::validation(name, "Must be a positive integer")),
            },
        };
        let page = number("page", 1)?;
        let max = self.api.max_page_limit.max(1);
        let mut limit = number("limit", DEFAULT_PAGE_LIMIT.min(max))?;
        if limit > max {
            match self.api.oversized_page {
                OversizedPage::Reject => {
                    return Err(Refusal::validation("limit", &format!("Must be at most {max}")));
                }
                OversizedPage::Clamp => limit = max,
            }
        }
        let sessions = &self.known(tenant)?.sessions;
        let first = usize::try_from((page - 1).saturating_mul(limit)).unwrap_or(usize::MAX);
        let rows: Vec<Value> =
            sessions.iter().skip(first).take(usize::try_from(limit).unwrap_or(usize::MAX)).map(in_list).collect();
        let total = sessions.len() as u64;
        Ok(Answer::json(
            200,
            &json!({
                "success": true,
                "data": rows,
                "pagination": {"page": page, "limit": limit, "total": total, "totalPages": total.div_ceil(limit)},
            }),
        ))
    }

    fn create(&mut self, tenant: &str, request: &Request, plan: &Plan) -> Outcome {
        let members = body(request)?;
        let name = member(&members, "name").map(str::trim).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Refusal::validation("name", "Name is required"))?;
        let longest = self.api.max_name_length;
        if name.chars().count() > longest {
            return Err(Refusal::validation("name", &format!("Name must be at most {longest} characters")));
        }
        let known = self.known(tenant)?;
        if known.settings.reject_duplicate_names && known.sessions.iter().any(|session| session.name == name) {
            return Err(Refusal::conflict("A session with this name already exists"));
        }
        if known.sessions.len() as u64 >= known.settings.session_limit {
            return Err(Refusal::limit_exceeded("Session limit reached for your plan"));
        }
        let id = self.add_session(tenant, name).ok_or_else(Refusal::not_found)?;
        self.attribute(plan, &id);
        Ok(data(201, &json!({"id": id, "name": name, "status": "disconnected", "phoneNumber": null})))
    }

    fn connect(&mut self, tenant: &str, id: &str) -> Outcome {
        let pending = self.known(tenant)?.settings.pending_connect;
        match self.known_session(tenant, id)?.status {
            Status::Connected => return Err(Refusal::conflict("Session is already connected")),
            Status::Connecting => return Err(Refusal::conflict("Session is already connecting")),
            Status::QrPending => match pending {
                PendingConnect::Conflict => return Err(Refusal::conflict("Session is already waiting for a scan")),
                PendingConnect::Repeat => self.tell_code(tenant, id),
                PendingConnect::Restart => self.begin_connect(tenant, id),
            },
            _ => self.begin_connect(tenant, id),
        }
        // The provider promises a code even to a session that reconnects without one.
        Ok(data(200, &json!({"status": "qr_pending", "message": "Scan QR code in dashboard"})))
    }

    fn status(&self, tenant: &str, id: &str) -> Outcome {
        let session = self.known_session(tenant, id)?;
        Ok(data(
            200,
            &json!({
                "id": session.id,
                "status": session.status.as_str(),
                "phoneNumber": session.phone_number,
                "connected": session.is_connected(),
            }),
        ))
    }

    fn disconnect(&mut self, tenant: &str, id: &str) -> Outcome {
        let idempotent = self.known(tenant)?.settings.idempotent_disconnect;
        let session = self.known_session(tenant, id)?;
        // A session in its forced restart is on the way back and has to be stopped as well.
        let is_idle = !matches!(session.status, Status::Connected | Status::Connecting | Status::QrPending)
            && session.alarm.is_none();
        if !is_idle {
            self.settle(tenant, id, Status::Disconnected);
        } else if !idempotent {
            return Err(Refusal::conflict("Session is not connected"));
        }
        Ok(Answer::json(200, &json!({"success": true, "message": "Session disconnected"})))
    }

    fn external(&self, tenant: &str) -> Outcome {
        let rows: Vec<Value> = self
            .known(tenant)?
            .sessions
            .iter()
            .map(|session| json!({"id": session.id, "status": session.status.as_str()}))
            .collect();
        Ok(data(200, &Value::Array(rows)))
    }

    fn usage(&self, tenant: &str) -> Outcome {
        let tenant = self.known(tenant)?;
        Ok(data(
            200,
            &json!({
                "sessions": {"used": tenant.sessions.len(), "limit": tenant.settings.session_limit},
                "apiRequests": {"used": tenant.requests_used, "limit": tenant.settings.request_limit},
            }),
        ))
    }

    fn subscription(&self, tenant: &str) -> Outcome {
        let period_end = UNIX_EPOCH + self.epoch + Duration::from_hours(30 * 24);
        Ok(data(
            200,
            &json!({
                "status": self.known(tenant)?.settings.subscription,
                "plan": {"slug": "starter", "name": "Starter"},
                "currentPeriodEnd": humantime::format_rfc3339_millis(period_end).to_string(),
            }),
        ))
    }
}
