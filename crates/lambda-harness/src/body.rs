use std::{
    future::poll_fn,
    pin::{Pin, pin},
};

use axum::{
    Error,
    body::{Body, Bytes, HttpBody},
    http::HeaderMap,
};

/// What a body brings: bytes, or, last, trailers.
pub(crate) enum Frame {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// How a body could not be collected.
#[derive(Debug)]
pub(crate) enum CollectError {
    TooLarge,
    BrokeOff,
}

/// Returns the next frame of a body, `None` at its end.
pub(crate) async fn next_frame(body: &mut Body) -> Option<Result<Frame, Error>> {
    loop {
        let frame = match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await? {
            Ok(frame) => frame,
            Err(error) => return Some(Err(error)),
        };
        match frame.into_data() {
            Ok(data) => return Some(Ok(Frame::Data(data))),
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return Some(Ok(Frame::Trailers(trailers)));
                }
            }
        }
    }
}

/// Returns the whole of a body. One that is too large is read to its end all the same, for a client
/// that is not listened to any more would miss the answer that says so.
pub(crate) async fn collect(body: Body, limit_bytes: usize) -> Result<Bytes, CollectError> {
    let mut body = pin!(body);
    let mut collected = Vec::new();
    let mut size = 0;
    while let Some(frame) = next_frame(&mut body).await {
        let Frame::Data(data) = frame.map_err(|_| CollectError::BrokeOff)? else {
            continue;
        };
        size += data.len();
        if size <= limit_bytes {
            collected.extend_from_slice(&data);
        }
    }
    if size > limit_bytes {
        return Err(CollectError::TooLarge);
    }
    Ok(collected.into())
}
