//! Our own names, where OpenTelemetry has none, and those of engines that serve models and of what watches their devices.

use super::{MIB, MS, Name, PERCENT, US, Vocabulary, own, same, scaled};

/// What OpenTelemetry has no name for: queues, pools, KV caches, devices beyond the basics.
pub(super) const RADIOSONDE: Vocabulary = Vocabulary {
    name: "Radiosonde",
    version: "0.1",
    is_canonical: true,
    attributes: &[own("queue"), own("pool"), own("worker")],
    metrics: RADIOSONDE_METRICS,
};

const RADIOSONDE_METRICS: &[Name] = &[
    own("queue.depth"),
    own("queue.running"),
    own("queue.workers"),
    own("queue.capacity"),
    own("queue.arrivals"),
    own("queue.completions"),
    own("queue.wait.duration"),
    own("queue.wait.total"),
    own("queue.work.duration"),
    same("worker.pool.queue.depth", "queue.depth"),
    same("worker.pool.busy", "queue.running"),
    same("worker.pool.size", "queue.workers"),
    same("worker.pool.queue.duration", "queue.wait.duration"),
    same("worker.pool.busy.duration", "queue.work.duration"),
    same("radiosonde.gen_ai.queue.duration", "queue.wait.duration"),
    same("messaging.queue.depth", "queue.depth"),
    own("worker.pool.idle"),
    own("worker.call.count"),
    own("worker.call.duration"),
    own("worker.call.queue.duration"),
    own("worker.call.exceptions"),
    own("worker.crashes"),
    own("memory.allocated"),
    own("ml.inference.duration"),
    own("ml.inference.tokens_per_second"),
    own("gpu.operation.count"),
    own("gpu.operation.errors"),
    own("gpu.operation.duration"),
    own("hw.gpu.memory.free"),
    own("hw.gpu.memory.reserved"),
    own("hw.gpu.clock.graphics"),
    own("hw.gpu.clock.memory"),
    own("hw.gpu.power.limit"),
    own("hw.gpu.encoder.utilization"),
    own("hw.gpu.decoder.utilization"),
    own("radiosonde.gpu.allocator.allocated"),
    own("radiosonde.gpu.graphics.utilization"),
    own("radiosonde.gpu.sm.utilization"),
    own("radiosonde.gpu.sm.occupancy"),
    own("radiosonde.gpu.tensor.utilization"),
    own("radiosonde.gpu.dram.bandwidth.utilization"),
    own("radiosonde.gpu.memory.temperature"),
    own("radiosonde.gpu.memory.copy.utilization"),
    own("radiosonde.gpu.pcie.replays"),
    own("radiosonde.gpu.pcie.transmit"),
    own("radiosonde.gpu.pcie.receive"),
    own("radiosonde.gpu.nvlink.throughput"),
    own("radiosonde.gpu.xid"),
    own("radiosonde.gen_ai.input_tokens"),
    own("radiosonde.gen_ai.output_tokens"),
    own("radiosonde.gen_ai.kv_cache.utilization"),
    own("radiosonde.gen_ai.prefix_cache.queries"),
    own("radiosonde.gen_ai.prefix_cache.hits"),
    own("radiosonde.gen_ai.prefix_cache.hit_share"),
    own("radiosonde.gen_ai.preemptions"),
    own("radiosonde.gen_ai.prefill.duration"),
    own("radiosonde.gen_ai.decode.duration"),
    own("radiosonde.gen_ai.inference.duration"),
    own("radiosonde.gen_ai.throughput"),
    own("radiosonde.inference.failures"),
    own("radiosonde.inference.batches"),
    own("radiosonde.inference.input.total"),
    own("radiosonde.inference.compute.total"),
    own("radiosonde.inference.output.total"),
    own("radiosonde.inference.request.total"),
    own("radiosonde.gen_ai.first_response.duration"),
];

