//! Answers that many operations give. Each is described once, and named where it can come.

use std::collections::BTreeMap;

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Content, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema as _};

use crate::problem::{MEDIA_TYPE, Problem};

type Answers = BTreeMap<String, RefOr<Response>>;

macro_rules! responses {
    ($($status:literal $name:ident: $answer:expr;)+) => {
        $(
            #[doc = concat!($status, ", for the `responses` of an operation.")]
            pub struct $name;

            impl IntoResponses for $name {
                fn responses() -> Answers {
                    [($status.to_owned(), RefOr::Ref(Ref::from_response_name(stringify!($name))))].into()
                }
            }
        )+

        /// All of them, by name.
        pub(super) fn all() -> Answers {
            [$((stringify!($name).to_owned(), RefOr::T($answer.build()))),+].into()
        }
    };
}

responses! {
    "400" BadRequest: problem("The request cannot be understood; `pointer`, `parameter`, `line` and `column` say where.");
    "404" NotFound: problem("There is no such thing.");
    "408" RequestTimeout: problem("The body took too long to arrive.");
    "409" Conflict: problem("It contradicts what is already there.");
    "413" PayloadTooLarge: problem("More than `limit` bytes or lines.");
    "415" UnsupportedMediaType: problem("Another media type, or a compressed body.");
    "422" UnprocessableContent: problem("Understood, but a value is refused; `pointer` or `parameter` says which.");
    "429" TooManyRequests: passing("More requests than can be taken now. Nothing was done.");
    "500" InternalServerError: problem("The service failed; its log says why.");
    "503" ServiceUnavailable: passing("Something the request needs is away. The same request can be sent again.");
}

/// Several answers that come together.
macro_rules! together {
    ($(#[$doc:meta])* $group:ident: $($name:ident),+) => {
        $(#[$doc])*
        pub struct $group;

        impl IntoResponses for $group {
            fn responses() -> Answers {
                [$($name::responses()),+].into_iter().flatten().collect()
            }
        }
    };
}

together!(
    /// What every operation can answer that needs the database.
    Failing: InternalServerError, ServiceUnavailable
);
together!(
    /// What every operation can answer that takes a path or a query.
    Reading: BadRequest, Failing
);
together!(
    /// What every operation can answer that takes a body into the system.
    Writing: Reading, RequestTimeout, PayloadTooLarge, UnsupportedMediaType, TooManyRequests
);

fn problem(description: &str) -> ResponseBuilder {
    let schema = Ref::from_schema_name(Problem::name());
    ResponseBuilder::new().description(description).content(MEDIA_TYPE, Content::new(Some(schema)))
}

/// A problem that passes.
fn passing(description: &str) -> ResponseBuilder {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("When to try again, in seconds."));
    problem(description).header("Retry-After", header.build())
}
