//! Who speaks of models, prompts and tokens.

use super::{Name, Vocabulary, own, same};

/// OpenTelemetry's conventions for GenAI as of their last version in the main repository.
pub(super) const GEN_AI: Vocabulary = Vocabulary {
    name: "OpenTelemetry GenAI",
    version: "1.41",
    is_canonical: true,
    attributes: GEN_AI_ATTRIBUTES,
    metrics: &[
        own("gen_ai.client.token.usage"),
        own("gen_ai.client.operation.duration"),
        own("gen_ai.client.operation.time_to_first_chunk"),
        own("gen_ai.client.operation.time_per_output_chunk"),
        own("gen_ai.server.request.duration"),
        own("gen_ai.server.time_per_output_token"),
        own("gen_ai.server.time_to_first_token"),
        own("gen_ai.workflow.duration"),
        own("gen_ai.invoke_agent.duration"),
        own("gen_ai.execute_tool.duration"),
    ],
};

const GEN_AI_ATTRIBUTES: &[Name] = &[
    own("gen_ai.provider.name"),
    own("gen_ai.operation.name"),
    own("gen_ai.request.model"),
    own("gen_ai.request.max_tokens"),
    own("gen_ai.request.temperature"),
    own("gen_ai.request.top_p"),
    own("gen_ai.request.top_k"),
    own("gen_ai.request.frequency_penalty"),
    own("gen_ai.request.presence_penalty"),
    own("gen_ai.request.stop_sequences"),
    own("gen_ai.request.seed"),
    own("gen_ai.request.stream"),
    own("gen_ai.response.id"),
    own("gen_ai.response.model"),
    own("gen_ai.response.finish_reasons"),
    own("gen_ai.response.time_to_first_chunk"),
    own("gen_ai.usage.input_tokens"),
    own("gen_ai.usage.output_tokens"),
    own("gen_ai.usage.cache_read.input_tokens"),
    own("gen_ai.usage.cache_creation.input_tokens"),
    own("gen_ai.usage.reasoning.output_tokens"),
    own("gen_ai.conversation.id"),
    own("gen_ai.output.type"),
    own("gen_ai.agent.name"),
    own("gen_ai.tool.name"),
    own("gen_ai.tool.call.id"),
    own("gen_ai.tool.description"),
    own("gen_ai.tool.type"),
    own("gen_ai.token.type"),
    own("gen_ai.input.messages"),
    own("gen_ai.output.messages"),
    own("gen_ai.system_instructions"),
];

/// The same until 1.26 (tokens) and 1.36 (system).
pub(super) const GEN_AI_BEFORE: Vocabulary = Vocabulary {
    name: "OpenTelemetry GenAI, older",
    version: "until 1.36",
    is_canonical: false,
    attributes: &[
        same("gen_ai.system", "gen_ai.provider.name"),
        same("gen_ai.usage.prompt_tokens", "gen_ai.usage.input_tokens"),
        same(
            "gen_ai.usage.completion_tokens",
            "gen_ai.usage.output_tokens",
        ),
        same("gen_ai.prompt", "gen_ai.input.messages"),
        same("gen_ai.completion", "gen_ai.output.messages"),
    ],
    metrics: &[],
};

/// OpenInference (Arize): specification, semantic conventions.
pub(super) const OPEN_INFERENCE: Vocabulary = Vocabulary {
    name: "OpenInference",
    version: "0.1",
    is_canonical: false,
    attributes: &[
        same("llm.model_name", "gen_ai.request.model"),
        same("llm.provider", "gen_ai.provider.name"),
        same("llm.token_count.prompt", "gen_ai.usage.input_tokens"),
        same("llm.token_count.completion", "gen_ai.usage.output_tokens"),
        same(
            "llm.token_count.prompt_details.cache_read",
            "gen_ai.usage.cache_read.input_tokens",
        ),
        same(
            "llm.token_count.prompt_details.cache_write",
            "gen_ai.usage.cache_creation.input_tokens",
        ),
        same(
            "llm.token_count.completion_details.reasoning",
            "gen_ai.usage.reasoning.output_tokens",
        ),
        same("llm.input_messages", "gen_ai.input.messages"),
        same("llm.output_messages", "gen_ai.output.messages"),
        same("session.id", "gen_ai.conversation.id"),
        same("tool.name", "gen_ai.tool.name"),
        same("tool.description", "gen_ai.tool.description"),
        same("tool_call.id", "gen_ai.tool.call.id"),
    ],
    metrics: &[],
};

/// OpenLLMetry (Traceloop) before it took up OpenTelemetry's names.
pub(super) const OPEN_LLMETRY: Vocabulary = Vocabulary {
    name: "OpenLLMetry",
    version: "until 0.17",
    is_canonical: false,
    attributes: &[
        same("llm.vendor", "gen_ai.provider.name"),
        same("llm.request.type", "gen_ai.operation.name"),
        same("llm.request.model", "gen_ai.request.model"),
        same("llm.response.model", "gen_ai.response.model"),
        same("llm.request.max_tokens", "gen_ai.request.max_tokens"),
        same("llm.temperature", "gen_ai.request.temperature"),
        same("llm.top_p", "gen_ai.request.top_p"),
        same("llm.top_k", "gen_ai.request.top_k"),
        same("llm.frequency_penalty", "gen_ai.request.frequency_penalty"),
        same("llm.presence_penalty", "gen_ai.request.presence_penalty"),
        same("llm.usage.prompt_tokens", "gen_ai.usage.input_tokens"),
        same("llm.usage.completion_tokens", "gen_ai.usage.output_tokens"),
    ],
    metrics: &[],
};
