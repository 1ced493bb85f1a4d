"""Makes the pictures and expected results in this folder, with Pillow 13 and transformers 5. All pictures are synthetic."""
import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from transformers.models.clip import image_processing_pil_clip as clip
from transformers.models.gemma3 import image_processing_pil_gemma3 as gemma3
from transformers.models.got_ocr2 import image_processing_pil_got_ocr2 as got_ocr2
from transformers.models.idefics3 import image_processing_pil_idefics3 as idefics3
from transformers.models.llava_next import image_processing_pil_llava_next as llava_next
from transformers.models.mllama import image_processing_pil_mllama as mllama
from transformers.models.pixtral import image_processing_pil_pixtral as pixtral
from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl as qwen2_vl
from transformers.models.siglip import image_processing_pil_siglip as siglip

HERE = Path(__file__).parent
FILTERS = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]


def waves(height, width, channels, seed=0):
    y, x = np.mgrid[0:height, 0:width]
    smooth = [127 + 110 * np.sin(x / (2 + c) + y / (4 - c / 2) + c) for c in range(channels)]
    noise = np.random.default_rng(seed).normal(0, 12, (height, width, channels))
    return (np.stack(smooth, -1) + noise).clip(0, 255).astype(np.uint8)


def write_safetensors(path, tensors):
    kinds = {"float32": "F32", "int64": "I64", "uint8": "U8"}
    header, data = {}, b""
    for name, value in tensors.items():
        raw = np.ascontiguousarray(value).tobytes()
        header[name] = {"dtype": kinds[str(value.dtype)], "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, colour_type, depth, extra=b"", interlaced=False):
    """Writes [height, width, channels] samples as PNG of any colour type and depth, without filters."""
    def rows(part):
        height, width, channels = part.shape
        if height == 0 or width == 0:
            return b""
        bits = (part.reshape(height, -1, 1) >> np.arange(depth - 1, -1, -1) & 1).reshape(height, -1).astype(np.uint8)
        return b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [samples[y::dy, x::dx] for y, x, dy, dx in passes] if interlaced else [samples]
    height, width = samples.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    data = zlib.compress(b"".join(rows(part) for part in parts))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def pngs():
    rng = np.random.default_rng(3)
    palette = chunk(b"PLTE", rng.integers(0, 256, (16, 3), np.uint8).tobytes())
    sample = lambda channels, depth: rng.integers(0, 1 << depth, (9, 13, channels), np.int64)
    yield "grey1", png(sample(1, 1), 0, 1)
    yield "grey2", png(sample(1, 2), 0, 2)
    yield "grey4", png(sample(1, 4), 0, 4)
    yield "grey8", png(sample(1, 8), 0, 8)
    yield "rgb8", png(sample(3, 8), 2, 8)
    yield "rgb8-interlaced", png(sample(3, 8), 2, 8, interlaced=True)
    yield "rgb16", png(sample(3, 16), 2, 16)
    yield "palette1", png(sample(1, 1), 3, 1, palette)
    yield "palette4-interlaced", png(sample(1, 4), 3, 4, palette, interlaced=True)
    yield "palette4-alpha", png(sample(1, 4), 3, 4, palette + chunk(b"tRNS", bytes(range(0, 160, 10))))
    yield "grey-alpha8", png(sample(2, 8), 4, 8)
    yield "grey-alpha16", png(sample(2, 16), 4, 16)
    yield "rgba8", png(sample(4, 8), 6, 8)
    yield "rgba16", png(sample(4, 16), 6, 16)
    yield "rgb8-key", png(sample(3, 8) // 128 * 255, 2, 8, chunk(b"tRNS", struct.pack(">HHH", 255, 0, 255)))


def bmp(bits, compression, width, height, pixels, palette=b"", masks=b""):
    offset = 14 + 40 + len(masks) + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels), 2835, 2835, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + info + masks + palette + pixels


def bmps():
    rng = np.random.default_rng(4)
    palette = rng.integers(0, 256, (16, 4), np.uint8).tobytes()
    raw = lambda count: rng.integers(0, 256, count, np.uint8).tobytes()
    yield "bits1", bmp(1, 0, 13, 5, raw(4 * 5), palette[:8])
    yield "bits4", bmp(4, 0, 13, 5, raw(8 * 5), palette)
    yield "bits8", bmp(8, 0, 13, 5, bytes(b % 16 for b in raw(16 * 5)), palette)
    yield "bits16", bmp(16, 0, 13, 5, raw(28 * 5))
    yield "bits16-565", bmp(16, 3, 13, 5, raw(28 * 5), masks=struct.pack("<III", 0xF800, 0x07E0, 0x001F))
    yield "bits24", bmp(24, 0, 13, 5, raw(40 * 5))
    yield "bits24-top-down", bmp(24, 0, 13, -5, raw(40 * 5))
    yield "bits32", bmp(32, 0, 13, 5, raw(52 * 5))
    lines = [b"\x05\x03\x08\x02\0\0", b"\x00\x05\x01\x02\x03\x04\x05\x00\x08\x07\0\0", b"\x0d\x0f\0\0", b"\x0d\x02\0\0", b"\x02\x01\0\0\0\x01"]
    yield "rle8", bmp(8, 1, 13, 5, b"".join(lines), palette)
    lines = [b"\x05\x3a\x08\x21\0\0", b"\x00\x05\x12\x34\x50\x00\x08\x7b\0\0", b"\x0d\xf0\0\0", b"\x0d\x2a\0\0", b"\x02\x1c\0\0\0\x01"]
    yield "rle4", bmp(4, 2, 13, 5, b"".join(lines), palette)


def decode_cases(out):
    rgba = Image.fromarray(waves(18, 27, 4))
    rgb, grey = rgba.convert("RGB"), rgba.getchannel(0)
    rgb.save(out / "420.jpg", quality=80)
    rgb.save(out / "422.jpg", quality=60, subsampling=1)
    rgb.save(out / "444-progressive.jpg", quality=90, subsampling=0, progressive=True)
    rgb.save(out / "420-restart.jpg", quality=80, restart_marker_blocks=1)
    grey.save(out / "grey.jpg")
    Image.frombytes("CMYK", rgba.size, rgba.tobytes()).save(out / "cmyk.jpg")
    rgb.save(out / "lossy.webp", quality=70)
    rgb.save(out / "lossless.webp", lossless=True)
    rgba.save(out / "alpha.webp", quality=70)
    for name, data in pngs():
        (out / f"{name}.png").write_bytes(data)
    for name, data in bmps():
        (out / f"{name}.bmp").write_bytes(data)
    for file in sorted(out.iterdir()):
        picture = Image.open(file)
        picture.convert("RGB").save(out / (file.name + ".ppm"))
        if "A" in picture.getbands() or "transparency" in picture.info:
            white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
            Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB").save(out / (file.name + ".white.ppm"))


def exif_cases(out):
    small = Image.fromarray(np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 10)
    exif = Image.Exif()
    exif[0x0112] = 6
    small.save(out / "exif.png", exif=exif)
    small.resize((24, 16)).save(out / "exif.jpg", exif=exif)
    small.save(out / "exif.webp", lossless=True, exif=exif.tobytes())


def resize_cases(out):
    source = Image.fromarray(waves(23, 31, 3, seed=5))
    source.save(out / "source.png")
    for code, name in enumerate(FILTERS):
        for size in [(12, 9), (50, 37), (40, 9), (31, 10), (7, 23)]:
            source.resize(size, code).save(out / f"{name}-{size[0]}x{size[1]}.png", optimize=True)


def processors():
    yield "clip", clip.CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size={"height": 20, "width": 28})
    yield "siglip", siglip.SiglipImageProcessorPil(size={"height": 20, "width": 24})
    yield "llava_next", llava_next.LlavaNextImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16},
                                                              image_grid_pinpoints=[[16, 32], [32, 16], [32, 32], [48, 16]])
    yield "pixtral", pixtral.PixtralImageProcessorPil(size={"longest_edge": 44}, patch_size={"height": 8, "width": 8})
    yield "qwen2_vl", qwen2_vl.Qwen2VLImageProcessorPil(patch_size=7, size={"shortest_edge": 500, "longest_edge": 1400})
    yield "idefics3", idefics3.Idefics3ImageProcessorPil(size={"longest_edge": 32}, max_image_size={"longest_edge": 16})
    yield "mllama", mllama.MllamaImageProcessorPil(size={"height": 16, "width": 16})
    yield "gemma3", gemma3.Gemma3ImageProcessorPil(size={"height": 20, "width": 20}, do_pan_and_scan=True, pan_and_scan_min_crop_size=30,
                                                   pan_and_scan_max_num_crops=4, pan_and_scan_min_ratio_to_activate=1.2)
    yield "got_ocr2", got_ocr2.GotOcr2ImageProcessorPil(size={"height": 20, "width": 20}, crop_to_patches=True, max_patches=6)


def processor_cases(out):
    picture = Image.fromarray(waves(61, 97, 3, seed=6))
    picture.save(out / "picture.png")
    for case, processor in processors():
        (out / case).mkdir()
        settings = {key: value for key, value in json.loads(processor.to_json_string()).items() if value is not None}
        (out / case / "preprocessor_config.json").write_text(json.dumps(settings, indent=2) + "\n")
        nested = case in ("idefics3", "mllama")
        result = processor([[picture]] if nested else [picture], return_tensors="np")
        tensors = {name: np.asarray(value) for name, value in result.items()}
        if "pixel_attention_mask" in tensors:
            tensors["pixel_attention_mask"] = tensors["pixel_attention_mask"].astype(np.uint8)
        write_safetensors(out / case / "expected.safetensors", tensors)


if __name__ == "__main__":
    for name in ["decode", "exif", "resize", "processor"]:
        shutil.rmtree(HERE / name, ignore_errors=True)
        (HERE / name).mkdir()
    decode_cases(HERE / "decode")
    exif_cases(HERE / "exif")
    resize_cases(HERE / "resize")
    processor_cases(HERE / "processor")
