"""Small random models of the families of causal models that transformers knows: one entry a configuration.

`build(name, folder)` writes one with a tokenizer: two or three layers, 64 numbers a state, windows of 8 tokens, so that
a text of a dozen tokens meets what makes the family special. Weights are large enough that every part shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

VOCABULARY, WINDOW = 400, 8
TURNS = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QUESTIONS = (
    ("when does the ferry leave", "at nine"), ("is the museum open today", "yes, until five"),
    ("how long is the walk to the lake", "two hours"), ("渡轮几点开", "九点"), ("博物馆今天开门吗", "开到五点"),
    ("到湖边要走多久", "两个小时"),
)  # fmt: skip

Make = Callable[[], Any]
_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "pad_token_id": 0,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "bos_token_id": 0,
    "eos_token_id": 2,
}  # fmt: skip
_IDS = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 2}
_GPT = {**_IDS, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512}
_MIXED: dict[str, Any] = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": WINDOW}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
_LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
_LATENT = {
    "kv_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16, "num_key_value_heads": 4,
}  # fmt: skip
_ROUTED = {
    "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 48,
    "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1,
}  # fmt: skip
_DELTA = {
    "layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    "linear_key_head_dim": 16, "linear_value_head_dim": 16,
}  # fmt: skip
_STATES = {
    "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 16, "mamba_n_groups": 1, "mamba_chunk_size": 16,
}  # fmt: skip
_PER_LAYER = {
    **_SIZES, **_MIXED, "vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 16, "head_dim": 16,
    "num_kv_shared_layers": 0,
}  # fmt: skip


def _of(kind: str, *without: str, **more: Any) -> Make:
    """A configuration of the usual sizes."""
    given = {k: v for k, v in (_SIZES | more).items() if k not in without}
    return lambda: getattr(transformers, kind)(**given)


def _only(kind: str, **given: Any) -> Make:
    """A configuration that names its sizes in its own way."""
    return lambda: getattr(transformers, kind)(**given)


FAMILIES: Mapping[str, Make] = {
    "Llama": _of("LlamaConfig", tie_word_embeddings=True),
    "Llama, biases": _of("LlamaConfig", attention_bias=True, mlp_bias=True),
    "Llama 3 (stretched positions)": _of("LlamaConfig", rope_parameters={
        "rope_type": "llama3", "rope_theta": 1e4, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 128}),
    "Llama 4": _of("Llama4TextConfig", head_dim=16, intermediate_size_mlp=96, num_local_experts=4,
                   num_experts_per_tok=1, attention_chunk_size=WINDOW, no_rope_layers=[1, 0],
                   layer_types=["chunked_attention", "full_attention"]),
    "Mistral": _of("MistralConfig", sliding_window=WINDOW),
    "Ministral 3": _of("Ministral3Config", head_dim=16),
    "Mixtral": _of("MixtralConfig", **_LOCAL_EXPERTS),
    "Qwen 2": _of("Qwen2Config", tie_word_embeddings=True),
    "Qwen 2 MoE": _of("Qwen2MoeConfig", **_EXPERTS, shared_expert_intermediate_size=48),
    "Qwen 3": _of("Qwen3Config", head_dim=16),
    "Qwen 3, wide heads": _of("Qwen3Config", head_dim=32),
    "Qwen 3 MoE": _of("Qwen3MoeConfig", **_EXPERTS, head_dim=16, decoder_sparse_step=1),
    "Qwen 3 Next": _of("Qwen3NextConfig", **_EXPERTS, **_DELTA, head_dim=16, shared_expert_intermediate_size=48),
    "Qwen 3.5": _of("Qwen3_5TextConfig", **_DELTA, head_dim=16),
    "Gemma": _of("GemmaConfig", head_dim=16),
    "Gemma 2": _of("Gemma2Config", head_dim=16, query_pre_attn_scalar=16, sliding_window=WINDOW),
    "Gemma 2, no caps": _of("Gemma2Config", head_dim=16, query_pre_attn_scalar=16, sliding_window=WINDOW,
                            attn_logit_softcapping=None, final_logit_softcapping=None),
    "Gemma 3": _of("Gemma3TextConfig", **_MIXED, head_dim=16, query_pre_attn_scalar=16),
    "Gemma 3n": _only("Gemma3nTextConfig", **_PER_LAYER, laurel_rank=8, altup_num_inputs=2,
                      activation_sparsity_pattern=[0.0, 0.0]),
    "Gemma 3n, shared keys": _only("Gemma3nTextConfig", **{
        **_PER_LAYER, "num_hidden_layers": 4, "num_kv_shared_layers": 2, "layer_types": 2 * _MIXED["layer_types"]},
        laurel_rank=8, altup_num_inputs=2, activation_sparsity_pattern=[0.0] * 4),
    "Gemma 4": _only("Gemma4TextConfig", **_PER_LAYER, global_head_dim=16),
    "VaultGemma": _of("VaultGemmaConfig", head_dim=16, query_pre_attn_scalar=16, sliding_window=WINDOW),
    "RecurrentGemma": _of("RecurrentGemmaConfig", num_hidden_layers=3, lru_width=64, head_dim=16,
                          attention_window_size=WINDOW, block_types=["recurrent", "recurrent", "attention"]),
    "Phi": _of("PhiConfig", partial_rotary_factor=0.5),
    "Phi 3": _of("Phi3Config", sliding_window=None),
    "Phi 3, window": _of("Phi3Config", sliding_window=WINDOW),
    "Phi 3, long positions": _of("Phi3Config", sliding_window=None, original_max_position_embeddings=64,
                                 rope_parameters={"rope_type": "longrope", "rope_theta": 1e4,
                                                  "short_factor": [1.0] * 8, "long_factor": [4.0] * 8,
                                                  "original_max_position_embeddings": 64}),
    "Phi MoE": _of("PhimoeConfig", **_LOCAL_EXPERTS),
    "StableLM": _of("StableLmConfig", partial_rotary_factor=0.25),
    "OLMo": _of("OlmoConfig"),
    "OLMo 2": _of("Olmo2Config"),
    "OLMo 3": _of("Olmo3Config", sliding_window=WINDOW),
    "OLMo hybrid": _of("OlmoHybridConfig", **_DELTA),
    "OLMoE": _of("OlmoeConfig", num_experts=4, num_experts_per_tok=2),
    "Granite": _of("GraniteConfig", logits_scaling=4.0, embedding_multiplier=2.0, residual_multiplier=0.5,
                   attention_multiplier=0.2),
    "Granite MoE": _of("GraniteMoeConfig", **_LOCAL_EXPERTS),
    "Granite MoE hybrid": _of("GraniteMoeHybridConfig", **_STATES, num_local_experts=0, mamba_expand=2,
                              shared_intermediate_size=96, layer_types=["mamba", "attention"]),
    "Cohere": _of("CohereConfig", logit_scale=0.25),
    "Cohere 2": _of("Cohere2Config", **_MIXED, logit_scale=0.25),
    "StarCoder 2": _of("Starcoder2Config", sliding_window=None),
    "SmolLM 3": _of("SmolLM3Config", no_rope_layer_interval=2),
    "GLM 4": _of("Glm4Config", head_dim=16),
    "GLM 4 MoE": _of("Glm4MoeConfig", **_ROUTED, head_dim=16),
    "EXAONE 4": _of("Exaone4Config", **_MIXED),
    "Nemotron": _of("NemotronConfig"),
    "Persimmon": _of("PersimmonConfig", "num_key_value_heads"),
    "Helium": _of("HeliumConfig", head_dim=16),
    "nanochat": _of("NanoChatConfig"),
    "ERNIE 4.5": _of("Ernie4_5Config"),
    "ERNIE 4.5 MoE": _of("Ernie4_5_MoeConfig", moe_num_experts=4, moe_k=2, moe_intermediate_size=48,
                         moe_num_shared_experts=1, moe_layer_start_index=1, moe_layer_end_index=1),
    "Apertus": _of("ApertusConfig"),
    "Arcee": _of("ArceeConfig"),
    "BitNet": _of("BitNetConfig"),
    "DiffLlama": _of("DiffLlamaConfig"),
    "HunYuan": _of("HunYuanDenseV1Config", head_dim=16),
    "HyperCLOVA X": _of("HyperCLOVAXConfig", head_dim=16),
    "Seed-OSS": _of("SeedOssConfig", head_dim=16),
    "CWM": _of("CwmConfig", **_MIXED, head_dim=16),
    "gpt-oss": _of("GptOssConfig", **_MIXED, **_LOCAL_EXPERTS, head_dim=16),
    "DeepSeek V2": _of("DeepseekV2Config", **_LATENT, **_ROUTED, q_lora_rank=None, head_dim=8),
    "DeepSeek V3": _of("DeepseekV3Config", **_LATENT, **_ROUTED, q_lora_rank=16),
    "MiniCPM 3": _of("MiniCPM3Config", **_LATENT, q_lora_rank=16),
    "Youtu": _of("YoutuConfig", **_LATENT, q_lora_rank=16),
    "MiniMax": _of("MiniMaxConfig", num_local_experts=2, num_experts_per_tok=1, head_dim=16, block_size=16,
                   layer_types=["linear_attention", "full_attention"]),
    "GPT-2": _only("GPT2Config", **_GPT),
    "GPT-2, scaled by layer": _only("GPT2Config", **_GPT, scale_attn_by_inverse_layer_idx=True),
    "GPT-Neo": _only("GPTNeoConfig", **_IDS, hidden_size=64, num_layers=2, num_heads=4, intermediate_size=96,
                     attention_types=[[["global", "local"], 1]], window_size=WINDOW, max_position_embeddings=512),
    "GPT-NeoX": _of("GPTNeoXConfig", "num_key_value_heads", rotary_pct=0.25),
    "GPT-J": _only("GPTJConfig", **_GPT, rotary_dim=8),
    "CodeGen": _only("CodeGenConfig", **_GPT, n_ctx=512, rotary_dim=8),
    "GPTBigCode": _only("GPTBigCodeConfig", **_GPT),
    "OpenAI GPT": _only("OpenAIGPTConfig", **_GPT),
    "CTRL": _only("CTRLConfig", **_GPT, dff=96),
    "BLOOM": _only("BloomConfig", **_IDS, hidden_size=64, n_layer=2, n_head=4),
    "MPT": _only("MptConfig", **_IDS, d_model=64, n_layers=2, n_heads=4, max_seq_len=512),
    "Falcon": _of("FalconConfig", "num_key_value_heads"),
    "Falcon, grouped": _of("FalconConfig", "num_key_value_heads", num_kv_heads=2, new_decoder_architecture=True),
    "Falcon, ALiBi": _of("FalconConfig", "num_key_value_heads", alibi=True, multi_query=False, parallel_attn=False,
                         bias=True),
    "Falcon-H1": _of("FalconH1Config", **{**_STATES, "mamba_n_heads": 4}, mamba_d_ssm=64, head_dim=16,
                     lm_head_multiplier=0.5),
    "OPT": _of("OPTConfig", "num_key_value_heads", "intermediate_size", ffn_dim=96, word_embed_proj_dim=64),
    "OPT 350m": _of("OPTConfig", "num_key_value_heads", "intermediate_size", ffn_dim=96, word_embed_proj_dim=32,
                    do_layer_norm_before=False),
    "XGLM": _only("XGLMConfig", **_IDS, d_model=64, ffn_dim=96, num_layers=2, attention_heads=4,
                  max_position_embeddings=512),
    "BioGPT": _of("BioGptConfig", "num_key_value_heads"),
    "XLNet": _only("XLNetConfig", **_IDS, d_model=64, n_layer=2, n_head=4, d_inner=96),
    "ModernBERT decoder": _of("ModernBertDecoderConfig", "num_key_value_heads", local_attention=WINDOW,
                              cls_token_id=0, sep_token_id=2),
    "Mamba": _only("MambaConfig", **_IDS, hidden_size=64, num_hidden_layers=2),
    "Mamba 2": _only("Mamba2Config", **_IDS, hidden_size=64, num_hidden_layers=2, num_heads=8, head_dim=16,
                     state_size=16, n_groups=1, chunk_size=16),
    "Falcon Mamba": _only("FalconMambaConfig", **_IDS, hidden_size=64, num_hidden_layers=2),
    "RWKV": _only("RwkvConfig", **_IDS, hidden_size=64, num_hidden_layers=2, context_length=512),
    "xLSTM": _only("xLSTMConfig", **_IDS, hidden_size=64, embedding_dim=64, num_hidden_layers=2, num_heads=4,
                   num_blocks=2),
    "Jamba": _of("JambaConfig", num_experts=2, num_experts_per_tok=1, attn_layer_period=2, attn_layer_offset=1,
                 mamba_d_state=8, use_mamba_kernels=False),
    "Bamba": _of("BambaConfig", **_STATES, attn_layer_indices=[1]),
    "LFM 2": _of("Lfm2Config", layer_types=["conv", "full_attention"], block_auto_adjust_ff_dim=False),
}  # fmt: skip


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Byte-level BPE with a template of turns."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 30, special_tokens=list(SPECIAL), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    raw.train_from_iterator([part for pair in QUESTIONS for part in pair] * 10, trainer)
    raw.post_processor = processors.ByteLevel(trim_offsets=True)
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=512
    )
    made.chat_template = TURNS
    return made


@torch.no_grad()
def build(name: str, folder: Path) -> Path:
    """Write a random model of the family with its tokenizer; gives the folder."""
    torch.manual_seed(0)
    model: Any = transformers.AutoModelForCausalLM.from_config(FAMILIES[name]())
    for path, p in model.named_parameters():
        noise = torch.randn(p.shape)
        if p.dim() >= 2 and "norm" not in path.lower():
            p.copy_(noise * p.shape[-1] ** -0.5)
        else:  # norms, biases, decays: off what they begin as, and of its size
            p.add_(0.1 * noise)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
