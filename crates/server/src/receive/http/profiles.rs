//! Profiles as profilers write them: `POST /api/v1/profiles/pprof` and `/api/v1/profiles/folded`. What the form does not say
//! the address does: `?service=NAME`, and of folded stacks `&type=cpu&unit=nanoseconds`.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Query, Request, State},
    http::{Method, Response},
    routing::any,
};
use serde::Deserialize;

use super::{
    super::{
        Intake, answer,
        body::Compression,
        decode::{Encoding, Signal, Told},
        refusal::{Kind, Refusal},
    },
    refuse, sender, take,
};

/// Where they are sent, in which form, and how the ledger calls it.
const FORMS: [(&str, Encoding, &str); 2] = [
    ("/api/v1/profiles/pprof", Encoding::Pprof, "pprof"),
    ("/api/v1/profiles/folded", Encoding::Folded, "folded"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    service: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    unit: Option<String>,
}

pub(super) fn router(intake: Arc<Intake>) -> Router<Arc<Intake>> {
    let routes = FORMS.into_iter().map(|(path, encoding, protocol)| {
        let receive = move |State(intake): State<Arc<Intake>>, request: Request| {
            receive(intake, request, encoding, protocol)
        };
        (path, any(receive))
    });
    routes
        .fold(Router::new(), |router, (path, route)| {
            router.route(path, route)
        })
        .with_state(intake)
}

async fn receive(
    intake: Arc<Intake>,
    request: Request,
    encoding: Encoding,
    protocol: &'static str,
) -> Response<Body> {
    let sender = sender(&request, protocol, Signal::Profiles.name());
    let (parts, mut body) = request.into_parts();
    let told = if parts.method == Method::POST {
        let parameters = Query::<Parameters>::try_from_uri(&parts.uri);
        parameters
            .map(|Query(given)| given.told())
            .map_err(|error| {
                let mend = "say ?service=NAME, and of folded stacks &type=cpu&unit=nanoseconds";
                Refusal::new(Kind::Malformed, "the address cannot be read", mend)
                    .with_detail(error.body_text())
            })
    } else {
        Err(Refusal::new(
            Kind::Method,
            "this is where profiles are sent to, by POST",
            "send the file as the body: curl --data-binary @profile.pb.gz",
        ))
    };
    let result = match told {
        Ok(told) => {
            let form = (Signal::Profiles, encoding, told);
            let compression = Compression::of(&parts.headers);
            take(&intake, &sender, form, compression, &mut body).await
        }
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(outcome) => answer::success(Signal::Profiles, encoding, &outcome),
        Err(refusal) => refuse(&intake, &sender, Some(encoding), &refusal, body).await,
    }
}

impl Parameters {
    fn told(self) -> Told {
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        Told {
            service: given(self.service),
            kind: given(self.kind),
            unit: given(self.unit),
        }
    }
}
