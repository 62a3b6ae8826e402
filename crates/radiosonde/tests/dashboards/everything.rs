//! Every event that feeds a metric, once a call.

use std::time::Duration;

use radiosonde::{
    core::{
        event::ShapeList,
        events::{
            BridgeCompiled, CallCompleted, CallFailed, CallStarted, CircuitBreakerCallEnded,
            CircuitBreakerCalled, CircuitBreakerClosed, CircuitBreakerHalfOpened,
            CircuitBreakerOpened, CollectorThrottled, GenerationCompleted, GpuDeviceSampled,
            GpuDeviceSynchronized, GpuKernelCompiled, GpuMemorySampled, GpuOpCompleted,
            GpuOpFailed, HandlerDetached, HealthAlert, HealthRecovered, HealthWorsened, Inference,
            InternalKernelCompleted, LatencyEvent, MemoryAllocated, MemoryEvent, MemoryImbalanced,
            MemoryReleased, PoolCheckedIn, PoolCheckedOut, PoolSized, PoolViolated, QueueEnqueued,
            QueueFinished, QueueStarted, ResourceCacheAccess, Serialized, TensorOp, TrainStep,
            WorkerCrashed, WorkerHeartbeatMissed,
        },
    },
    instrument,
    macros::record,
};

/// Records everything once; `step` makes durations and values differ.
pub fn once(step: u64) {
    let duration = Duration::from_millis(1 + step % 50);
    let _ = work(step.is_multiple_of(4));
    gpu(duration, step);
    memory(step);
    model(duration, step);
    calls(duration);
    pools(duration);
    queues(duration);
    own();
}

#[instrument(err)]
fn work(fails: bool) -> Result<(), &'static str> {
    if fails { Err("as asked") } else { Ok(()) }
}

fn gpu(duration: Duration, step: u64) {
    let (op_name, backend, device) = ("matmul", "mlx", "cuda:0");
    record!(GpuOpCompleted {
        op_name,
        backend,
        duration,
        timing_source: None
    });
    if step.is_multiple_of(4) {
        record!(GpuOpFailed {
            op_name,
            backend,
            error_type: "out_of_memory",
            message: None
        });
    }
    record!(InternalKernelCompleted {
        parent_op_name: op_name,
        internal_kernel_name: "gemm_f16",
        duration
    });
    record!(ResourceCacheAccess {
        cache_key: "pipeline",
        hit: step.is_multiple_of(2),
        bytes: 4096
    });
    record!(GpuKernelCompiled {
        kernel_name: "gemm",
        backend,
        duration
    });
    record!(GpuDeviceSynchronized { device, duration });
    record!(GpuDeviceSampled {
        device,
        utilization: Some((step % 100) as f64 / 100.0),
        memory_used_bytes: Some(6 << 30),
        memory_limit_bytes: Some(8 << 30),
        memory_bandwidth_utilization: Some(0.4),
        temperature_celsius: Some(61.0),
        power_watts: Some(240.0),
    });
    record!(GpuMemorySampled {
        device,
        allocated_bytes: 3 << 30,
        reserved_bytes: 4 << 30,
        free_bytes: 2 << 30,
        total_bytes: 8 << 30,
    });
}

fn memory(step: u64) {
    let (kind, device) = ("gpu", Some("cuda:0"));
    record!(MemoryAllocated {
        kind,
        device,
        bytes: 2048
    });
    record!(MemoryReleased {
        kind,
        device,
        bytes: 1024
    });
    record!(MemoryImbalanced {
        kind: "cpu",
        device: None,
        outstanding_bytes: -1
    });
    record!(MemoryEvent {
        kind: "pool",
        component: "activations",
        device: "cuda:0",
        used_bytes: Some(1 << 20 | step),
        reserved_bytes: Some(1 << 21),
        ..MemoryEvent::default()
    });
}

