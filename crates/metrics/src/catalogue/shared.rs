//! What instances share, and the certificates they use.

use super::metrics;

metrics! {
    CACHE_OPERATIONS = "brownie_cache_operations_total", Counter of Count, ["operation", "outcome"],
        "Operations on limits and cached values, by outcome: allowed, denied, hit, miss or done; besides, failed each time that Redis was asked in vain.";
    CACHE_UP = "brownie_cache_up", Gauge of Flag, [],
        "0 while Redis is away and this instance answers by itself, otherwise 1.";
    CERTIFICATE_EXPIRY = "brownie_certificate_expiry_timestamp_seconds", Gauge of Timestamp, ["role"],
        "When the certificates in use end, in seconds since 1970, by role: ca (the first of the bundle to end, of those that are not over), client and server (the first of the chain), crl (when the next revocation list is due).";
    CERTIFICATE_REFUSED = "brownie_certificate_refused", Gauge of Flag, [],
        "1 while new certificates cannot be read or used and those before them serve on, otherwise 0.";
    CERTIFICATE_RELOADS = "brownie_certificate_reloads_total", Counter of Count, ["outcome"],
        "New certificates, by outcome: taken (they are in use) or refused (those before them serve on; counted once for each different reason).";
}
