"""Sends with the real libraries of others: one trace with Jaeger's exporters or Datadog's tracer, or a line with a handler for Loki.

Arguments: `jaeger-thrift`, `jaeger-grpc`, `datadog` or `loki`, and the endpoint.
"""

import logging
import os
import sys

kind, endpoint = sys.argv[1:]


def jaeger(exporter):
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import SpanKind, Status, StatusCode

    tracers = TracerProvider(resource=Resource.create({"service.name": kind}))
    tracers.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(tracers)
    tracer = trace.get_tracer("shop")
    with tracer.start_as_current_span("root", kind=SpanKind.SERVER, attributes={"tokens": 7}):
        with tracer.start_as_current_span("child") as child:
            child.add_event("retry", {"attempt": 2})
            child.set_status(Status(StatusCode.ERROR, "declined"))
    tracers.shutdown()


if kind == "jaeger-thrift":
    from opentelemetry.exporter.jaeger.thrift import JaegerExporter

    jaeger(JaegerExporter(collector_endpoint=f"{endpoint}/api/traces?format=jaeger.thrift"))
elif kind == "jaeger-grpc":
    # What was generated for it is older than the library that it finds.
    os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
    from opentelemetry.exporter.jaeger.proto.grpc import JaegerExporter

    jaeger(JaegerExporter(collector_endpoint=endpoint.removeprefix("http://"), insecure=True))
elif kind == "datadog":
    os.environ |= {
        "DD_TRACE_AGENT_URL": endpoint,
        "DD_SERVICE": kind,
        "DD_ENV": "test",
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_STARTUP_LOGS": "false",
    }
    from ddtrace.trace import tracer

    with tracer.trace("root", resource="GET /pay", span_type="web") as root:
        root.set_tag("span.kind", "server")
        root.set_metric("tokens", 7)
        with tracer.trace("child") as child:
            child.error = 1
            child.set_tag("error.message", "declined")
    tracer.flush()
    tracer.shutdown()
else:
    import logging_loki

    handler = logging_loki.LokiHandler(url=f"{endpoint}/loki/api/v1/push", tags={"app": kind}, version="1")
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    logger.error("low on stock")