fn model(duration: Duration, step: u64) {
    record!(LatencyEvent {
        phase: "forward",
        block: None,
        path: "forward",
        step,
        duration
    });
    record!(TensorOp::new(
        "matmul",
        ShapeList::Slices(&[&[2, 3], &[3, 4]]),
        &[2, 4],
        "f32",
        "cpu",
        duration
    ));
    record!(Inference::new("tiny", "cuda:0", duration, 4, Some(32)));
    record!(GenerationCompleted {
        model: "tiny",
        operation: "chat",
        error_type: step.is_multiple_of(3).then_some("timeout"),
        duration,
        time_to_first_token: Some(duration / 2),
        time_per_output_token: Some(duration / 10),
        queue: Some(duration / 20),
        input_tokens: 12,
        output_tokens: 34,
    });
    record!(TrainStep {
        model: "tiny",
        epoch: 1,
        step,
        duration,
        loss: 0.3,
        learning_rate: 0.001
    });
}

fn calls(duration: Duration) {
    let (operation, library, function) = ("embed", "numpy", "dot");
    record!(CallStarted {
        operation,
        library,
        function,
        worker_id: None,
        device: None,
        system_time_unix_ns: None
    });
    record!(CallCompleted {
        operation,
        library,
        function,
        result: "error",
        error_type: Some("ValueError"),
        duration,
        queue: Some(duration / 10),
        serialize: Some(duration / 10),
        execute: Some(duration / 2),
        deserialize: Some(duration / 10),
    });
    record!(CallFailed {
        operation,
        library: Some(library),
        kind: "error",
        error_type: "ValueError",
        reason: "no",
        stacktrace: None,
        duration
    });
    record!(Serialized {
        direction: "encode",
        format: "json",
        duration,
        bytes: 100
    });
    record!(BridgeCompiled {
        library,
        phase: "generate",
        duration
    });
}

fn pools(duration: Duration) {
    let (pool, worker_id) = ("python", "python-1");
    record!(PoolCheckedOut {
        pool,
        worker_id,
        queue: duration
    });
    record!(PoolCheckedIn {
        pool,
        worker_id,
        busy: duration
    });
    record!(PoolSized {
        pool,
        size: 4,
        idle: 1,
        busy: 3,
        queue_depth: Some(2)
    });
    record!(PoolViolated {
        pool,
        size: 4,
        idle: 1,
        busy: 2
    });
    record!(WorkerCrashed {
        kind: "signal",
        device: None,
        worker_id: Some(worker_id),
        signal: Some(9),
        exit_code: None
    });
    record!(WorkerHeartbeatMissed {
        pool,
        worker_id,
        silence: duration
    });
    health();
}

fn health() {
    record!(CircuitBreakerOpened {
        device: Some("cuda:0"),
        failure_count: 3
    });
    record!(CircuitBreakerHalfOpened {
        device: Some("cuda:0")
    });
    record!(CircuitBreakerClosed {
        device: Some("cuda:0")
    });
    record!(CircuitBreakerCallEnded {
        device: Some("0"),
        result: "success",
        duration: Duration::from_millis(3),
    });
    record!(HealthWorsened {
        check: "disk",
        status: "degraded",
        previous: "healthy",
        message: "nearly full",
    });
    record!(HealthRecovered {
        check: "disk",
        status: "healthy",
        previous: "degraded",
        message: "",
    });
    record!(CircuitBreakerCalled {
        device: Some("cuda:0"),
        allowed: false
    });
    record!(HealthAlert {
        alert_type: "crashes",
        crash_count: 3
    });
}

fn queues(duration: Duration) {
    let (queue, item, worker) = ("jobs", "job-1", "worker-1");
    record!(QueueEnqueued {
        queue,
        item,
        capacity: None
    });
    record!(QueueStarted {
        queue,
        item,
        worker,
        waited: duration
    });
    record!(QueueFinished {
        queue,
        item,
        result: "ok",
        worker: Some(worker),
        worked: Some(duration)
    });
}

/// What the library says of itself.
fn own() {
    record!(CollectorThrottled {
        collector: "host",
        cost: 0.02,
        limit: 0.01,
        action: "off"
    });
    record!(HandlerDetached {
        handler: "mine",
        event: "gpu.op",
        message: "no"
    });
}
