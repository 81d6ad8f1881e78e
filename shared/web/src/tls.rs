//! What TLS computes with.

/// Makes *ring* the cryptography of TLS in this process. The first thing in `main`: who makes an HTTP client before,
/// even for http, panics. A second call changes nothing.
pub fn use_ring() {
    // Fails if it was done before.
    let _done = rustls::crypto::ring::default_provider().install_default();
}
