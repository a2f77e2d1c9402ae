//! Errors as gRPC statuses, and back.

use std::error::Error;
use std::time::Duration;

use lifecycle::ErrorKind;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Domain of all our `ErrorInfo`.
const DOMAIN: &str = "lifecast";

/// Most bytes of a status message: it travels in a header, twice, and headers have limits.
const MESSAGE_BYTES_MAX: usize = 2000;

/// When to try again what cannot be had now.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An error and all that caused it, as one line: `what: because: because`.
pub fn error_chain(error: &dyn Error) -> String {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        chain.push_str(": ");
        chain.push_str(&error.to_string());
        cause = error.source();
    }
    chain
}

/// The status of an error of this kind. `reason` is for programs: upper-case and stable, such as
/// `MODEL_NOT_FOUND`.
pub fn status_of(kind: ErrorKind, message: &str, reason: &str) -> Status {
    let code = match kind {
        ErrorKind::Usage => Code::InvalidArgument,
        ErrorKind::Data => Code::FailedPrecondition,
        ErrorKind::Unreachable => Code::Unavailable,
        ErrorKind::Internal => Code::Internal,
    };
    status(code, message, reason)
}

/// The status of a store's error in a live call.
pub fn status_of_store(error: &artifacts::Error) -> Status {
    let message = error_chain(error);
    match error {
        artifacts::Error::Missing { .. } => status(Code::NotFound, &message, "ARTIFACT_NOT_FOUND"),
        _ => status_of(error.kind(), &message, "STORE"),
    }
}

/// The kind of error that a call was answered with: what a client exits with.
pub fn kind_of(status: &Status) -> ErrorKind {
    // What a server answers has no cause here. A connection that breaks has: the transport's error,
    // under `UNKNOWN` or `INTERNAL`.
    if status.source().is_some() {
        return ErrorKind::Unreachable;
    }
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::OutOfRange
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented => ErrorKind::Usage,
        Code::FailedPrecondition | Code::DataLoss => ErrorKind::Data,
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Cancelled
        | Code::Aborted => ErrorKind::Unreachable,
        Code::Ok | Code::Unknown | Code::Internal => ErrorKind::Internal,
    }
}

/// A status with its details: what went wrong for programs, and when to try again.
pub fn status(code: Code, message: &str, reason: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, [] as [(String, String); 0]);
    if matches!(code, Code::Unavailable | Code::ResourceExhausted) {
        details.set_retry_info(Some(RETRY_AFTER));
    }
    Status::with_error_details(code, cut(message, MESSAGE_BYTES_MAX), details)
}

/// The beginning of a text, of at most `bytes_max` bytes and some dots.
pub(crate) fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    format!("{}...", &text[..text.floor_char_boundary(bytes_max)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the model")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("file is cut in half")]
    struct Inner;

    #[test]
    fn causes_are_joined() {
        assert_eq!(error_chain(&Outer(Inner)), "cannot read the model: file is cut in half");
    }

    #[test]
    fn kinds_survive_the_wire() {
        use ErrorKind::{Data, Internal, Unreachable, Usage};
        for kind in [Usage, Data, Unreachable, Internal] {
            let status = status_of(kind, "no", "SOME_REASON");
            assert_eq!(kind_of(&status), kind);
            let info = status.get_details_error_info().expect("details");
            assert_eq!((info.reason.as_str(), info.domain.as_str()), ("SOME_REASON", "lifecast"));
            assert_eq!(status.get_details_retry_info().is_some(), kind == Unreachable);
        }
    }

    #[test]
    fn long_messages_are_cut_between_letters() {
        let status = status_of(ErrorKind::Internal, &"ä".repeat(5000), "LONG");
        assert_eq!(status.message().len(), 2003);
    }
}
