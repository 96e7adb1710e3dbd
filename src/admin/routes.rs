//! The routes: one function each, and the table of them all.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::exposition::{self, Format};
use super::{Office, Outcome, door, page, standing, status};
use crate::limits::{ADMIN_ANSWER_TIMEOUT, ADMIN_SESSIONS_PER_PAGE_MAX, RELOAD_ANSWER_TIMEOUT};

type Shared = State<Arc<Office>>;

/// Every route: how it is asked, where, what it gives.
pub const ROUTES: &[(&str, &str, &str)] = &[
    ("GET", "/", "the live page, for a browser"),
    (
        "GET",
        "/healthz",
        "200 while every core answers, 503 with the cores that do not",
    ),
    (
        "GET",
        "/readyz",
        "200 while new sessions are taken, 503 otherwise",
    ),
    (
        "GET",
        "/metrics",
        "everything that is counted and timed, for Prometheus; `by=core` sets the cores apart",
    ),
    (
        "GET",
        "/status",
        "all counters and times, by core and in all, as JSON",
    ),
    (
        "GET",
        "/sessions",
        "the sessions that live, as JSON; `after` and `most` turn pages",
    ),
    (
        "GET",
        "/backends",
        "the members of every pool as each core sees them, as JSON",
    ),
    (
        "GET",
        "/config",
        "the configuration in force, as it was written, as JSON; keys are named by their paths",
    ),
    ("POST", "/sessions/{id}/kill", "ends a session with 421"),
    (
        "POST",
        "/reload",
        "reads the configuration again as SIGHUP does: 200 when it is in force, 422 with what is wrong, 202 when it takes more than a minute, 503 when eight wait already, 409 while stopping, 500 when nobody does that any more",
    ),
    (
        "POST",
        "/drain",
        "stops the process as SIGTERM does: no new sessions, transfers may end",
    ),
];

/// What answers requests.
pub(super) fn router(office: Arc<Office>) -> Router {
    let table = ROUTES.iter().fold(Router::new(), |router, (_, path, _)| {
        router.route(path, route(path))
    });
    let door = middleware::from_fn_with_state(Arc::clone(&office), door::pass);
    table.fallback(not_found).layer(door).with_state(office)
}

fn route(path: &str) -> MethodRouter<Arc<Office>> {
    match path {
        "/" => get(page::page),
        "/healthz" => get(healthz),
        "/readyz" => get(readyz),
        "/metrics" => get(metrics),
        "/status" => get(status_page),
        "/sessions" => get(sessions),
        "/backends" => get(backends),
        "/config" => get(config),
        "/sessions/{id}/kill" => post(kill),
        "/reload" => post(reload),
        "/drain" => post(drain),
        _ => MethodRouter::new(),
    }
}

