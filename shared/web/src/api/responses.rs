//! Error responses that many operations share. Each is described once; operations refer to it by name.

use std::collections::BTreeMap;

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Content, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema as _};

use crate::problem::{MEDIA_TYPE, Problem};

type Responses = BTreeMap<String, RefOr<Response>>;

macro_rules! responses {
    ($($status:literal $name:ident: $response:expr;)+) => {
        $(
            #[doc = concat!($status, ", for the `responses` of an operation.")]
            pub struct $name;

            impl IntoResponses for $name {
                fn responses() -> Responses {
                    [($status.to_owned(), RefOr::Ref(Ref::from_response_name(stringify!($name))))].into()
                }
            }
        )+

        /// All shared responses, by name.
        pub(super) fn all() -> Responses {
            [$((stringify!($name).to_owned(), RefOr::T($response.build()))),+].into()
        }
    };
}

responses! {
    "400" BadRequest: problem("The request is malformed; `pointer`, `parameter`, `line` and `column` say where.");
    "404" NotFound: problem("The resource does not exist.");
    "408" RequestTimeout: problem("The body took too long to arrive.");
    "409" Conflict: problem("The request contradicts recorded data.");
    "413" PayloadTooLarge: problem("The request has more than `limit` bytes or lines.");
    "415" UnsupportedMediaType: problem("The media type is not supported, or the body is compressed.");
    "422" UnprocessableContent: problem("A value is refused; `pointer` or `parameter` says which.");
    "429" TooManyRequests: transient("The service is overloaded. Nothing was done: send the request again later.");
    "500" InternalServerError: problem("The service failed; its log says why.");
    "503" ServiceUnavailable: transient("Something that the request needs is unavailable: send it again later.");
}

/// Defines a group of shared responses.
macro_rules! together {
    ($(#[$doc:meta])* $group:ident: $($name:ident),+) => {
        $(#[$doc])*
        pub struct $group;

        impl IntoResponses for $group {
            fn responses() -> Responses {
                [$($name::responses()),+].into_iter().flatten().collect()
            }
        }
    };
}

together!(
    /// The error responses of every operation that needs the database.
    Failing: InternalServerError, ServiceUnavailable
);
together!(
    /// The error responses of every operation with path or query parameters.
    Reading: BadRequest, Failing
);
together!(
    /// The error responses of every operation with a request body that is recorded.
    Writing: Reading, RequestTimeout, PayloadTooLarge, UnsupportedMediaType, TooManyRequests
);

fn problem(description: &str) -> ResponseBuilder {
    let schema = Ref::from_schema_name(Problem::name());
    ResponseBuilder::new().description(description).content(MEDIA_TYPE, Content::new(Some(schema)))
}

/// A problem that is temporary: the response has `Retry-After`.
fn transient(description: &str) -> ResponseBuilder {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("When to try again, in seconds."));
    problem(description).header("Retry-After", header.build())
}
