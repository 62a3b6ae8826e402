"""Sends one trace, one log and metrics of every kind with the real OpenTelemetry SDK.

Arguments: `grpc` or `http`, the endpoint, and `gzip` or `none`.
"""

import logging
import sys

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

try:
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
except ImportError:
    from opentelemetry.sdk._logs import LoggingHandler

protocol, endpoint, compression = sys.argv[1:]
if protocol == "grpc":
    from grpc import Compression
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    squeeze = Compression.Gzip if compression == "gzip" else Compression.NoCompression

    def options(_signal):
        return {"endpoint": endpoint, "insecure": True, "compression": squeeze}
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    squeeze = Compression.Gzip if compression == "gzip" else Compression.NoCompression

    def options(signal):
        return {"endpoint": f"{endpoint}/v1/{signal}", "compression": squeeze}


resource = Resource.create({"service.name": f"python-{protocol}"})

tracers = TracerProvider(resource=resource)
tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(**options("traces"))))
trace.set_tracer_provider(tracers)
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(**options("logs"))))
set_logger_provider(logs)
logger = logging.getLogger("shop")
logger.addHandler(LoggingHandler(logger_provider=logs))
exponential = View(
    instrument_type=Histogram, instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation()
)
reader = PeriodicExportingMetricReader(OTLPMetricExporter(**options("metrics")))
meters = MeterProvider(metric_readers=[reader], resource=resource, views=[exponential])
metrics.set_meter_provider(meters)

tracer = trace.get_tracer("shop")
with tracer.start_as_current_span("root", kind=SpanKind.SERVER, attributes={"tokens": 7, "sizes": [1, 2]}) as root:
    link = Link(root.get_span_context(), {"why": "test"})
    with tracer.start_as_current_span("child", links=[link]) as child:
        child.add_event("retry", {"attempt": 2})
        child.record_exception(ValueError("no money"))
        child.set_status(Status(StatusCode.ERROR, "declined"))
        logger.warning("low on %s", "stock", extra={"shelf": 4})

meter = metrics.get_meter("shop")
meter.create_counter("counter", unit="1").add(3, {"route": "/"})
meter.create_up_down_counter("updown").add(-2)
meter.create_gauge("gauge").set(1.5)
meter.create_histogram("explicit", unit="s").record(0.3)
for value in (0.001, 0.5, 2.0, 2.1):
    meter.create_histogram("exponential").record(value)

for provider in (tracers, logs, meters):
    if not provider.force_flush(10_000):
        sys.exit(f"{provider} could not send")
    provider.shutdown()
