"""A program that uses logfire, which is told nothing but the endpoint, by OpenTelemetry's variable."""

import logfire

logfire.configure(send_to_logfire=False, service_name="logfire", console=False, inspect_arguments=False)
requests = logfire.metric_counter("requests", unit="{request}")
with logfire.span("answer {name}", name="Ada", tokens=7):
    logfire.info("generated {count} tokens", count=7)
    requests.add(3)
    try:
        with logfire.span("sample"):
            raise ValueError("declined")
    except ValueError:
        pass
logfire.shutdown()
