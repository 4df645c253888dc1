//! How answers leave: in pieces, so many large ones at a time, and not for ever. What a client does not take stays
//! in memory, so a client that reads slowly, or not at all, would keep an answer as long as it likes.

use std::{
    io,
    net::TcpListener,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_web::{
    HttpMessage, ResponseError,
    body::{BodySize, BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};
use brownie_bulkhead::Permit;
use brownie_domain::OrganizationId;
use brownie_persistence::Principal;
use bytes::Bytes;

use crate::{Deps, access};

/// How much is handed to a connection at a time. The HTTP server copies each piece, and keeps some 64 KiB of
/// them for a client that is slow.
const PIECE: usize = 32 * 1024;

/// What is larger than this needs a permit until it has left.
const LARGE: u64 = 64 * 1024;

/// How slowly an answer may leave, besides half a minute: bytes in a second.
const SLOWEST: u64 = 16 * 1024;
/// That half a minute.
const START: Duration = Duration::from_secs(30);

/// Marks an answer that is the program's own bytes, and needs no room however long it takes.
pub(crate) struct Static;

/// Ends connections whose client takes nothing for so long: the kernel's own limit for data that is not
/// acknowledged, or that waits before a closed window (RFC 9293 section 3.8.3, tcp(7) `TCP_USER_TIMEOUT`). What
/// a listener accepts inherits it.
pub(crate) fn end_what_is_not_taken(listener: &TcpListener, after: Duration) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(listener).set_tcp_user_timeout(Some(after))?;
    Ok(())
}

/// Sends large answers in pieces, so many at a time of one organization. Those that only read wait for room, and
/// are refused if there is none; what a write has done is told in any case.
pub(crate) async fn in_pieces<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<BoxBody, Pieces>>, actix_web::Error> {
    let response = next.call(request).await?;
    let size = match response.response().body().size() {
        BodySize::Sized(size) if size > LARGE => size,
        _ => return Ok(response.map_into_boxed_body().map_into_left_body()),
    };
    let asked = response.request().clone();
    let is_static = response.response().extensions().contains::<Static>();
    let permit = match asked.app_data::<web::Data<Deps>>() {
        Some(deps) if !is_static => {
            let tenant = access::known(&asked.extensions()).map(Principal::org_id);
            deps.bulkheads.answer(tenant).await.map(Some)
        }
        _ => Ok(None),
    };
    let permit = match permit {
        Ok(permit) => permit,
        Err(problem) if asked.method().is_safe() => {
            return Ok(ServiceResponse::from_err(problem, asked).map_into_left_body());
        }
        Err(_) => None,
    };
    let (asked, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let response = match body.try_into_bytes() {
        Ok(rest) => {
            let until = Instant::now() + START + Duration::from_secs(size / SLOWEST);
            response.set_body(Pieces { rest, until, _permit: permit }).map_into_right_body()
        }
        Err(body) => response.set_body(body.boxed()).map_into_left_body(),
    };
    Ok(ServiceResponse::new(asked, response))
}

/// The client takes the answer more slowly than anybody's network is.
#[derive(Debug, thiserror::Error)]
#[error("the client took too long for an answer, and was cut")]
struct TooSlow;

impl ResponseError for TooSlow {}

/// A body that is there as a whole, and leaves in pieces.
pub(crate) struct Pieces {
    rest: Bytes,
    /// When it must have left.
    until: Instant,
    _permit: Option<Permit<Option<OrganizationId>>>,
}

impl MessageBody for Pieces {
    type Error = actix_web::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if Instant::now() > self.until {
            return Poll::Ready(Some(Err(TooSlow.into())));
        }
        let piece = self.rest.len().min(PIECE);
        Poll::Ready((piece > 0).then(|| Ok(self.rest.split_to(piece))))
    }
}
