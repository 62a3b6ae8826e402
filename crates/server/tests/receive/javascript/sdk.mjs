// Sends one trace, one log and metrics of every kind with the real OpenTelemetry SDK for JavaScript.
//
// Arguments: `grpc`, `proto` or `http` (which is JSON), the endpoint, and `gzip` or `none`: the names of the SDK's packages.

import { context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { AggregationType, InstrumentType, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [protocol, endpoint, compression] = process.argv.slice(2);
const options = (signal) => ({ url: protocol === "grpc" ? endpoint : `${endpoint}/v1/${signal}`, compression });
const exporters = (signal) => import(`@opentelemetry/exporter-${signal}-otlp-${protocol}`);
const { OTLPTraceExporter } = await exporters("trace");
const { OTLPLogExporter } = await exporters("logs");
const { OTLPMetricExporter } = await exporters("metrics");

const resource = resourceFromAttributes({ "service.name": `javascript-${protocol}` });
const tracers = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter(options("traces")))],
});
const logs = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter(options("logs")) })],
});
const meters = new MeterProvider({
  resource,
  readers: [new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter(options("metrics")) })],
  views: [
    {
      instrumentType: InstrumentType.HISTOGRAM,
      instrumentName: "exponential",
      aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM },
    },
  ],
});

const tracer = tracers.getTracer("shop");
const root = tracer.startSpan("root", { kind: SpanKind.SERVER, attributes: { tokens: 7, sizes: [1, 2] } });
const inRoot = trace.setSpan(context.active(), root);
const links = [{ context: root.spanContext(), attributes: { why: "test" } }];
const child = tracer.startSpan("child", { links }, inRoot);
child.addEvent("retry", { attempt: 2 });
child.recordException(new Error("no money"));
child.setStatus({ code: SpanStatusCode.ERROR, message: "declined" });
logs.getLogger("shop").emit({
  severityNumber: SeverityNumber.WARN,
  body: "low on stock",
  attributes: { shelf: 4 },
  context: trace.setSpan(inRoot, child),
});
child.end();
root.end();

const meter = meters.getMeter("shop");
meter.createCounter("counter", { unit: "1" }).add(3, { route: "/" });
meter.createUpDownCounter("updown").add(-2);
meter.createGauge("gauge").record(1.5);
meter.createHistogram("explicit", { unit: "s" }).record(0.3);
const exponential = meter.createHistogram("exponential");
for (const value of [0.001, 0.5, 2.0, 2.1]) {
  exponential.record(value);
}

for (const provider of [tracers, logs, meters]) {
  await provider.forceFlush();
  await provider.shutdown();
}