/// The names of the notes from which Radiosonde was built. What they call MB is 2^20 bytes.
pub(super) const DESIGN_NOTES: Vocabulary = Vocabulary {
    name: "Radiosonde's design notes",
    version: "0",
    is_canonical: false,
    attributes: &[],
    metrics: &[
        same("metal_operations_total", "gpu.operation.count"),
        same("gpu_operations_total", "gpu.operation.count"),
        same("metal_errors_total", "gpu.operation.errors"),
        scaled("metal_operation_duration_ms", "gpu.operation.duration", MS),
        same("metal_memory_usage_bytes", "hw.gpu.memory.usage"),
        scaled(
            "metal_gpu_utilization_percent",
            "hw.gpu.utilization",
            PERCENT,
        ),
        same("snakepit.call.total", "worker.call.count"),
        scaled("snakepit.call.duration", "worker.call.duration", MS),
        scaled("snakepit_call_duration_ms", "worker.call.duration", MS),
        scaled("snakepit.call.queue_time", "worker.call.queue.duration", MS),
        same("snakepit.pool.size", "queue.workers"),
        same("snakepit.pool.idle", "worker.pool.idle"),
        same("snakepit.pool.busy", "queue.running"),
        same("snakepit.memory.allocated_bytes", "memory.allocated"),
        scaled(
            "snakepit.memory.gpu.allocated_mb",
            "radiosonde.gpu.allocator.allocated",
            MIB,
        ),
        scaled("snakepit.memory.gpu.free_mb", "hw.gpu.memory.free", MIB),
        same("snakepit.call.exceptions", "worker.call.exceptions"),
        same("snakepit.worker.crashes", "worker.crashes"),
        scaled(
            "snakepit.ml.inference.duration",
            "ml.inference.duration",
            MS,
        ),
        same(
            "snakepit.ml.inference.tokens_per_second",
            "ml.inference.tokens_per_second",
        ),
    ],
};

/// vLLM's `/metrics` (documentation, "Production metrics"; `vllm/v1/metrics/loggers.py`).
pub(super) const VLLM: Vocabulary = Vocabulary {
    name: "vLLM",
    version: "V1, and V0 where it differs",
    is_canonical: false,
    attributes: &[],
    metrics: &[
        same("vllm:num_requests_waiting", "queue.depth"),
        same("vllm.num_requests_waiting", "queue.depth"),
        same("vllm:num_requests_running", "queue.running"),
        same("vllm.num_requests_running", "queue.running"),
        same("vllm:request_success_total", "queue.completions"),
        same("vllm:request_queue_time_seconds", "queue.wait.duration"),
        same(
            "vllm:kv_cache_usage_perc",
            "radiosonde.gen_ai.kv_cache.utilization",
        ),
        same(
            "vllm:gpu_cache_usage_perc",
            "radiosonde.gen_ai.kv_cache.utilization",
        ),
        same(
            "vllm:prefix_cache_queries_total",
            "radiosonde.gen_ai.prefix_cache.queries",
        ),
        same(
            "vllm:prefix_cache_hits_total",
            "radiosonde.gen_ai.prefix_cache.hits",
        ),
        same(
            "vllm:num_preemptions_total",
            "radiosonde.gen_ai.preemptions",
        ),
        same("vllm:prompt_tokens_total", "radiosonde.gen_ai.input_tokens"),
        same(
            "vllm:generation_tokens_total",
            "radiosonde.gen_ai.output_tokens",
        ),
        same(
            "vllm:time_to_first_token_seconds",
            "gen_ai.server.time_to_first_token",
        ),
        same(
            "vllm:inter_token_latency_seconds",
            "gen_ai.server.time_per_output_token",
        ),
        same(
            "vllm:time_per_output_token_seconds",
            "gen_ai.server.time_per_output_token",
        ),
        same(
            "vllm:e2e_request_latency_seconds",
            "gen_ai.server.request.duration",
        ),
        same(
            "vllm:request_inference_time_seconds",
            "radiosonde.gen_ai.inference.duration",
        ),
        same(
            "vllm:request_prefill_time_seconds",
            "radiosonde.gen_ai.prefill.duration",
        ),
        same(
            "vllm:request_decode_time_seconds",
            "radiosonde.gen_ai.decode.duration",
        ),
    ],
};

/// SGLang's `/metrics` (documentation, "Production metrics").
pub(super) const SGLANG: Vocabulary = Vocabulary {
    name: "SGLang",
    version: "0.4 and 0.5",
    is_canonical: false,
    attributes: &[],
    metrics: &[
        same("sglang:num_queue_reqs", "queue.depth"),
        same("sglang:num_running_reqs", "queue.running"),
        same("sglang:num_requests_total", "queue.completions"),
        same("sglang:queue_time_seconds", "queue.wait.duration"),
        same(
            "sglang:token_usage",
            "radiosonde.gen_ai.kv_cache.utilization",
        ),
        same(
            "sglang:cache_hit_rate",
            "radiosonde.gen_ai.prefix_cache.hit_share",
        ),
        same("sglang:gen_throughput", "radiosonde.gen_ai.throughput"),
        same(
            "sglang:prompt_tokens_total",
            "radiosonde.gen_ai.input_tokens",
        ),
        same(
            "sglang:generation_tokens_total",
            "radiosonde.gen_ai.output_tokens",
        ),
        same(
            "sglang:time_to_first_token_seconds",
            "gen_ai.server.time_to_first_token",
        ),
        same(
            "sglang:inter_token_latency_seconds",
            "gen_ai.server.time_per_output_token",
        ),
        same(
            "sglang:time_per_output_token_seconds",
            "gen_ai.server.time_per_output_token",
        ),
        same(
            "sglang:e2e_request_latency_seconds",
            "gen_ai.server.request.duration",
        ),
    ],
};

