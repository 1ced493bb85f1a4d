"""Golden cases of text families whose weights follow a formula, so that only logits are stored.

    python tests/data/generate/families.py OUT [case ...]      OUT is tests/data/families

A case is config.json, case.json and expected.safetensors. case.json lists under "tensors" what the file of the
reference (save_pretrained) has: a name in which {0-3} counts up, and its shape, scale and offset. Element i of a
tensor is offset + scale * u, where u in [-1, 1) are the upper 24 bits of splitmix64(fnv1a64(name) + (i + 1) *
golden ratio); src/models/test_weights.h makes the same numbers.
"""
import argparse
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
torch.set_grad_enabled(False)
tf.logging.set_verbosity(tf.logging.ERROR)

VOCAB = 24
IDS = dict(vocab_size=VOCAB, bos_token_id=1, eos_token_id=2, pad_token_id=0)
SKELETON = dict(hidden_size=24, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                max_position_embeddings=128, **IDS)


def rope(theta=10000.0, kind="default", **more):
    return {"rope_type": kind, "rope_theta": theta, **more}


# ---------------------------------------------------------------- weights

def formula(name, shape, scale, offset):
    hash_ = 0xCBF29CE484222325
    for byte in name.encode():
        hash_ = (hash_ ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        x = np.uint64(hash_) + np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    u = (x >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0
    return torch.from_numpy((offset + scale * u).astype(np.float32)).reshape(shape)


def spread(name, shape, options):
    """Scale and offset that let mistakes show: about unit variance everywhere."""
    offset_norms, transposed = options.get("offset_norms", False), options.get("transposed", False)
    leaf = name.rsplit(".", 1)[-1]
    if leaf.endswith("bias") and "correction" not in leaf:
        return 0.3, 0
    if "correction" in leaf:
        return 0.1, 0
    if leaf == "sinks":
        return 1.5, 0
    if len(shape) == 1:
        return 0.4, 0 if offset_norms else 1
    if re.search(r"embed_tokens|wte|word_embeddings|embed_in", name):
        return 0.9, 0
    fan_in = shape[1] if transposed and len(shape) == 3 else shape[-1]
    gain = 3.4 if re.search(r"lm_head|embed_out", name) else 2.1
    gain *= options.get("wide", {}).get(leaf, 1.0)
    return float(f"{gain / fan_in ** 0.5:.3g}"), 0


def compact(tensors):
    """[(name, facts)] with runs of numbers folded: layers.{0-1}.experts.{0-3}.up_proj.weight."""
    groups = {}
    for name, facts in tensors.items():
        groups.setdefault((re.sub(r"(?<=\.)\d+(?=\.)", "#", name), json.dumps(facts)), []).append(
            tuple(int(n) for n in re.findall(r"(?<=\.)(\d+)(?=\.)", name)))
    result = {}
    for (pattern, facts), numbers in groups.items():
        columns = [sorted(set(column)) for column in zip(*numbers)]
        full = all(c == list(range(c[0], c[-1] + 1)) for c in columns) and int(np.prod([len(c) for c in columns])) == len(numbers)
        for key in [None] if full else numbers:
            name, at = pattern, 0
            while "#" in name:
                c = columns[at] if full else [key[at]]
                name = name.replace("#", str(c[0]) if len(c) == 1 else f"{{{c[0]}-{c[-1]}}}", 1)
                at += 1
            result[name] = json.loads(facts)
    return result


# ---------------------------------------------------------------- cases

YARN = dict(factor=4.0, original_max_position_embeddings=32, beta_fast=32.0, beta_slow=1.0)
LATENT = dict(kv_lora_rank=12, qk_nope_head_dim=6, qk_rope_head_dim=4, v_head_dim=10)


def cases():
    """name -> (class, config, options); options: length, edit (of config.json), transposed experts"""
    c = {}
    c["gpt_oss"] = ("GptOssForCausalLM", tf.GptOssConfig(
        **{**SKELETON, "num_hidden_layers": 3}, head_dim=8, num_local_experts=4, num_experts_per_tok=2, sliding_window=5,
        rope_parameters=rope(150000.0, "yarn", truncate=False, **YARN)),
        dict(transposed=True, length=16, wide=dict(gate_up_proj=5.0)))
    c["deepseek_v2"] = ("DeepseekV2ForCausalLM", tf.DeepseekV2Config(
        **{**SKELETON, "num_key_value_heads": 4}, **LATENT, q_lora_rank=None, moe_intermediate_size=10, n_routed_experts=6, n_shared_experts=2,
        num_experts_per_tok=2, first_k_dense_replace=1, topk_method="group_limited_greedy", n_group=3, topk_group=2, routed_scaling_factor=1.5,
        rope_parameters=rope(10000.0, "yarn", mscale=0.7, mscale_all_dim=0.7, **YARN)), {})
    c["deepseek_v2-greedy"] = ("DeepseekV2ForCausalLM", tf.DeepseekV2Config(
        **{**SKELETON, "num_key_value_heads": 4}, **LATENT, q_lora_rank=8, moe_intermediate_size=10, n_routed_experts=4, n_shared_experts=1,
        num_experts_per_tok=3, first_k_dense_replace=0, topk_method="greedy", attention_bias=True, mlp_bias=True, rope_parameters=rope()), {})
    c["deepseek_v3"] = ("DeepseekV3ForCausalLM", tf.DeepseekV3Config(
        **{**SKELETON, "num_key_value_heads": 4}, **LATENT, q_lora_rank=8, moe_intermediate_size=10, n_routed_experts=8, n_shared_experts=1,
        num_experts_per_tok=3, first_k_dense_replace=1, n_group=4, topk_group=2, num_mtp_layers=0,
        rope_parameters=rope(10000.0, "yarn", mscale=1.0, mscale_all_dim=0.5, **YARN)), {})
    c["deepseek_v3-halves"] = ("DeepseekV3ForCausalLM", tf.DeepseekV3Config(
        **{**SKELETON, "num_key_value_heads": 4}, **LATENT, q_lora_rank=None, moe_intermediate_size=10, n_routed_experts=4, n_shared_experts=2,
        num_experts_per_tok=2, first_k_dense_replace=0, n_group=1, topk_group=1, norm_topk_prob=False, routed_scaling_factor=1.3,
        rope_interleave=False, attention_bias=True, num_mtp_layers=0, rope_parameters=rope()), {})
    c["llama4_text"] = ("Llama4ForCausalLM", tf.Llama4TextConfig(
        **{**SKELETON, "num_hidden_layers": 4}, intermediate_size_mlp=28, head_dim=8, num_local_experts=3, num_experts_per_tok=2,
        interleave_moe_layer_step=2, no_rope_layer_interval=3, attention_chunk_size=6, floor_scale=4, attn_scale=0.4, rms_norm_eps=1e-3,
        rope_parameters=rope(500000.0, "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
        dict(transposed=True, length=16))
    c["llama4_text-plain"] = ("Llama4ForCausalLM", tf.Llama4TextConfig(
        **SKELETON, intermediate_size_mlp=28, head_dim=6, num_local_experts=4, num_experts_per_tok=1, moe_layers=[1], use_qk_norm=False,
        no_rope_layers=[1, 0], attn_temperature_tuning=False, attention_bias=True, tie_word_embeddings=True, rope_parameters=rope(500000.0)),
        dict(transposed=True))
    small = {**SKELETON, "hidden_size": 16, "intermediate_size": 12}
    full = {**small, "num_key_value_heads": 4}
    partial = {**rope(), "partial_rotary_factor": 0.5}
    experts = dict(moe_intermediate_size=8, num_experts_per_tok=2)
    c["arcee"] = ("ArceeForCausalLM", tf.ArceeConfig(**small, attention_bias=True, rope_parameters=rope()), {})
    c["cohere2"] = ("Cohere2ForCausalLM", tf.Cohere2Config(
        **small, sliding_window=4, layer_types=["sliding_attention", "full_attention"], logit_scale=0.5, rope_parameters=rope()), {})
    c["dots1"] = ("Dots1ForCausalLM", tf.Dots1Config(
        **full, **experts, n_routed_experts=4, n_shared_experts=1, first_k_dense_replace=1, sliding_window=4, max_window_layers=1,
        routed_scaling_factor=1.4, attention_bias=True, rope_parameters=rope()), {})
    c["ernie4_5"] = ("Ernie4_5ForCausalLM", tf.Ernie4_5Config(**small, head_dim=6, use_bias=True, rope_parameters=rope(5e5)), {})
    c["ernie4_5_moe"] = ("Ernie4_5_MoeForCausalLM", tf.Ernie4_5_MoeConfig(
        **{**small, "num_hidden_layers": 3}, moe_intermediate_size=8, moe_num_experts=4, moe_k=2, moe_num_shared_experts=2,
        moe_layer_start_index=1, moe_layer_end_index=2, tie_word_embeddings=False, rope_parameters=rope(5e5)), {})
    c["exaone4"] = ("Exaone4ForCausalLM", tf.Exaone4Config(
        **small, sliding_window=4, layer_types=["sliding_attention", "full_attention"], rope_parameters=rope(1e6)), {})
    c["glm4_moe"] = ("Glm4MoeForCausalLM", tf.Glm4MoeConfig(
        **full, **experts, n_routed_experts=6, n_shared_experts=1, first_k_dense_replace=1, n_group=2, topk_group=1, use_qk_norm=True,
        attention_bias=True, num_mtp_layers=0, head_dim=8, rope_parameters=partial), {})
    c["glm4_moe_lite"] = ("Glm4MoeLiteForCausalLM", tf.Glm4MoeLiteConfig(
        **full, **LATENT, q_lora_rank=8, **experts, n_routed_experts=4, n_shared_experts=1, rope_parameters=rope()), {})
    c["granitemoeshared"] = ("GraniteMoeSharedForCausalLM", tf.GraniteMoeSharedConfig(
        **small, num_local_experts=4, num_experts_per_tok=2, shared_intermediate_size=10, embedding_multiplier=2.0, attention_multiplier=0.3,
        residual_multiplier=0.6, logits_scaling=1.5, attention_bias=True, rope_parameters=rope()), {})
    c["gpt_neo"] = ("GPTNeoForCausalLM", tf.GPTNeoConfig(
        hidden_size=16, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=4, intermediate_size=20,
        max_position_embeddings=32, **IDS), {})
    c["gpt_bigcode"] = ("GPTBigCodeForCausalLM", tf.GPTBigCodeConfig(n_embd=16, n_layer=2, n_head=4, n_positions=32, n_inner=20, **IDS), {})
    c["helium"] = ("HeliumForCausalLM", tf.HeliumConfig(**small, head_dim=4, attention_bias=True, mlp_bias=True, rope_parameters=rope(1e5)), {})
    c["hunyuan_v1_dense"] = ("HunYuanDenseV1ForCausalLM", tf.HunYuanDenseV1Config(
        **small, head_dim=6, rope_parameters=rope(1e4, "dynamic", alpha=50.0, factor=1.0)), {})
    c["hunyuan_v1_moe"] = ("HunYuanMoEV1ForCausalLM", tf.HunYuanMoEV1Config(
        **small, head_dim=4, num_experts=4, moe_topk=2, attention_bias=True, rope_parameters=rope()), {})
    c["minicpm3"] = ("MiniCPM3ForCausalLM", tf.MiniCPM3Config(
        **full, kv_lora_rank=8, q_lora_rank=6, qk_nope_head_dim=4, qk_rope_head_dim=2, v_head_dim=5, scale_emb=3, scale_depth=1.1,
        dim_model_base=8, tie_word_embeddings=False, rope_parameters=rope()), {})
    c["minimax_m2"] = ("MiniMaxM2ForCausalLM", tf.MiniMaxM2Config(
        **small, head_dim=8, num_local_experts=4, num_experts_per_tok=2, rope_parameters=partial), {})
    c["ministral"] = ("MinistralForCausalLM", tf.MinistralConfig(
        **small, head_dim=6, sliding_window=4, layer_types=["full_attention", "sliding_attention"], rope_parameters=rope()), {})
    c["ministral3"] = ("Ministral3ForCausalLM", tf.Ministral3Config(
        **small, head_dim=6, rope_parameters=rope(1e4, "yarn", factor=8.0, original_max_position_embeddings=4, mscale=1.0, mscale_all_dim=1.0,
                                                  beta_fast=32.0, beta_slow=1.0, llama_4_scaling_beta=0.5)), {})
    c["nemotron"] = ("NemotronForCausalLM", tf.NemotronConfig(
        **small, head_dim=8, norm_eps=1e-3, attention_bias=True, mlp_bias=True, rope_parameters=partial), dict(offset_norms=True))
    c["olmo"] = ("OlmoForCausalLM", tf.OlmoConfig(**small, clip_qkv=0.7, rope_parameters=rope()), {})
    c["olmo3"] = ("Olmo3ForCausalLM", tf.Olmo3Config(
        **small, sliding_window=4, layer_types=["sliding_attention", "full_attention"],
        rope_parameters={"sliding_attention": rope(1e4), "full_attention": rope(5e5, "yarn", **YARN)}), {})
    c["olmoe"] = ("OlmoeForCausalLM", tf.OlmoeConfig(
        **small, num_experts=4, num_experts_per_tok=2, clip_qkv=1.2, rope_parameters=rope()), {})
    c["seed_oss"] = ("SeedOssForCausalLM", tf.SeedOssConfig(**small, head_dim=6, attention_out_bias=True, mlp_bias=True, rope_parameters=rope()), {})
    c["stablelm-heads"] = ("StableLmForCausalLM", tf.StableLmConfig(
        **small, qk_layernorm=True, use_qkv_bias=True, use_parallel_residual=True, rope_parameters=partial), {})
    return c


# ---------------------------------------------------------------- expected values

def load(cls, folder):
    model, info = cls.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager",
                                      output_loading_info=True)
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        assert not info.get(key), (folder, key, info[key])
    return model.eval()


def greedy(cls, folder, ids, count):
    out = load(cls, folder).generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=1, max_new_tokens=count,
                                     min_new_tokens=count, eos_token_id=None, pad_token_id=0, return_dict_in_generate=True, output_logits=True)
    top = torch.stack(out.logits)[:, 0].topk(2, dim=-1).values
    return out.sequences[0, ids.shape[1]:], float((top[:, 0] - top[:, 1]).min())


def make(out, name, cls_name, config, options):
    cls = getattr(tf, cls_name)
    config._attn_implementation = config._experts_implementation = "eager"
    folder = Path(tempfile.mkdtemp())
    model = cls(config).float().eval()
    model.save_pretrained(folder)
    shapes = {k: list(v.shape) for k, v in load_file(folder / "model.safetensors").items()}
    facts = {k: [s, *spread(k, s, options)] for k, s in shapes.items()}
    save_file({k: formula(k, *f) for k, f in facts.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    if "edit" in options:
        path = folder / "config.json"
        path.write_text(json.dumps(options["edit"](json.loads(path.read_text())), indent=2, sort_keys=True) + "\n")
    length = options.get("length", 9)
    for trial in range(50):
        ids = torch.randint(3, VOCAB, (1, length), generator=torch.Generator().manual_seed(100 + trial))
        generated, margin = greedy(cls, folder, ids, 8)
        if margin > 0.01 and len(set(generated.tolist())) >= 4:
            break
    else:
        raise RuntimeError(f"{name}: no decided prompt")
    model = load(cls, folder)
    logits = model(input_ids=ids, use_cache=False).logits
    again = load(cls, folder)(input_ids=torch.cat([ids[0], generated])[None], use_cache=False).logits[0, length - 1:-1].argmax(-1)
    assert torch.equal(again, generated), (name, "the cache changes the answer")
    exact = model.double()(input_ids=ids, use_cache=False).logits
    noise = float((exact - logits.double()).abs().max())

    to = Path(out) / name
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    config = json.loads((folder / "config.json").read_text())
    for key in ("transformers_version", "initializer_range", "use_cache", "attention_dropout", "router_aux_loss_coef", "output_router_logits", "dtype",
                "bos_token_id", "eos_token_id", "pad_token_id", "pretraining_tp"):
        config.pop(key, None)
    (to / "config.json").write_text(json.dumps(config, sort_keys=True) + "\n")
    case = {"family": config["model_type"], "class": cls_name, "transformers": tf.__version__, "dtype": "float32",
            "tolerance": {"logits_abs": float(f"{max(1e-4, 10 * noise):.1e}")}, "fp32_noise": float(f"{noise:.2e}")}
    lines = ",\n".join(f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'))}" for k, v in compact(facts).items())
    (to / "case.json").write_text(json.dumps(case)[:-1] + ',\n"tensors": {\n' + lines + "}}\n")
    save_file({"input_ids": ids, "logits": logits, "generated_ids": generated}, to / "expected.safetensors")
    for file in to.iterdir():
        file.chmod(0o644)
    print(f"{name:20s} noise {noise:.1e} margin {margin:.3f} std {logits.std():.2f} ids {generated.tolist()} "
          f"{sum(f.stat().st_size for f in to.iterdir())} bytes")
    shutil.rmtree(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    for case, parts in cases().items():
        if not arguments.names or case in arguments.names:
            make(arguments.out, case, *parts)
