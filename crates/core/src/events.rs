//! The events that Radiosonde defines. Users' own events are equal to these in every respect.
//!
//! Names follow OpenTelemetry; the names of the design notes are aliases, accepted wherever a name is. The order of
//! [`BUILT_IN`] is the order of the documentation.

mod gpu;
mod health;
mod memory;
mod model;
mod own;
mod queue;
mod worker;

use serde::{Serialize, Serializer};

pub use gpu::*;
pub use health::*;
pub use memory::*;
pub use model::*;
pub use own::*;
pub use queue::*;
pub use worker::*;

pub use crate::custom::CustomMetric;

use crate::event::{AnyEvent, Descriptor, Event};

macro_rules! built_in {
    ($($event:ident,)*) => {
        /// Every built-in event type, in the order of the documentation.
        pub static BUILT_IN: &[&Descriptor] = &[$(<$event<'static> as Event>::DESCRIPTOR,)*];

        /// Any built-in event with its type, or one that this program does not know. As JSON it is `{"type", "data"}`;
        /// read JSON into an [`AnyEvent`] and look at it through [`AnyEvent::view`].
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum MetricEvent<'a> {
            $(
                #[doc = concat!("[`", stringify!($event), "`].")]
                $event($event<'a>),
            )*
            /// An event of another type, or of a known type with fields that do not fit it.
            Unknown(&'a AnyEvent),
        }

        impl Serialize for MetricEvent<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$event(event) => event.serialize(serializer),)*
                    Self::Unknown(event) => event.serialize(serializer),
                }
            }
        }

        $(
            impl<'a> From<$event<'a>> for MetricEvent<'a> {
                fn from(event: $event<'a>) -> Self {
                    Self::$event(event)
                }
            }
        )*

        impl AnyEvent {
            /// The event with its type, where it is a built-in one whose fields fit.
            pub fn view(&self) -> MetricEvent<'_> {
                $(
                    if let Some(Ok(event)) = self.read::<$event<'_>>() {
                        return MetricEvent::$event(event);
                    }
                )*
                MetricEvent::Unknown(self)
            }
        }
    };
}

built_in! {
    GpuKernelDispatched,
    GpuOpCompleted,
    InternalKernelCompleted,
    ResourceCacheAccess,
    GpuKernelCompiled,
    GpuDeviceSynchronized,
    GpuOpFailed,
    GpuDeviceSampled,
    GpuMemorySampled,
    MemoryAllocated,
    MemoryReleased,
    MemoryImbalanced,
    LatencyEvent,
    MemoryEvent,
    TensorOp,
    Inference,
    GenerationCompleted,
    TrainStep,
    CallStarted,
    CallCompleted,
    CallFailed,
    PoolCheckedOut,
    PoolCheckedIn,
    PoolSized,
    PoolViolated,
    QueueEnqueued,
    QueueStarted,
    QueueFinished,
    Serialized,
    WorkerCrashed,
    WorkerHeartbeatMissed,
    CircuitBreakerOpened,
    CircuitBreakerHalfOpened,
    CircuitBreakerClosed,
    CircuitBreakerCalled,
    CircuitBreakerCallEnded,
    HealthWorsened,
    HealthRecovered,
    HealthAlert,
    BridgeCompiled,
    CustomMetric,
    RecordsLost,
    ClockStepped,
    CollectorThrottled,
    HandlerDetached,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn json(event: impl Serialize) -> String {
        serde_json::to_string(&event).unwrap()
    }

    #[test]
    fn the_four_events_of_the_first_design_note_keep_their_json() {
        assert_eq!(
            json(GpuKernelDispatched {
                kernel_name: "gemm",
                op_name: "matmul_q_k",
                thread_groups: (8, 4, 1)
            }),
            r#"{"type":"GpuKernelDispatched","data":{"kernel_name":"gemm","op_name":"matmul_q_k","thread_groups":[8,4,1]}}"#
        );
        assert_eq!(
            json(MetricEvent::from(GpuOpCompleted {
                op_name: "attention_matmul",
                backend: "Mlx",
                duration: Duration::from_nanos(152_300),
                timing_source: None
            })),
            r#"{"type":"GpuOpCompleted","data":{"op_name":"attention_matmul","backend":"Mlx","duration_us":152,"duration_ns":152300}}"#
        );
        assert_eq!(
            json(InternalKernelCompleted {
                parent_op_name: "mps_matmul",
                internal_kernel_name: "gemm_f16",
                duration: Duration::from_nanos(300)
            }),
            r#"{"type":"InternalKernelCompleted","data":{"parent_op_name":"mps_matmul","internal_kernel_name":"gemm_f16","duration_us":0,"duration_ns":300}}"#
        );
        assert_eq!(
            json(ResourceCacheAccess {
                cache_key: "pipeline",
                hit: true,
                bytes: 4096
            }),
            r#"{"type":"ResourceCacheAccess","data":{"cache_key":"pipeline","hit":true,"bytes":4096}}"#
        );
    }

    #[test]
    fn json_of_the_design_notes_is_read_and_what_is_unknown_is_kept() {
        let text = r#"{"type":"GpuOpCompleted","data":{"op_name":"softmax","backend":"Mps","duration_us":7,"data":{"batch":"2"}}}"#;
        let event: AnyEvent = serde_json::from_str(text).unwrap();
        let MetricEvent::GpuOpCompleted(op) = event.view() else {
            panic!("{event:?}")
        };
        assert_eq!(op.duration, Duration::from_micros(7));
        assert_eq!(json(&event), text);

        let text = r#"{"type":"snakepit.memory.gpu","data":{"device":"cuda:0","allocated_mb":1,"reserved_mb":2,"free_mb":6,"total_mb":8}}"#;
        let event: AnyEvent = serde_json::from_str(text).unwrap();
        let MetricEvent::GpuMemorySampled(memory) = event.view() else {
            panic!("{event:?}")
        };
        assert_eq!(
            (memory.allocated_bytes, memory.total_bytes),
            (1 << 20, 8 << 20)
        );
        assert!(memory.is_consistent());

        let text = r#"{"type":"snakepit.call.stop","data":{"operation":"o","library":"numpy","function":"dot","result":"ok","duration":1500,"queue_time":500,"python_time":900}}"#;
        let event: AnyEvent = serde_json::from_str(text).unwrap();
        let MetricEvent::CallCompleted(call) = event.view() else {
            panic!("{event:?}")
        };
        assert_eq!(
            (call.duration, call.queue, call.execute, call.serialize),
            (
                Duration::from_nanos(1500),
                Some(Duration::from_nanos(500)),
                Some(Duration::from_nanos(900)),
                None
            )
        );

        let text = r#"{"type":"SomethingNew","data":{"a":[1,{"b":null}],"c":-2.5}}"#;
        let event: AnyEvent = serde_json::from_str(text).unwrap();
        assert_eq!(event.view(), MetricEvent::Unknown(&event));
        assert_eq!(json(event.view()), text);
    }
}
