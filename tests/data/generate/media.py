"""Golden cases of families that read pictures or hear sounds, with weights that follow the formula of families.py.

    python tests/data/generate/media.py OUT [case ...]      OUT is tests/data/families

Beside config.json and case.json a case has a prompt with one picture or sound: its ids, the processor's tensors
(random numbers), logits and greedy ids. Where files of the hub have other names or orders than save_pretrained
writes, `edit` makes them.
"""
import argparse
import json
import shutil
import tempfile
from pathlib import Path

from families import compact, formula, rope, tf, torch
from safetensors.torch import load_file, save_file

VOCAB, PLACE, GENERATED = 32, 7, 8
IDS = dict(vocab_size=VOCAB, bos_token_id=1, eos_token_id=2, pad_token_id=0)
TEXT = dict(hidden_size=8, intermediate_size=10, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
            max_position_embeddings=128, **IDS)
AUDIO = dict(num_mel_bins=4, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=10, d_model=8)
QWEN3 = dict(model_type="qwen3_vl_moe_text", **{**TEXT, "num_hidden_layers": 2}, head_dim=12, num_experts=4, num_experts_per_tok=2,
             moe_intermediate_size=6, decoder_sparse_step=2,
             rope_parameters=rope(1e5, mrope_section=[2, 2, 2], mrope_interleaved=True))
QWEN3_TOWER = dict(model_type="qwen3_vl_moe", depth=2, hidden_size=8, intermediate_size=10, num_heads=2, patch_size=2, spatial_merge_size=2,
                   temporal_patch_size=2, num_position_embeddings=16, out_hidden_size=8, deepstack_visual_indexes=[0])


def random(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + shape[-1])) * 0.7


def around(count, before=(9, 5), after=(6, 30, 12, 24)):
    return torch.tensor([[*before, *[PLACE] * count, *after]])


def cases():
    """name -> (class, config, inputs, what it exercises, edit)"""
    c = {}
    c["whisper"] = ("WhisperForConditionalGeneration", tf.WhisperConfig(
        **AUDIO, **IDS, decoder_layers=2, decoder_attention_heads=2, decoder_ffn_dim=10, max_source_positions=6, max_target_positions=24,
        decoder_start_token_id=1, suppress_tokens=[], begin_suppress_tokens=None),
        dict(input_features=random(1, 4, 12), decoder_input_ids=around(0)), ["attention to a sound", "tied head, learned positions"], None)
    mask = (torch.arange(16) < 11).long()[None]
    c["qwen2_audio"] = ("Qwen2AudioForConditionalGeneration", tf.Qwen2AudioConfig(
        audio_config=dict(model_type="qwen2_audio_encoder", **AUDIO, max_source_positions=8), text_config=dict(model_type="qwen2", **TEXT),
        audio_token_index=PLACE),
        dict(input_ids=around(3), input_features=random(1, 4, 16), feature_attention_mask=mask), ["frames behind the sound masked"], None)
    c["llama4"] = ("Llama4ForConditionalGeneration", tf.Llama4Config(
        text_config=dict(model_type="llama4_text", **{**TEXT, "num_hidden_layers": 2}, intermediate_size_mlp=10, head_dim=4, num_local_experts=2,
                         num_experts_per_tok=1, interleave_moe_layer_step=2, attention_chunk_size=6, no_rope_layers=[1, 0], floor_scale=4),
        vision_config=dict(model_type="llama4_vision_model", hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
                           vision_output_dim=10, image_size=8, patch_size=2, projector_input_dim=10, projector_output_dim=10),
        image_token_index=PLACE, boi_token_index=5, eoi_token_index=6),
        dict(input_ids=around(12), pixel_values=random(3, 3, 8, 8)),
        ["class token behind the patches", "rotation by column and row from one", "three linears with two activations"], None)
    c["llava_onevision"] = ("LlavaOnevisionForConditionalGeneration", tf.LlavaOnevisionConfig(
        image_token_index=PLACE, vision_aspect_ratio="anyres_max_1", image_grid_pinpoints=[[8, 8], [8, 16], [16, 16]],
        text_config=dict(model_type="qwen2", **TEXT),
        vision_config=dict(model_type="siglip_vision_model", hidden_size=8, intermediate_size=10, num_hidden_layers=1, num_attention_heads=2,
                           image_size=8, patch_size=2, vision_use_head=False)),
        dict(input_ids=around(31), pixel_values=random(1, 5, 3, 8, 8), image_sizes=torch.tensor([[12, 16]])),
        ["a joined map that is shrunk", "features before the tower's last norm"], None)
    pictures = dict(pixel_values=random(24, 24), image_grid_thw=torch.tensor([[1, 4, 6]]))
    marks = dict(image_token_id=PLACE, video_token_id=8, vision_start_token_id=5, vision_end_token_id=6)

    def transposed_experts(tensors):
        return {k: v.transpose(1, 2).contiguous() if ".experts." in k else v for k, v in tensors.items()}
    c["qwen3_vl_moe"] = ("Qwen3VLMoeForConditionalGeneration", tf.Qwen3VLMoeConfig(
        text_config=QWEN3, vision_config=QWEN3_TOWER, tie_word_embeddings=False, **marks),
        dict(input_ids=around(6), **pictures), ["experts as the hub has them: [experts, in, out]", "a dense layer"], transposed_experts)
    c["qwen3_omni_moe_thinker"] = ("Qwen3OmniMoeThinkerForConditionalGeneration", tf.Qwen3OmniMoeThinkerConfig(
        text_config={**QWEN3, "model_type": "qwen3_omni_moe_text", "mlp_only_layers": []},
        vision_config={**QWEN3_TOWER, "model_type": "qwen3_omni_moe_vision_encoder"},
        audio_config=dict(d_model=4, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=4, num_mel_bins=8, downsample_hidden_size=2,
                          output_dim=8), audio_token_id=10, **marks),
        dict(input_ids=around(6), **pictures), ["names of its own", "tensors that hear are left alone"], None)
    return c


