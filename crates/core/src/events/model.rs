//! What a model does: phases of a forward pass, memory it holds, inference, training, tensor operations.

use std::time::Duration;

use crate::{Event, event::ShapeList};

/// A phase of a model's forward step ended.
///
/// `embedding`, `forward`, `output` and `sampling` are phases of the step; `block` is the whole of one transformer
/// block; any other phase with a block is one that the model defines inside it.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "model.phase", type = "LatencyEvent")]
pub struct LatencyEvent<'a> {
    /// The phase.
    #[label]
    pub phase: &'a str,
    /// The transformer block, counted from 0.
    pub block: Option<u32>,
    /// The phases that it is inside of, then itself: `forward/block 3/sdpa`.
    pub path: &'a str,
    /// The forward step, numbered within the process.
    pub step: u64,
    /// How long it took.
    #[measure(histogram, name = "model.phase.duration")]
    #[event(micros = "duration_us")]
    pub duration: Duration,
}

/// What a part of a model's memory holds, and how it changed. Which fields there are depends on `kind`.
#[derive(Event, Clone, Copy, Debug, Default, PartialEq)]
#[event(name = "model.memory", type = "MemoryEvent")]
pub struct MemoryEvent<'a> {
    /// What happened: `pool`, `kv_cache`, `resident` or `baseline` was read, memory was `allocated` or `released`, a
    /// `phase` ended, the header of a file of `weights` was read, or a `tensor` was found in it.
    #[label]
    pub kind: &'a str,
    /// The part: a pool or model by its name, `kv_cache`, `process` or one that the model defines.
    #[label]
    pub component: &'a str,
    /// The device that holds it: `cpu`, `cuda:0` ...
    #[label]
    pub device: &'a str,
    /// The phase in which it changed, by its path.
    pub phase: Option<&'a str>,
    /// Bytes in use now.
    #[measure(gauge, name = "model.memory.usage", unit = "By")]
    pub used_bytes: Option<u64>,
    /// Bytes set aside, in use or not.
    #[measure(gauge, name = "model.memory.reserved", unit = "By")]
    pub reserved_bytes: Option<u64>,
    /// Bytes taken minus bytes given back.
    pub delta_bytes: Option<i64>,
    /// Tokens in the KV caches.
    pub tokens: Option<u64>,
    /// The tensor's name; with `weights`, that of the first tensor, which tells files apart.
    pub tensor: Option<&'a str>,
    /// The tensor's size in bytes; with `weights`, that of all tensors in the file.
    pub tensor_bytes: Option<u64>,
    /// Why there is no number.
    pub reason: Option<&'a str>,
}

/// An operation on tensors ended.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "ml.tensor_op", level = "debug", alias("snakepit.ml.tensor_op"))]
pub struct TensorOp<'a> {
    /// The operation, for example `matmul`.
    #[label]
    pub op: &'a str,
    /// The shapes of its inputs.
    pub input_shapes: ShapeList<'a>,
    /// The shape of its output.
    pub output_shape: &'a [u64],
    /// The element type, for example `f16`.
    #[label]
    pub dtype: &'a str,
    /// Where it ran.
    #[label]
    pub device: &'a str,
    /// How long it took.
    #[measure(histogram, name = "ml.tensor_op.duration")]
    #[event(alias("duration"))]
    pub duration: Duration,
    /// Elements of all inputs.
    pub input_elements: u64,
    /// Elements of the output.
    pub output_elements: u64,
}

/// Elements in a tensor of `shape`: the product of its dimensions, 1 for a scalar.
pub fn elements(shape: &[u64]) -> u64 {
    shape
        .iter()
        .fold(1, |all, &dimension| all.saturating_mul(dimension))
}

impl<'a> TensorOp<'a> {
    /// The event with its element counts, which follow from the shapes: the products of the dimensions, summed
    /// over the inputs.
    pub fn new(
        op: &'a str,
        input_shapes: ShapeList<'a>,
        output_shape: &'a [u64],
        dtype: &'a str,
        device: &'a str,
        duration: Duration,
    ) -> Self {
        Self {
            op,
            input_shapes,
            output_shape,
            dtype,
            device,
            duration,
            input_elements: input_shapes
                .iter()
                .fold(0, |sum, shape| sum.saturating_add(elements(shape))),
            output_elements: elements(output_shape),
        }
    }
}

/// A model answered a batch.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(
    name = "ml.inference",
    alias("snakepit.ml.inference"),
    count = "ml.inference.count"
)]
pub struct Inference<'a> {
    /// The model.
    #[label]
    pub model: &'a str,
    /// Where it ran.
    #[label]
    pub device: &'a str,
    /// How long the batch took.
    #[measure(histogram, name = "ml.inference.duration")]
    #[event(alias("duration"))]
    pub duration: Duration,
    /// Requests in the batch.
    #[measure(histogram, name = "ml.inference.batch_size", unit = "{request}", bounds = [1, 2, 4, 8, 16, 32, 64, 128, 256])]
    pub batch_size: u64,
    /// Tokens generated, where the model generates any.
    #[measure(counter, name = "ml.inference.tokens", unit = "{token}")]
    pub tokens: Option<u64>,
    /// Tokens generated a second.
    #[measure(gauge, name = "ml.inference.tokens_per_second", unit = "{token}/s")]
    pub tokens_per_second: Option<f64>,
}

