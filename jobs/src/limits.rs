//! The numbers of the limits that are enforced here, for those who write about them. The flags have the others.

pub use passerelle_engine::{content::TEXT_MAX, store::QUERY_MAX, whatsapp::UNLINKED};

pub use crate::{
    consents::links::{LINKS_MAX, TEXT_MAX as LINK_TEXT_MAX},
    endpoints::{ENDPOINTS_MAX, SESSIONS_MAX},
    lanes::messages::CANCELED_MAX,
    media::{
        INLINE_MAX,
        bounds::{FILM_WITHIN, PICTURE_WITHIN, RECORDING_WITHIN},
        fetch::URL_AGAIN,
        ingest::UPLOAD_PATIENCE,
        recording::packets::{CHANNELS_MAX, RATE_MAX},
        view::LINK,
    },
    messages::target::{DELETE_WINDOW, EDIT_WINDOW},
    model::{
        PAGE_MAX,
        auto_reply::{
            COMPILED_MAX, HOLIDAYS_MAX, OPENINGS_MAX, PATTERN_MAX, REGEX_RULES_MAX, REGEX_TEXT_MAX,
            REPLIES_MAX, RULES_MAX, TEMPLATE_MAX, TEXT_CHARS_MAX, TEXTS_MAX,
        },
        client_data::{CLIENT_REF_MAX, METADATA_BYTES_MAX, METADATA_MAX, METADATA_NAME_MAX},
        consent::{PROOF_MAX, SOURCE_MAX},
        headers::{HEADER_BYTES_MAX, HEADERS_MAX},
        receipt::MEMBERS_MAX,
    },
    safety::{
        pairing::{OF_ORGANISATION, OF_ORGANISATION_WITHIN, OF_SESSION, OF_SESSION_WITHIN},
        permission::TRIAL,
    },
    services::{LISTS_ON_POSTGRES, LISTS_ON_SQLITE, UPLOADS, UPLOADS_OF_ONE},
    state::{
        decoding::{FILM_MIB, LEAST_MIB, WORKER_MIB},
        rate_limit::{GROUP_LISTS, GROUP_REQUESTS, NUMBER_CHECKS, Pacing, TYPING},
    },
    store::system::delivery_claims::{
        ATTEMPTS_OF_ORGANISATION, ATTEMPTS_TO_ENDPOINT, ATTEMPTS_TO_FAILING_ENDPOINT,
        ATTEMPTS_TO_FAILING_ENDPOINTS, FAILURES,
    },
    webhook::{
        claims::ATTEMPTS_AT_ONCE,
        client::{REPLY_MAX, REPLY_WITHIN},
        inline::INLINE_MAX as WEBHOOK_FILE_MAX,
        schedule::WAITS,
    },
};
