"""Roo's kinds of providers, and what each is here: the fields of its profiles, and where it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of Roo's: our provider's id ("" where its address says which), the fields of its key, model and address,
    and for one that is not among those we know by name, its usual address.
    """

    provider: str
    key: str
    model: str = "apiModelId"
    url: str = ""
    usual: str = ""
    name: str = ""
    # Whether its address is written without the version that ours has.
    is_bare: bool = False


KINDS: Mapping[str, Kind] = {
    "anthropic": Kind("anthropic", "apiKey", url="anthropicBaseUrl"),
    "openai-native": Kind("openai", "openAiNativeApiKey", url="openAiNativeBaseUrl"),
    "gemini": Kind("google", "geminiApiKey", url="googleGeminiBaseUrl"),
    "openrouter": Kind("openrouter", "openRouterApiKey", "openRouterModelId", "openRouterBaseUrl"),
    "deepseek": Kind("deepseek", "deepSeekApiKey", url="deepSeekBaseUrl"),
    "mistral": Kind("mistral", "mistralApiKey"),
    "xai": Kind("xai", "xaiApiKey"),
    "groq": Kind("groq", "groqApiKey"),
    "cerebras": Kind("cerebras", "cerebrasApiKey"),
    "openai": Kind("", "openAiApiKey", "openAiModelId", "openAiBaseUrl", "https://api.openai.com/v1"),
    "ollama": Kind("ollama", "ollamaApiKey", "ollamaModelId", "ollamaBaseUrl", "http://localhost:11434", "Ollama",
                   is_bare=True),
    "lmstudio": Kind("lmstudio", "", "lmStudioModelId", "lmStudioBaseUrl", "http://localhost:1234", "LM Studio",
                     is_bare=True),
    "litellm": Kind("litellm", "litellmApiKey", "litellmModelId", "litellmBaseUrl", "http://localhost:4000", "LiteLLM"),
    "requesty": Kind("requesty", "requestyApiKey", "requestyModelId", "requestyBaseUrl",
                     "https://router.requesty.ai/v1", "Requesty"),
    "unbound": Kind("unbound", "unboundApiKey", "unboundModelId", "", "https://api.getunbound.ai/v1", "Unbound"),
    "glama": Kind("glama", "glamaApiKey", "glamaModelId", "", "https://glama.ai/api/gateway/openai/v1", "Glama"),
    "fireworks": Kind("fireworks", "fireworksApiKey", usual="https://api.fireworks.ai/inference/v1",
                      name="Fireworks AI"),
    "sambanova": Kind("sambanova", "sambaNovaApiKey", usual="https://api.sambanova.ai/v1", name="SambaNova"),
    "moonshot": Kind("moonshot", "moonshotApiKey", url="moonshotBaseUrl", usual="https://api.moonshot.ai/v1",
                     name="Moonshot"),
    "minimax": Kind("minimax", "minimaxApiKey", url="minimaxBaseUrl", usual="https://api.minimax.io/v1",
                    name="MiniMax"),
    "chutes": Kind("chutes", "chutesApiKey", usual="https://llm.chutes.ai/v1", name="Chutes"),
    "huggingface": Kind("huggingface", "huggingFaceApiKey", "huggingFaceModelId", "",
                        "https://router.huggingface.co/v1", "Hugging Face"),
    "featherless": Kind("featherless", "featherlessApiKey", usual="https://api.featherless.ai/v1", name="Featherless"),
    "deepinfra": Kind("deepinfra", "deepInfraApiKey", "deepInfraModelId", "deepInfraBaseUrl",
                      "https://api.deepinfra.com/v1/openai", "DeepInfra"),
    "doubao": Kind("doubao", "doubaoApiKey", url="doubaoBaseUrl", usual="https://ark.cn-beijing.volces.com/api/v3",
                   name="Doubao"),
    "vercel-ai-gateway": Kind("vercel-ai-gateway", "vercelAiGatewayApiKey", "vercelAiGatewayModelId", "",
                              "https://ai-gateway.vercel.sh/v1", "Vercel AI Gateway"),
    "baseten": Kind("baseten", "basetenApiKey", usual="https://inference.baseten.co/v1", name="Baseten"),
    "io-intelligence": Kind("io-intelligence", "ioIntelligenceApiKey", "ioIntelligenceModelId", "",
                            "https://api.intelligence.io.solutions/api/v1", "IO Intelligence"),
    "zai": Kind("zai", "zaiApiKey", usual="https://api.z.ai/api/coding/paas/v4", name="Z.ai"),
}  # fmt: skip

# Z.ai is at another address for each of its lines.
ZAI_LINES = {
    "international_coding": "https://api.z.ai/api/coding/paas/v4",
    "china_coding": "https://open.bigmodel.cn/api/coding/paas/v4",
    "international_api": "https://api.z.ai/api/paas/v4",
    "china_api": "https://open.bigmodel.cn/api/paas/v4",
}

_OTHER_LOGIN = "It signs in by the login of another program, which is not in the file."
NONE_HERE: Mapping[str, str] = {
    "bedrock": "Amazon Bedrock signs its requests in a way that nothing here speaks.",
    "vertex": "Vertex AI signs in with an account of Google Cloud, which nothing here does.",
    "vscode-lm": "The model is one of the editor's own.",
    "human-relay": "There is no model behind it: people carry the words.",
    "fake-ai": "There is no model behind it.",
    "roo": "It signs in at Roo's own cloud.",
    **dict.fromkeys(("gemini-cli", "openai-codex", "qwen-code", "claude-code"), _OTHER_LOGIN),
}

# What of a profile has no place here: a profile is a model under a name.
LEFT_OUT = (
    "modelTemperature", "modelMaxTokens", "modelMaxThinkingTokens", "reasoningEffort", "verbosity", "rateLimitSeconds",
    "openAiHeaders", "openAiHostHeader", "openAiCustomModelInfo", "openAiR1FormatEnabled", "openAiNativeServiceTier",
    "openRouterSpecificProvider", "anthropicBeta1MContext", "mistralCodestralUrl", "ollamaNumCtx", "enableUrlContext",
    "enableGrounding", "lmStudioDraftModelId", "huggingFaceInferenceProvider",
)  # fmt: skip
