#!/usr/bin/env python3
"""Writes tests/io/fixtures: small real files of PyTorch, NumPy and PIL, whose values follow a rule that the tests know.

Needs torch 1.13, NumPy and Pillow (Debian: python3-torch python3-numpy python3-pil); the tests need only the files.
Element i (row-major) of a tensor holds i % 7 - 2 when signed, i % 7 when unsigned, i % 2 when bool, and
(i % 7 - 2) - 1j * (i % 5) when complex.
"""
import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

OUT = Path(__file__).parent / "fixtures"


def ruled(shape, dtype):
    """A tensor filled by the rule above."""
    i = torch.arange(int(np.prod(shape, dtype=np.int64)))
    if dtype == torch.bool:
        values = i % 2
    elif dtype == torch.uint8:
        values = i % 7
    elif dtype.is_complex:
        values = (i % 7 - 2).double() - 1j * (i % 5).double()
    else:
        values = i % 7 - 2
    return values.to(dtype).reshape(shape)


def all_kinds():
    """One tensor of each type and of each way to lie in a storage."""
    base = ruled((2, 3, 4), torch.float32)
    shared = ruled((10,), torch.float32)
    state = OrderedDict()
    for name in ("float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128").split():
        state["type." + name] = ruled((2, 3), getattr(torch, name))
    state["scalar"] = torch.tensor(-2, dtype=torch.int64)
    state["empty"] = torch.zeros(0, 3)
    state["permuted"] = base.permute(2, 0, 1)          # [4, 2, 3]
    state["offset"] = base[1]                          # [3, 4] from element 12
    state["every_other"] = base[:, :, ::2]             # [2, 3, 2]
    state["shared.a"], state["shared.b"] = shared[:6], shared[4:]
    state["expanded"] = torch.tensor([5.0]).expand(3, 4)
    state["parameter"] = torch.nn.Parameter(ruled((3,), torch.float32))
    state["channels_last"] = ruled((2, 3, 4, 5), torch.float32).to(memory_format=torch.channels_last)
    with_attribute = ruled((4,), torch.float32)
    with_attribute.note = "kept beside the tensor"
    state["with_attribute"] = with_attribute
    return state


def checkpoint():
    """A training checkpoint as examples write it: the weights inside, numbers beside them."""
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    weights = net.state_dict()                          # carries the attribute _metadata
    for name in weights:
        weights[name].copy_(ruled(tuple(weights[name].shape), weights[name].dtype))
    wrapped = OrderedDict(("module." + name, value) for name, value in weights.items())
    wrapped._metadata = weights._metadata
    return {"epoch": 12, "arch": "resnet20", "best_prec1": 91.25, "flag": True, "numpy": np.float64(2.5),
            "count": np.int64(7), "none": None, "classes": {"a", "b"}, "size": torch.Size([3, 4]), "device": torch.device("cpu"),
            "dtype": torch.float32, "big": 2**40, "negative": -5,
            "state_dict": wrapped,
            "optimizer": {"state": {0: {"momentum": torch.ones(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}}


def rezipped(data, compression=zipfile.ZIP_STORED, change=lambda name, content: content, extra=()):
    """The same archive packed by Python, its records changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w", compression) as target:
        for info in source.infolist():
            target.writestr(zipfile.ZipInfo(info.filename), change(info.filename, source.read(info)), compression)
        for name, content in extra:
            target.writestr(zipfile.ZipInfo(name), content, compression)
    return out.getvalue()


def torch_files():
    for name, value in (("kinds", all_kinds()), ("checkpoint", checkpoint())):
        torch.save(value, OUT / f"{name}.pth")
        torch.save(value, OUT / f"{name}.legacy.pth", _use_new_zipfile_serialization=False)
    plain = OrderedDict(a=ruled((2, 3), torch.float32), b=OrderedDict(c=ruled((4,), torch.int32)))
    for protocol in (2, 3, 4, 5):
        torch.save(plain, OUT / f"protocol{protocol}.pth", pickle_protocol=protocol)
        torch.save(plain, OUT / f"protocol{protocol}.legacy.pth", pickle_protocol=protocol,
                   _use_new_zipfile_serialization=False)
    torch.save([plain["a"], (plain["b"]["c"],)], OUT / "list.pth")
    torch.save(plain["a"], OUT / "tensor.pth")
    raw = (OUT / "protocol2.pth").read_bytes()
    (OUT / "deflated.pth").write_bytes(rezipped(raw, zipfile.ZIP_DEFLATED))
    swapped = {"data/0": 4, "data/1": 4}

    def swap(name, content):
        size = next((s for suffix, s in swapped.items() if name.endswith(suffix)), 0)
        return np.frombuffer(content, f"<u{size}").byteswap().tobytes() if size else content

    prefix = zipfile.ZipFile(io.BytesIO(raw)).namelist()[0].split("/")[0]
    (OUT / "big_endian.pth").write_bytes(rezipped(raw, change=swap, extra=[(prefix + "/byteorder", b"big")]))


def numpy_files():
    f32 = ruled((2, 3), torch.float32).numpy()
    arrays = {"f32": f32, "fortran": np.asfortranarray(ruled((3, 4), torch.float32).numpy()),
              "big_endian": ruled((5,), torch.int32).numpy().astype(">i4"), "scalar": np.array(-2, np.int64),
              "empty": np.zeros((0, 3), np.float32), "half": ruled((4,), torch.float16).numpy(),
              "bool": ruled((4,), torch.bool).numpy(), "c64": ruled((4,), torch.complex64).numpy(),
              "big_c128": ruled((4,), torch.complex128).numpy().astype(">c16"),
              "u16": (np.arange(5) % 7).astype(np.uint16), "u64": (np.arange(5) % 7).astype(np.uint64)}
    np.savez(OUT / "stored.npz", **arrays)
    np.savez_compressed(OUT / "deflated.npz", **arrays)
    np.save(OUT / "array.npy", f32)
    for version in ((2, 0), (3, 0)):
        with open(OUT / f"version{version[0]}.npy", "wb") as file:
            np.lib.format.write_array(file, f32, version=version)


def safetensors_files():
    """By the format's description, laid out as its reference does: types in this order, then names."""
    order = ["U64", "I64", "F64", "C64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16", "I8", "U8", "BOOL"]
    types = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64, "BOOL": torch.bool,
             "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "F64": torch.float64,
             "C64": torch.complex64}
    shapes = {"f32": (2, 3), "f16": (5,), "bf16": (3,), "i64": (), "bool": (7,), "empty": (0, 3), "u8": (3,), "i8": (3,),
              "i16": (3,), "i32": (3,), "f64": (3,), "c64": (3,)}
    entries = sorted(((order.index("F32" if name == "empty" else name.upper()), name) for name in shapes))
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for rank, name in entries:
        tensor = ruled(shapes[name], types[order[rank]])
        raw = bytes(tensor.contiguous().flatten().view(torch.uint8).numpy()) if tensor.numel() and tensor.dim() else (
            tensor.numpy().tobytes())
        header[name] = {"dtype": order[rank], "shape": list(shapes[name]), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (OUT / "layout.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def interlaced_png(pixels):
    """Adam7, which PIL reads but cannot write."""
    height, width = pixels.shape[:2]
    rows = b""
    for top, left, down, right in ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
                                   (1, 0, 2, 1)):
        part = pixels[top::down, left::right]
        if part.size:
            rows += b"".join(b"\0" + row.tobytes() for row in part)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) +
            png_chunk(b"IEND", b""))


def rgb16_png(pixels):
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) +
            png_chunk(b"IEND", b""))


