//! URLs of destinations: what of them may be shown, whose machine they name, and the file name of what waits for them.

/// The part of `rest`, what follows `scheme://`, that names the host.
pub(in crate::exporter) fn host(rest: &str) -> &str {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    match host.strip_prefix('[') {
        Some(ipv6) => ipv6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

pub(in crate::exporter) fn is_loopback(url: &str) -> bool {
    let host = host(url.split_once("://").map_or(url, |(_, rest)| rest));
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// `url` without user, password and query.
pub(in crate::exporter) fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

/// A file name for the destination at `endpoint`: what waits for it is never sent anywhere else, nor with other headers.
/// `own` tells those apart that have both in common.
pub(in crate::exporter) fn spool_name(
    kind: &str,
    own: &[u8],
    endpoint: &str,
    headers: &[(String, String)],
) -> String {
    let mut crc = crc32fast::Hasher::new();
    crc.update(own);
    crc.update(endpoint.as_bytes());
    for (name, value) in headers {
        crc.update(format!("\n{name}: {value}").as_bytes());
    }
    let readable: String = shown(endpoint)
        .chars()
        .map(|letter| match letter {
            letter if letter.is_ascii_alphanumeric() => letter,
            '.' => '.',
            _ => '-',
        })
        .take(80)
        .collect();
    format!("{kind}-{readable}-{:08x}", crc.finalize())
}
