//! What a GPU did: dispatches, operations, kernels inside frameworks, compilations, waits and errors.

use std::time::Duration;

use crate::Event;

/// A kernel was handed to the GPU.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "gpu.kernel.dispatch", alias("gpu_kernel_dispatched"))]
pub struct GpuKernelDispatched<'a> {
    /// The kernel's name in the shader or module.
    #[label]
    pub kernel_name: &'a str,
    /// The operation that the kernel belongs to.
    pub op_name: &'a str,
    /// The launch grid, in thread groups.
    pub thread_groups: (u32, u32, u32),
}

/// A GPU operation ended.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "gpu.op",
    alias("gpu_op_completed"),
    count = "gpu.operation.count"
)]
pub struct GpuOpCompleted<'a> {
    /// The operation.
    #[label]
    pub op_name: &'a str,
    /// What ran it, for example `Mlx`, `Mps`, `cuda` or `wgpu`.
    #[label]
    pub backend: &'a str,
    /// Time on the GPU's own clock, or on the clock that `timing_source` names.
    #[measure(histogram, name = "gpu.operation.duration")]
    #[event(micros = "duration_us")]
    pub duration: Duration,
    /// Which clock the duration was read from, where it is not the GPU's own.
    pub timing_source: Option<&'a str>,
}

/// A kernel that a framework ran inside an operation ended.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "gpu.kernel.internal", alias("internal_kernel_completed"))]
pub struct InternalKernelCompleted<'a> {
    /// The operation that the framework was asked for.
    #[label]
    pub parent_op_name: &'a str,
    /// The kernel that the framework chose.
    #[label]
    pub internal_kernel_name: &'a str,
    /// Time on the GPU.
    #[measure(histogram, name = "gpu.kernel.duration")]
    #[event(micros = "duration_us")]
    pub duration: Duration,
}

/// A cache of pipelines, buffers or other resources was asked for one.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "gpu.cache.access",
    alias("resource_cache_access"),
    count = "gpu.cache.access.count"
)]
pub struct ResourceCacheAccess<'a> {
    /// What was asked for, of low cardinality.
    #[label]
    pub cache_key: &'a str,
    /// Whether it was there.
    #[label]
    pub hit: bool,
    /// Size of the resource.
    #[measure(counter, unit = "By", name = "gpu.cache.bytes")]
    pub bytes: u64,
}

/// A kernel or pipeline was compiled.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "gpu.compile", alias("gpu_kernel_compiled"))]
pub struct GpuKernelCompiled<'a> {
    /// The kernel or pipeline.
    #[label]
    pub kernel_name: &'a str,
    /// What compiled it.
    #[label]
    pub backend: &'a str,
    /// How long the compiler took.
    #[measure(histogram, name = "gpu.compile.duration")]
    pub duration: Duration,
}

/// The host waited until a device was done.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "gpu.synchronize", alias("gpu_device_synchronized"))]
pub struct GpuDeviceSynchronized<'a> {
    /// The device, for example `cuda:0`.
    #[label]
    pub device: &'a str,
    /// How long the host waited.
    #[measure(histogram, name = "gpu.synchronize.duration")]
    pub duration: Duration,
}

/// A GPU operation failed.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "gpu.error",
    level = "error",
    alias("gpu_op_failed"),
    count = "gpu.operation.errors"
)]
pub struct GpuOpFailed<'a> {
    /// The operation.
    #[label]
    pub op_name: &'a str,
    /// What ran it.
    #[label]
    pub backend: &'a str,
    /// The kind of failure, of low cardinality, for example `out_of_memory`.
    #[label]
    #[event(rename = "error.type", alias("error_type"))]
    pub error_type: &'a str,
    /// What the driver or framework said.
    pub message: Option<&'a str>,
}

/// One reading of a device's counters. What the device does not give is left out.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "hw.gpu.sample", level = "debug", alias("gpu_device_sampled"))]
pub struct GpuDeviceSampled<'a> {
    /// The device, for example `cuda:0`.
    #[label]
    #[event(rename = "hw.id", alias("device"))]
    pub device: &'a str,
    /// Share of the time in which the device had work, from 0 to 1.
    #[measure(gauge, name = "hw.gpu.utilization", unit = "1")]
    pub utilization: Option<f64>,
    /// Device memory in use by all processes.
    #[measure(gauge, name = "hw.gpu.memory.usage", unit = "By")]
    pub memory_used_bytes: Option<u64>,
    /// Device memory there is.
    #[measure(gauge, name = "hw.gpu.memory.limit", unit = "By")]
    pub memory_limit_bytes: Option<u64>,
    /// Share of the device memory's bandwidth in use, from 0 to 1.
    #[measure(gauge, name = "radiosonde.gpu.dram.bandwidth.utilization", unit = "1")]
    pub memory_bandwidth_utilization: Option<f64>,
    /// Temperature of the processor.
    #[measure(gauge, name = "hw.temperature", unit = "Cel")]
    pub temperature_celsius: Option<f64>,
    /// Power drawn.
    #[measure(gauge, name = "hw.power", unit = "W")]
    pub power_watts: Option<f64>,
}
