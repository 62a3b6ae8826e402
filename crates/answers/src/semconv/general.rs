//! OpenTelemetry's conventions for HTTP, databases and hardware, of today and of before.

use super::{MS, Vocabulary, own, same, scaled};

/// Stable since 1.23.
pub(super) const HTTP: Vocabulary = Vocabulary {
    name: "OpenTelemetry HTTP",
    version: "since 1.23",
    is_canonical: true,
    attributes: &[
        own("http.request.method"),
        own("http.response.status_code"),
        own("http.route"),
        own("url.full"),
        own("url.path"),
        own("url.scheme"),
        own("user_agent.original"),
        own("server.address"),
        own("server.port"),
        own("client.address"),
        own("network.peer.address"),
        own("network.peer.port"),
        own("network.protocol.version"),
        own("http.request.body.size"),
        own("http.response.body.size"),
    ],
    metrics: &[
        own("http.server.request.duration"),
        own("http.client.request.duration"),
        own("http.server.request.body.size"),
        own("http.server.response.body.size"),
        own("http.server.active_requests"),
    ],
};

/// The migration guide "HTTP semantic convention stability" has what became what.
pub(super) const HTTP_BEFORE: Vocabulary = Vocabulary {
    name: "OpenTelemetry HTTP, older",
    version: "until 1.22",
    is_canonical: false,
    attributes: &[
        same("http.method", "http.request.method"),
        same("http.status_code", "http.response.status_code"),
        same("http.url", "url.full"),
        same("http.target", "url.path"),
        same("http.scheme", "url.scheme"),
        same("http.user_agent", "user_agent.original"),
        same("http.client_ip", "client.address"),
        same("http.flavor", "network.protocol.version"),
        same("http.request_content_length", "http.request.body.size"),
        same("http.response_content_length", "http.response.body.size"),
        same("net.peer.name", "server.address"),
        same("net.peer.port", "server.port"),
        same("net.sock.peer.addr", "network.peer.address"),
        same("net.sock.peer.port", "network.peer.port"),
    ],
    metrics: &[
        scaled("http.server.duration", "http.server.request.duration", MS),
        scaled("http.client.duration", "http.client.request.duration", MS),
        same("http.server.request.size", "http.server.request.body.size"),
        same(
            "http.server.response.size",
            "http.server.response.body.size",
        ),
    ],
};

/// Stable since 1.33.
pub(super) const DATABASE: Vocabulary = Vocabulary {
    name: "OpenTelemetry databases",
    version: "since 1.33",
    is_canonical: true,
    attributes: &[
        own("db.system.name"),
        own("db.namespace"),
        own("db.query.text"),
        own("db.operation.name"),
        own("db.collection.name"),
        own("db.response.status_code"),
    ],
    metrics: &[
        own("db.client.operation.duration"),
        own("db.client.connection.count"),
        own("db.client.connection.wait_time"),
        own("db.client.connection.use_time"),
        own("db.client.connection.create_time"),
        own("db.client.connection.pending_requests"),
    ],
};

/// The migration guide "Database semantic convention stability" has what became what.
pub(super) const DATABASE_BEFORE: Vocabulary = Vocabulary {
    name: "OpenTelemetry databases, older",
    version: "until 1.24",
    is_canonical: false,
    attributes: &[
        same("db.system", "db.system.name"),
        same("db.name", "db.namespace"),
        same("db.statement", "db.query.text"),
        same("db.operation", "db.operation.name"),
        same("db.sql.table", "db.collection.name"),
        same("db.mongodb.collection", "db.collection.name"),
        same("db.cassandra.table", "db.collection.name"),
    ],
    metrics: &[
        same("db.client.connections.usage", "db.client.connection.count"),
        same(
            "db.client.connections.pending_requests",
            "db.client.connection.pending_requests",
        ),
        scaled(
            "db.client.connections.wait_time",
            "db.client.connection.wait_time",
            MS,
        ),
        scaled(
            "db.client.connections.use_time",
            "db.client.connection.use_time",
            MS,
        ),
        scaled(
            "db.client.connections.create_time",
            "db.client.connection.create_time",
            MS,
        ),
    ],
};

/// OpenTelemetry's conventions for hardware, in development.
pub(super) const HARDWARE: Vocabulary = Vocabulary {
    name: "OpenTelemetry hardware",
    version: "1.44",
    is_canonical: true,
    attributes: &[
        own("hw.id"),
        own("hw.model"),
        own("hw.name"),
        own("hw.vendor"),
        own("hw.driver_version"),
    ],
    metrics: &[
        own("hw.gpu.utilization"),
        own("hw.gpu.memory.usage"),
        own("hw.gpu.memory.limit"),
        own("hw.gpu.memory.utilization"),
        own("hw.gpu.io"),
        own("hw.energy"),
        own("hw.power"),
        own("hw.temperature"),
        own("hw.errors"),
    ],
};
