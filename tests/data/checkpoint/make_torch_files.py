"""Writes torch-zip.bin, torch-legacy.bin and their twin torch-expected.safetensors (torch 1.13; any later one will do)."""
import collections
import json
import struct
import torch

base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 8
state = collections.OrderedDict()
state["float32"] = base
state["tied"] = base  # the same storage under a second name
state["transposed"] = base.t()
state["columns"] = base[:, 1:5:2]
state["row"] = base[2]
state["parameter"] = torch.nn.Parameter(base.to(torch.float16))
state["bfloat16"] = (base - 1).to(torch.bfloat16)
state["float64"] = base.to(torch.float64) * 1e300
state["int8"] = torch.tensor([[-128, 127], [0, 1]], dtype=torch.int8)
state["uint8"] = torch.arange(5, dtype=torch.uint8)
state["int16"] = torch.tensor([-30000], dtype=torch.int16)
state["int32"] = torch.tensor([[7], [-7]], dtype=torch.int32)
state["int64"] = torch.arange(3).unsqueeze(0)
state["bool"] = torch.tensor([True, False, True])
state["scalar"] = torch.tensor(2.5)
state["empty"] = torch.zeros(0, 3)
state["permuted"] = torch.arange(24, dtype=torch.int32).reshape(2, 3, 4).permute(2, 0, 1)
state["expanded"] = torch.tensor([[1.0], [2.0]]).expand(2, 3)
state._metadata = {"": {"version": 1}}
checkpoint = {"model": state, "epoch": 3, "optimizer": {"lr": [0.1, 1e-3]}, "name": "a test"}
torch.save(checkpoint, "torch-zip.bin")
torch.save(checkpoint, "torch-legacy.bin", _use_new_zipfile_serialization=False)

NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int8: "I8", torch.uint8: "U8",
         torch.int16: "I16", torch.int32: "I32", torch.int64: "I64", torch.bool: "BOOL"}
header, data = {}, b""
for name, tensor in state.items():
    dense = tensor.detach().contiguous()
    raw = bytes(dense.view(torch.uint8).numpy().tobytes() if dense.dim() and dense.numel() else dense.numpy().tobytes())
    header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
text = json.dumps(header).encode()
with open("torch-expected.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + data)