/// Tokens a second, or `None` where there are no tokens or no time passed.
pub fn tokens_per_second(tokens: Option<u64>, duration: Duration) -> Option<f64> {
    let tokens = tokens.filter(|&tokens| tokens > 0)?;
    (!duration.is_zero()).then(|| tokens as f64 / duration.as_secs_f64())
}

impl<'a> Inference<'a> {
    /// The event with its token rate, which follows from tokens and duration.
    pub fn new(
        model: &'a str,
        device: &'a str,
        duration: Duration,
        batch_size: u64,
        tokens: Option<u64>,
    ) -> Self {
        Self {
            model,
            device,
            duration,
            batch_size,
            tokens,
            tokens_per_second: tokens_per_second(tokens, duration),
        }
    }
}

/// A generative model answered one request. Metrics and bounds are those of OpenTelemetry's semantic conventions
/// for generative AI, v1.41.1.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "gen_ai.server.request")]
pub struct GenerationCompleted<'a> {
    /// The model that was asked for.
    #[label]
    #[event(rename = "gen_ai.request.model", alias("model"))]
    pub model: &'a str,
    /// What was asked of it, for example `chat` or `text_completion`.
    #[label]
    #[event(rename = "gen_ai.operation.name", alias("operation"))]
    pub operation: &'a str,
    /// Why it failed, where it did: of low cardinality.
    #[label]
    #[event(rename = "error.type")]
    pub error_type: Option<&'a str>,
    /// From the request's arrival to its last token.
    #[measure(histogram, name = "gen_ai.server.request.duration", bounds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92])]
    pub duration: Duration,
    /// From the request's arrival to its first token.
    #[measure(histogram, name = "gen_ai.server.time_to_first_token", bounds = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10])]
    pub time_to_first_token: Option<Duration>,
    /// Time between tokens after the first, on average.
    #[measure(histogram, name = "gen_ai.server.time_per_output_token", bounds = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5])]
    pub time_per_output_token: Option<Duration>,
    /// How long the request waited before work on it began.
    #[measure(histogram, name = "radiosonde.gen_ai.queue.duration")]
    pub queue: Option<Duration>,
    /// Tokens in the prompt.
    #[measure(counter, name = "radiosonde.gen_ai.input_tokens", unit = "{token}")]
    #[event(rename = "gen_ai.usage.input_tokens")]
    pub input_tokens: u64,
    /// Tokens generated.
    #[measure(counter, name = "radiosonde.gen_ai.output_tokens", unit = "{token}")]
    #[event(rename = "gen_ai.usage.output_tokens")]
    pub output_tokens: u64,
}

/// A step of training ended.
#[derive(Event, Clone, Copy, Debug, PartialEq)]
#[event(name = "ml.train_step", alias("snakepit.ml.train_step"))]
pub struct TrainStep<'a> {
    /// The model.
    #[label]
    pub model: &'a str,
    /// The pass over the data, counted as the trainer counts.
    pub epoch: u64,
    /// The step, counted as the trainer counts.
    pub step: u64,
    /// How long it took.
    #[measure(histogram, name = "ml.train_step.duration")]
    #[event(alias("duration"))]
    pub duration: Duration,
    /// The loss; may be infinite or not a number when training diverges.
    #[measure(gauge, name = "ml.loss", unit = "1")]
    pub loss: f64,
    /// The learning rate.
    #[measure(gauge, name = "ml.learning_rate", unit = "1")]
    pub learning_rate: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn element_counts_are_sums_of_products() {
        let op = TensorOp::new(
            "matmul",
            ShapeList::Slices(&[&[2, 3, 4], &[4, 5], &[]]),
            &[2, 3, 5],
            "f32",
            "cpu",
            Duration::from_micros(7),
        );
        assert_eq!((op.input_elements, op.output_elements), (24 + 20 + 1, 30));
        assert_eq!(elements(&[u64::MAX, 2]), u64::MAX);
        assert_eq!(elements(&[3, 0, 5]), 0);
    }

    #[test]
    fn no_tokens_or_no_time_is_no_rate() {
        let second = Duration::from_secs(2);
        let rate =
            |tokens, duration| Inference::new("m", "cpu", duration, 1, tokens).tokens_per_second;
        assert_eq!(rate(Some(50), second), Some(25.0));
        assert_eq!(rate(Some(0), second), None);
        assert_eq!(rate(None, second), None);
        assert_eq!(rate(Some(50), Duration::ZERO), None);
    }
}