def spread(name, shape):
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "bias":
        return 0.3, 0.0
    if len(shape) == 1:
        return 0.4, 1.0 if leaf == "weight" else 0.0
    if "embed_tokens" in name:
        return 0.9, 0.0
    size = 1
    for n in shape[2 if ".experts." in name and len(shape) == 3 else 1:]:
        size *= n
    gain = 3.4 if "lm_head" in name else 0.7 if "pos" in name else 2.1
    return float(f"{gain / size ** 0.5:.3g}"), 0.0


def make(out, name, cls_name, config, inputs, exercises, edit):
    cls = getattr(tf, cls_name)
    config._attn_implementation = config._experts_implementation = "eager"
    folder = Path(tempfile.mkdtemp())
    cls(config).float().save_pretrained(folder)
    path, facts, tensors = folder / "model.safetensors", {}, {}
    saved = load_file(path)
    for key, tensor in (edit(saved) if edit else saved).items():
        facts[key] = [list(tensor.shape), *spread(key, tensor.shape)]
        tensors[key] = formula(key, *facts[key])
    save_file(tensors, str(path), metadata={"format": "pt"})
    model = cls.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager").eval()

    ids_key = "decoder_input_ids" if name == "whisper" else "input_ids"

    def logits_of(model, ids):
        more = {} if name == "whisper" else {"attention_mask": torch.ones_like(ids)}
        if "qwen3" in name:
            more["mm_token_type_ids"] = (ids == PLACE).long()
        wide = model.dtype == torch.float64
        tensors = {k: v.double() if wide and v.is_floating_point() else v for k, v in inputs.items()}
        return model(**{**tensors, **more, ids_key: ids}, use_cache=False).logits

    def greedy(ids):
        generated, margin = [], float("inf")
        while len(generated) < GENERATED and PLACE not in generated:
            best = logits_of(model, ids)[0, -1].topk(2)
            margin = min(margin, float(best.values[0] - best.values[1]))
            generated.append(int(best.indices[0]))
            ids = torch.cat([ids, best.indices[None, :1]], dim=1)
        return generated, margin
    for inputs[ids_key][0, -1] in range(11, VOCAB):     # until an answer has no placeholder and is decided clearly
        generated, margin = greedy(inputs[ids_key])
        if PLACE not in generated and margin > 5e-3:
            break
    assert PLACE not in generated, (name, generated, margin)
    logits = logits_of(model, inputs[ids_key])
    noise = float((logits_of(model.double(), inputs[ids_key]) - logits.double()).abs().max())

    target = Path(out) / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    values = {"one.input_ids": inputs[ids_key], "one.logits": logits, "one.generated_ids": torch.tensor(generated)}
    values.update({f"image0.{k}": v for k, v in inputs.items() if k != ids_key})
    save_file({k: v.contiguous() for k, v in values.items()}, str(target / "expected.safetensors"))
    (target / "config.json").write_text((folder / "config.json").read_text())
    case = {"family": config.model_type, "class": cls_name, "transformers": tf.__version__, "dtype": "float32", "exercises": exercises,
            "tolerance": {"logits_abs": float(f"{max(1e-4, 10 * noise):.1e}")}, "fp32_noise": float(f"{noise:.2e}"),
            "greedy_margin": round(margin, 4), "tensors": compact(facts)}
    (target / "case.json").write_text(json.dumps(case) + "\n")
    for file in target.iterdir():
        file.chmod(0o644)
    print(name, "noise", noise, "margin", margin, "bytes", sum(f.stat().st_size for f in target.iterdir()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    known = cases()
    for case_name in arguments.cases or known:
        make(arguments.out, case_name, *known[case_name])