def scene(height, width):
    """A smooth picture with an edge and some noise, the same on every machine."""
    y, x = np.mgrid[0:height, 0:width]
    noise = (x * 73 + y * 151 + x * y * 31) % 29
    channels = [127 + 90 * np.sin(x / 7), 127 + 90 * np.cos(y / 5), np.where(x > y, 200, 40)]
    return np.stack([np.clip(c + noise, 0, 255) for c in channels], -1).astype(np.uint8)


def image_files():
    pixels = scene(53, 70)
    rgb = Image.fromarray(pixels)
    small = Image.fromarray(scene(11, 13))
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        rgb.save(OUT / f"rgb{name}.jpg", quality=85, subsampling=subsampling)
        rgb.save(OUT / f"progressive{name}.jpg", quality=85, subsampling=subsampling, progressive=True)
    rgb.save(OUT / "orientation.jpg", quality=85, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0")
    rgb.convert("L").save(OUT / "grey.jpg", quality=85)
    rgb.convert("CMYK").save(OUT / "cmyk.jpg", quality=85)
    rgb.convert("YCbCr").save(OUT / "ycc.jpg", quality=50)
    alpha = Image.fromarray(((np.arange(11 * 13) * 5) % 256).astype(np.uint8).reshape(11, 13))
    with_alpha = small.copy()
    with_alpha.putalpha(alpha)
    grey_alpha = Image.merge("LA", (small.convert("L"), alpha))
    palette = small.quantize(16)
    for name, image in (("rgb", small), ("grey", small.convert("L")), ("rgba", with_alpha), ("la", grey_alpha),
                        ("bit", small.convert("1")), ("palette", palette)):
        image.save(OUT / f"{name}.png")
    palette.save(OUT / "palette_transparent.png", transparency=3)
    (OUT / "interlaced.png").write_bytes(interlaced_png(scene(11, 13)))
    wide = scene(11, 13).astype(np.uint16) * 257 // 2
    (OUT / "rgb16.png").write_bytes(rgb16_png(wide))
    Image.fromarray(wide[:, :, 0]).save(OUT / "grey16.png")

    lines = ["file\theight\twidth\tchannels\trgb_sha256"]
    for path in sorted(list(OUT.glob("*.jpg")) + list(OUT.glob("*.png"))):
        image = Image.open(path)
        channels = {"L": 1, "1": 1, "LA": 2, "RGB": 3, "CMYK": 3, "RGBA": 4}.get(image.mode, 1 if image.mode[0] == "I" else 3)
        if image.mode == "P" and "transparency" in image.info:
            channels = 4
        if image.mode[0] == "I":  # PIL's own conversion clips 16 bits; the high byte is meant
            converted = np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, 2)
        else:
            converted = np.asarray(image.convert("RGB"))
        digest = hashlib.sha256(converted.tobytes()).hexdigest()
        lines.append(f"{path.name}\t{converted.shape[0]}\t{converted.shape[1]}\t{channels}\t{digest}")
    (OUT / "images.tsv").write_text("\n".join(lines) + "\n")
    grey = hashlib.sha256(np.asarray(rgb.convert("L")).tobytes()).hexdigest()
    (OUT / "grey_of_scene.txt").write_text(grey + "\n")
    rgb.save(OUT / "scene.png")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    torch_files()
    numpy_files()
    safetensors_files()
    image_files()
