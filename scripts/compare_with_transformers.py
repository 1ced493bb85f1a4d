#!/usr/bin/env python3
"""Loads a quantized vision-language checkpoint with transformers and compares its logits with Farthing's.

Usage: compare_with_transformers.py FARTHING MODEL PICTURE. For contributors; nothing of the project needs Python.
"""
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

farthing, model_path, picture = sys.argv[1:4]
with tempfile.TemporaryDirectory() as folder:
    ours = f"{folder}/ours.safetensors"
    subprocess.run(
        [farthing, "run", model_path, "What animal is this?", "--image", picture, "--max-tokens", "1", "--logits", ours, "--quiet"],
        check=True,
    )
    tensors = load_file(ours)
model = AutoModelForImageTextToText.from_pretrained(model_path, dtype=torch.float32).eval()
# A quantized checkpoint stays in its own dtype whatever is asked for; fp32 arithmetic shows the weights alone.
for tensor in [*model.parameters(), *model.buffers()]:
    if tensor.is_floating_point():
        tensor.data = tensor.data.float()
with torch.no_grad():
    theirs = model(input_ids=tensors["input_ids"], pixel_values=tensors["pixel_values"]).logits
difference = (theirs - tensors["logits"]).abs().max().item()
print(f"largest difference of logits: {difference:.2e} (largest logit {theirs.abs().max().item():.1f})")
sys.exit(0 if difference < 1e-3 else 1)