async fn not_found() -> Response {
    let routes: Vec<String> = ROUTES
        .iter()
        .map(|(method, path, gives)| format!("{method} {path}  {gives}\n"))
        .collect();
    let text = format!(
        "There is no such route. Those there are:\n{}",
        routes.concat()
    );
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn healthz(State(office): Shared) -> Response {
    let view = office.collector.collect(ADMIN_ANSWER_TIMEOUT).await;
    let silent: Vec<usize> = (view.ledger.accounts().iter())
        .zip(&view.cores)
        .filter(|(_, core)| !core.answered)
        .map(|(account, _)| account.cpu)
        .collect();
    if silent.is_empty() {
        return "ok\n".into_response();
    }
    let text = format!("cores on CPUs {silent:?} do not answer\n");
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn readyz(State(office): Shared) -> Response {
    if office.collector.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    "ready\n".into_response()
}

#[derive(Deserialize)]
struct Grouping {
    by: Option<Group>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Group {
    Core,
}

async fn metrics(
    State(office): Shared,
    Query(grouping): Query<Grouping>,
    headers: HeaderMap,
) -> Response {
    let view = office.collector.collect(ADMIN_ANSWER_TIMEOUT).await;
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let format = Format::wanted(accept);
    let by_core = grouping.by == Some(Group::Core);
    match exposition::write(&office, &view, by_core, format) {
        Ok(written) => ([(header::CONTENT_TYPE, format.content_type())], written).into_response(),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be written\n",
        )
            .into_response(),
    }
}

async fn status_page(State(office): Shared) -> Response {
    let view = office.collector.collect(ADMIN_ANSWER_TIMEOUT).await;
    let (books, draining) = (office.standing.books(), office.collector.is_draining());
    Json(status::status(&office.about, draining, &books, &view)).into_response()
}

async fn backends(State(office): Shared) -> Response {
    let view = office.collector.collect(ADMIN_ANSWER_TIMEOUT).await;
    Json(status::backends(&view)).into_response()
}

/// When the configuration in force was read, in seconds since 1970: beside it, as it is told as it was written.
const READ: HeaderName = HeaderName::from_static("x-sluicegate-read");

async fn config(State(office): Shared) -> Response {
    let in_force = office.standing.in_force();
    let stamps = [
        (header::ETAG, format!("\"{}\"", in_force.sha256)),
        (READ, standing::seconds(in_force.read).to_string()),
    ];
    (stamps, Json(&in_force.written)).into_response()
}

#[derive(Deserialize)]
struct Page {
    after: Option<u64>,
    most: Option<usize>,
}

async fn sessions(State(office): Shared, Query(page): Query<Page>) -> Response {
    let most = page.most.unwrap_or(ADMIN_SESSIONS_PER_PAGE_MAX);
    let seen = office
        .collector
        .sessions(page.after, most, ADMIN_ANSWER_TIMEOUT)
        .await;
    Json(status::sessions(&seen)).into_response()
}

/// What every request that changes something must carry: a page of another site cannot make a browser send it.
const INTENT: &str = "x-sluicegate";

fn is_meant(headers: &HeaderMap) -> bool {
    headers.contains_key(INTENT)
}

fn not_meant() -> Response {
    let text = format!("say that it is meant: add a header, for example {INTENT}: yes\n");
    (StatusCode::FORBIDDEN, text).into_response()
}

#[derive(Serialize)]
struct Done {
    done: bool,
}

async fn kill(State(office): Shared, Path(id): Path<u64>, headers: HeaderMap) -> Response {
    if !is_meant(&headers) {
        return not_meant();
    }
    if office.collector.kill(id, ADMIN_ANSWER_TIMEOUT).await {
        tracing::warn!(session = id, "killed by the operator");
        return Json(Done { done: true }).into_response();
    }
    let text = "there is no session of this number\n";
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn reload(State(office): Shared, headers: HeaderMap) -> Response {
    if !is_meant(&headers) {
        return not_meant();
    }
    let (answer, answers) = async_channel::bounded(1);
    if !(office.about.reload)(Some(answer)) {
        let text = "too many wait for a reload already\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    let Ok(heard) = timeout(RELOAD_ANSWER_TIMEOUT, answers.recv()).await else {
        let text = "it is still under way: what comes of it will stand in /status\n";
        return (StatusCode::ACCEPTED, text).into_response();
    };
    let Ok(attempt) = heard else {
        if office.collector.is_draining() {
            return (StatusCode::CONFLICT, "stopping\n").into_response();
        }
        let text = "nobody reads the configuration again any more: restart the process\n";
        return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
    };
    let code = match attempt.outcome {
        Outcome::Loaded => StatusCode::OK,
        Outcome::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        Outcome::Stopping => StatusCode::CONFLICT,
    };
    (code, Json(&*attempt)).into_response()
}

async fn drain(State(office): Shared, headers: HeaderMap) -> Response {
    if !is_meant(&headers) {
        return not_meant();
    }
    office.collector.draining();
    (office.about.stop)();
    Json(Done { done: true }).into_response()
}