/// Triton Inference Server's `/metrics` (documentation, "Metrics").
pub(super) const TRITON: Vocabulary = Vocabulary {
    name: "Triton",
    version: "2",
    is_canonical: false,
    attributes: &[],
    metrics: &[
        same("nv_inference_pending_request_count", "queue.depth"),
        same("nv_inference_request_success", "queue.completions"),
        same(
            "nv_inference_request_failure",
            "radiosonde.inference.failures",
        ),
        same("nv_inference_exec_count", "radiosonde.inference.batches"),
        scaled("nv_inference_queue_duration_us", "queue.wait.total", US),
        scaled(
            "nv_inference_compute_input_duration_us",
            "radiosonde.inference.input.total",
            US,
        ),
        scaled(
            "nv_inference_compute_infer_duration_us",
            "radiosonde.inference.compute.total",
            US,
        ),
        scaled(
            "nv_inference_compute_output_duration_us",
            "radiosonde.inference.output.total",
            US,
        ),
        scaled(
            "nv_inference_request_duration_us",
            "radiosonde.inference.request.total",
            US,
        ),
        scaled(
            "nv_inference_first_response_histogram_ms",
            "radiosonde.gen_ai.first_response.duration",
            MS,
        ),
        same("nv_gpu_utilization", "hw.gpu.utilization"),
        same("nv_gpu_memory_used_bytes", "hw.gpu.memory.usage"),
        same("nv_gpu_memory_total_bytes", "hw.gpu.memory.limit"),
        same("nv_gpu_power_usage", "hw.power"),
        same("nv_gpu_power_limit", "hw.gpu.power.limit"),
        same("nv_energy_consumption", "hw.energy"),
    ],
};

/// NVIDIA's DCGM exporter (documentation; `etc/default-counters.csv`).
pub(super) const DCGM: Vocabulary = Vocabulary {
    name: "DCGM",
    version: "4",
    is_canonical: false,
    attributes: &[same("UUID", "hw.id"), same("modelName", "hw.model")],
    metrics: &[
        scaled("DCGM_FI_DEV_GPU_UTIL", "hw.gpu.utilization", PERCENT),
        scaled("DCGM_FI_DEV_FB_USED", "hw.gpu.memory.usage", MIB),
        scaled("DCGM_FI_DEV_FB_FREE", "hw.gpu.memory.free", MIB),
        scaled("DCGM_FI_DEV_FB_RESERVED", "hw.gpu.memory.reserved", MIB),
        same("DCGM_FI_DEV_POWER_USAGE", "hw.power"),
        scaled("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "hw.energy", MS),
        same("DCGM_FI_DEV_GPU_TEMP", "hw.temperature"),
        same(
            "DCGM_FI_DEV_MEMORY_TEMP",
            "radiosonde.gpu.memory.temperature",
        ),
        same("DCGM_FI_DEV_SM_CLOCK", "hw.gpu.clock.graphics"),
        same("DCGM_FI_DEV_MEM_CLOCK", "hw.gpu.clock.memory"),
        scaled(
            "DCGM_FI_DEV_MEM_COPY_UTIL",
            "radiosonde.gpu.memory.copy.utilization",
            PERCENT,
        ),
        scaled(
            "DCGM_FI_DEV_ENC_UTIL",
            "hw.gpu.encoder.utilization",
            PERCENT,
        ),
        scaled(
            "DCGM_FI_DEV_DEC_UTIL",
            "hw.gpu.decoder.utilization",
            PERCENT,
        ),
        same("DCGM_FI_DEV_XID_ERRORS", "radiosonde.gpu.xid"),
        same(
            "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
            "radiosonde.gpu.pcie.replays",
        ),
        same(
            "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
            "radiosonde.gpu.nvlink.throughput",
        ),
        same(
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
            "radiosonde.gpu.graphics.utilization",
        ),
        same("DCGM_FI_PROF_SM_ACTIVE", "radiosonde.gpu.sm.utilization"),
        same("DCGM_FI_PROF_SM_OCCUPANCY", "radiosonde.gpu.sm.occupancy"),
        same(
            "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
            "radiosonde.gpu.tensor.utilization",
        ),
        same(
            "DCGM_FI_PROF_DRAM_ACTIVE",
            "radiosonde.gpu.dram.bandwidth.utilization",
        ),
        same("DCGM_FI_PROF_PCIE_TX_BYTES", "radiosonde.gpu.pcie.transmit"),
        same("DCGM_FI_PROF_PCIE_RX_BYTES", "radiosonde.gpu.pcie.receive"),
    ],
};
