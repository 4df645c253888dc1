//! Shares of an instance: how many requests, large bodies and streams of one organization are in progress at a
//! time. What comes beyond waits in turn with other organizations, and not for long.

use std::time::Duration;

use actix_web::{
    HttpMessage, HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};
use brownie_bulkhead::{Bulkhead, Division, Permit};
use brownie_config::ServiceSettings;
use brownie_domain::OrganizationId;
use brownie_persistence::Principal;
use tokio::time::timeout;

use crate::{Code, Deps, Problem, access};

/// How many requests of one organization each worker may have in progress, unless the settings say. Measured
/// (docs/performance.md, "Neighbours"): more make others wait longer, and are hardly answered faster.
const REQUESTS_PER_WORKER: usize = 2;
/// How many may wait for each that is in progress.
const WAITING: usize = 64;
/// How long a request waits.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a large body that has arrived waits until it is read as values. Those before it are written meanwhile.
const BODY_PATIENCE: Duration = Duration::from_secs(20);
/// How many large bodies are read as values and written at a time: each takes some ten times its 8 MiB then.
const BODIES: usize = 2;
/// How many large answers are on their way at a time: each is 1 MiB, or one resource that is larger.
const ANSWERS: usize = 64;
/// How many streams of events one organization may have.
const STREAMS: usize = 256;

/// The shares of this instance.
#[derive(Debug, Clone)]
pub struct Bulkheads {
    /// None for any number.
    requests: Option<Bulkhead<OrganizationId>>,
    bodies: Bulkhead<Option<OrganizationId>>,
    answers: Bulkhead<Option<OrganizationId>>,
    streams: Bulkhead<OrganizationId>,
}

impl Bulkheads {
    /// As the settings say.
    pub fn of(settings: &ServiceSettings) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = settings.workers.unwrap_or_else(cores).max(1);
        let share = settings.organization_requests.unwrap_or(workers * REQUESTS_PER_WORKER);
        let requests = (share > 0).then(|| {
            // Each organization has its share, whatever others have.
            Bulkhead::new(Division { permits: usize::MAX >> 1, share, waiting: share * WAITING })
        });
        let permits = settings.max_connections.div_ceil(2);
        Self {
            requests,
            bodies: Bulkhead::new(Division::halves(BODIES, WAITING)),
            answers: Bulkhead::new(Division {
                permits: ANSWERS,
                share: ANSWERS / 4,
                waiting: ANSWERS / 4 * WAITING,
            }),
            streams: Bulkhead::new(Division { permits, share: STREAMS, waiting: 0 }),
        }
    }

    /// Waits until there is room for a large answer, which is held until what is returned is dropped.
    ///
    /// # Errors
    /// When there is none in time.
    pub(crate) async fn answer(
        &self,
        tenant: Option<OrganizationId>,
    ) -> Result<Permit<Option<OrganizationId>>, Problem> {
        match timeout(PATIENCE, self.answers.enter(tenant)).await {
            Ok(Ok(permit)) => Ok(permit),
            _ if self.answers.is_at_share(tenant) => Err(Problem::busy(
                "Large answers of your organization have not been taken yet, as many as one may have in memory. Read answers as they come, or ask for smaller pages.",
            )),
            _ => Err(Problem::with(
                Code::Unavailable,
                "Large answers of others have not been taken yet, as many as fit into memory.",
            )),
        }
    }

    /// Takes one of an organization's streams, until what is returned is dropped.
    ///
    /// # Errors
    /// When it has as many as it may, or the instance has.
    pub(crate) async fn stream(
        &self,
        org_id: OrganizationId,
    ) -> Result<Permit<OrganizationId>, Problem> {
        self.streams.enter(org_id).await.map_err(|_| {
            if self.streams.is_at_share(org_id) {
                Problem::busy(format!(
                    "Your organization may have {STREAMS} streams of events on one instance."
                ))
            } else {
                let why = "This instance has as many streams of events as it may.";
                Problem::with(Code::Unavailable, why)
            }
        })
    }
}

/// Lets a request begin when its organization has one in progress less than its share. Those that wait for
/// events hold no share: they have one of their own.
pub(crate) async fn share<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let waits = request.path().trim_end_matches('/').ends_with("/events");
    let tenant = access::known(&request.extensions()).map(Principal::org_id);
    let requests = request
        .app_data::<web::Data<Deps>>()
        .and_then(|deps| deps.bulkheads.requests.clone().filter(|_| !waits));
    let (Some(tenant), Some(requests)) = (tenant, requests) else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    match timeout(PATIENCE, requests.enter(tenant)).await {
        Ok(Ok(_permit)) => Ok(next.call(request).await?.map_into_left_body()),
        _ => {
            let share = requests.division().share;
            let why = format!(
                "Your organization already has {share} requests in progress on this instance, which is the most that one may, and others wait."
            );
            Ok(request.error_response(Problem::busy(why)).map_into_right_body())
        }
    }
}

/// Waits until there is room for a large body, which is held until the request is over.
///
/// # Errors
/// When there is none in time.
pub(crate) async fn large_body(request: &HttpRequest) -> Result<(), Problem> {
    let Some(deps) = request.app_data::<web::Data<Deps>>() else { return Ok(()) };
    let tenant = access::known(&request.extensions()).map(Principal::org_id);
    let why = "Other large bodies are being written, as many as fit into memory.";
    let permit = timeout(BODY_PATIENCE, deps.bulkheads.bodies.enter(tenant)).await;
    let Ok(Ok(permit)) = permit else { return Err(Problem::busy(why)) };
    request.extensions_mut().insert(permit);
    Ok(())
}
