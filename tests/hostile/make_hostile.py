#!/usr/bin/env python3
"""Writes the corpus of broken files beside this script: one folder for each reader.

A file's name begins with the kind of error that its reader must report: corrupt-, limit- or unsupported-.
Most are the fixtures of tests/io with one thing changed. Needs Python alone.
"""
import gzip
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

HERE = Path(__file__).parent
FIXTURES = HERE.parent / "io" / "fixtures"


def put(folder, name, content):
    (HERE / folder).mkdir(exist_ok=True)
    (HERE / folder / name).write_bytes(content)


def fixture(name):
    return (FIXTURES / name).read_bytes()


# --- safetensors ---

def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(begin, end, shape, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors_files():
    def add(name, *args, **kwargs):
        put("safetensors", name + ".safetensors", safetensors(*args, **kwargs))

    one = {"w": tensor(0, 4, [1])}
    put("safetensors", "unsupported-seven_bytes.safetensors", b"\x08\0\0\0\0\0\0")
    add("corrupt-header_beyond_end", b'{"w":', length=1000)
    add("limit-header_length_of_2_64", b"{}", length=2**64 - 1)
    add("limit-header_length_above_100_mb", b"{}", length=100_000_001)
    add("corrupt-not_json", b'{"w": nonsense}')
    add("corrupt-not_utf8", b'{"\xff\xfe": 1}')
    add("corrupt-list_as_root", b"{[1, 2]}")
    add("corrupt-truncated_json", b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}')
    add("corrupt-two_roots", b'{}{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"\0" * 4)
    add("corrupt-deep_json", b'{"w":' + b"[" * 5000 + b"]" * 5000 + b"}")
    add("limit-deep_metadata_shape", {"w": {"dtype": "F32", "shape": [1] * 9, "data_offsets": [0, 4]}}, b"\0" * 4)
    add("corrupt-data_cut_off", one, b"\0\0\0")
    add("corrupt-trailing_bytes", one, b"\0" * 5)
    add("corrupt-hole", {"a": tensor(0, 4, [1]), "b": tensor(8, 12, [1])}, b"\0" * 12)
    add("corrupt-overlap", {"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}, b"\0" * 12)
    add("corrupt-end_before_begin", {"a": tensor(4, 0, [1])}, b"\0" * 4)
    add("corrupt-same_place_twice", {"a": tensor(0, 4, [1]), "b": tensor(0, 4, [1])}, b"\0" * 4)
    add("corrupt-shape_too_small", {"a": tensor(0, 8, [1])}, b"\0" * 8)
    add("limit-product_overflows", {"a": tensor(0, 0, [2**62, 4])})
    add("limit-product_hidden_by_zero", {"a": tensor(0, 0, [2**62, 4, 0])})
    add("limit-byte_size_overflows", {"a": tensor(0, 0, [2**62])})
    add("limit-size_above_63_bits", {"a": tensor(0, 0, [2**63])})
    add("corrupt-negative_size", {"a": tensor(0, 4, [-1])}, b"\0" * 4)
    add("corrupt-fraction_as_size", {"a": tensor(0, 4, [1.0])}, b"\0" * 4)
    add("corrupt-three_offsets", {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 2, 4]}}, b"\0" * 4)
    add("corrupt-one_offset", {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, b"\0" * 4)
    add("corrupt-no_dtype", {"a": {"shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4)
    add("corrupt-shape_twice", b'{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}', b"\0" * 4)
    add("corrupt-name_twice", b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
                              b'"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}')
    add("corrupt-unknown_field", {"a": dict(tensor(0, 4, [1]), code="x")}, b"\0" * 4)
    add("corrupt-metadata_number", b'{"__metadata__":{"a":1}}')
    add("corrupt-metadata_twice", b'{"__metadata__":{"a":"1","a":"2"}}')
    add("unsupported-dtype", {"a": tensor(0, 1, [1], "F8_E4M3")}, b"\0")
    add("limit-long_name", {"n" * 1025: tensor(0, 4, [1])}, b"\0" * 4)


# --- pickles ---

MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
PREAMBLE = MAGIC + b"\x80\x02M\xe9\x03." + b"\x80\x02}U\x0dlittle_endian\x88s."
STORAGE = b"(U\x07storagectorch\nFloatStorage\nU\x01kU\x03cpuK\x04NtQ"
KEYS = b"\x80\x02](U\x01ke."
DATA = struct.pack("<q4f", 4, 1, 2, 3, 4)


def rebuilt(offset=b"K\0", size=b"(K\x04t", stride=b"(K\x01t", storage=STORAGE):
    return b"ctorch._utils\n_rebuild_tensor\n(" + storage + offset + size + stride + b"tR"


def legacy(obj, keys=KEYS, data=DATA):
    return PREAMBLE + b"\x80\x02" + obj + b"." + keys + data


def zip_of(records, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in records:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def patched(data, at, content):
    return data[:at] + content + data[at + len(content):]


def legacy_files():
    def add(name, content):
        put("pth", name + ".pth", content)

    one = b"}U\x01w" + rebuilt() + b"s"
    good = legacy(one)
    add("unsupported-runs_a_program", legacy(b"cos\nsystem\n(U\x09echo pwnedtR"))
    add("unsupported-evaluates_text", legacy(b"cbuiltins\neval\n(U\x011tR"))
    add("unsupported-other_class", legacy(b"cargparse\nNamespace\n)\x81}U\x01aK\x01sb"))
    add("unsupported-quantised", legacy(b"ctorch._utils\n_rebuild_qtensor\n)R"))
    add("unsupported-protocol_0", b"(dp0\nS'a'\np1\nI1\ns.")
    add("unsupported-instance_opcode", legacy(b"(ios\nsystem\n"))
    add("unsupported-extension_opcode", legacy(b"\x82\x01"))
    add("unsupported-global_from_the_stack", legacy(b"\x8c\x02os\x8c\x06system\x93)R"))
    add("unsupported-build_on_a_list", legacy(b"]}b"))
    add("unsupported-other_pickle", b"\x80\x02}U\x01aK\x01s.")
    add("unsupported-no_tensor", legacy(b"}U\x01aK\x01s", b"\x80\x02].", b""))
    add("unsupported-tar", b"\0" * 257 + b"ustar\0" + b"\0" * 249)
    add("corrupt-cut_off_in_pickle", good[:len(PREAMBLE) + 20])
    add("corrupt-cut_off_in_storage", good[:-3])
    add("corrupt-trailing_bytes", good + b"\0")
    add("corrupt-storage_of_2_63_elements", legacy(one, data=struct.pack("<Q", 2**63)))
    add("corrupt-storage_missing", legacy(one, b"\x80\x02].", b""))
    add("corrupt-storage_twice", legacy(one, b"\x80\x02](U\x01kU\x01ke.", DATA + DATA))
    add("corrupt-unknown_storage", legacy(one, b"\x80\x02](U\x01ze.", DATA))
    add("corrupt-other_storage_size", legacy(one, data=struct.pack("<q3f", 3, 1, 2, 3)))
    add("corrupt-beyond_storage", legacy(b"}U\x01w" + rebuilt(size=b"(K\x05t") + b"s"))
    add("corrupt-offset_beyond_storage", legacy(b"}U\x01w" + rebuilt(offset=b"K\x04") + b"s"))
    add("corrupt-negative_offset", legacy(b"}U\x01w" + rebuilt(offset=b"J\xff\xff\xff\xff") + b"s"))
    add("corrupt-negative_stride", legacy(b"}U\x01w" + rebuilt(stride=b"(J\xff\xff\xff\xfft") + b"s"))
    add("corrupt-stride_overflow", legacy(b"}U\x01w" + rebuilt(stride=b"(\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7ft") + b"s"))
    add("corrupt-strides_of_other_rank", legacy(b"}U\x01w" + rebuilt(stride=b"(K\x01K\x01t") + b"s"))
    add("limit-negative_size", legacy(b"}U\x01w" + rebuilt(size=b"(J\xff\xff\xff\xfft") + b"s"))
    add("limit-nine_dimensions", legacy(b"}U\x01w" + rebuilt(size=b"(" + b"K\x01" * 9 + b"t", stride=b"(" + b"K\x01" * 9 + b"t") + b"s"))
    add("limit-stride_0_bomb", legacy(b"}U\x01w" + rebuilt(size=b"(J\xff\xff\xff\x7ft", stride=b"(K\0t") + b"s"))
    add("limit-product_overflows", legacy(b"}U\x01w" + rebuilt(size=b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7ft",
                                                             stride=b"(K\0K\0K\0t") + b"s"))
    add("limit-long_name", legacy(b"}X" + struct.pack("<I", 1025) + b"n" * 1025 + rebuilt() + b"s"))
    add("corrupt-name_twice", legacy(b"}(U\x01w" + rebuilt() + b"U\x01w" + rebuilt() + b"u"))
    add("limit-memo_bomb", legacy(rebuilt() + b"".join(b"q%c](h%ch%ce" % (i, i, i) for i in range(60))))
    add("limit-cycle", legacy(b"]q\x01(" + rebuilt() + b"h\x01e"))
    add("limit-deep_lists", legacy(rebuilt() + b"\x85" * 5000))
    add("corrupt-empty_stack", legacy(b"0"))
    add("corrupt-no_mark", legacy(b"t"))
    add("corrupt-pop_below_mark", legacy(b"K\x01(\x85"))
    add("corrupt-unknown_memo", legacy(b"h\x07"))
    add("corrupt-append_to_number", legacy(b"K\x01K\x02a"))
    add("corrupt-key_without_value", legacy(b"}(K\x01u"))
    add("corrupt-call_of_a_number", legacy(b"K\x01)R"))
    add("corrupt-storage_as_number", legacy(b"K\x01Q"))
    add("corrupt-tensor_without_storage", legacy(b"ctorch._utils\n_rebuild_tensor\n(K\x01K\0))tR"))
    add("corrupt-text_of_2_32_bytes", legacy(b"X\xff\xff\xff\xff"))
    add("corrupt-text_of_2_64_bytes", legacy(b"\x8d" + b"\xff" * 8))
    add("corrupt-storage_elements_overflow", legacy(b"}U\x01w" + rebuilt(
        storage=STORAGE.replace(b"K\x04", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f")) + b"s"))


def zip_files():
    def add(name, content):
        put("pth", name + ".pth", content)

    good = fixture("protocol2.pth")
    names = zipfile.ZipFile(io.BytesIO(good)).infolist()
    prefix = names[0].filename.split("/")[0]
    pickle = zipfile.ZipFile(io.BytesIO(good)).read(names[0])
    end = good.rindex(b"PK\x05\x06")
    directory = struct.unpack_from("<I", good, end + 16)[0]
    if directory == 0xFFFFFFFF:
        directory = good.index(b"PK\x01\x02")
    add("corrupt-zip_cut_off", good[:-1])
    add("corrupt-zip_half", good[:len(good) // 2])
    add("corrupt-zip_storage_missing", zip_of([(prefix + "/data.pkl", pickle)]))
    add("corrupt-zip_storage_short", zip_of([(prefix + "/data.pkl", pickle), (prefix + "/data/0", b"\0" * 23),
                                             (prefix + "/data/1", b"\0" * 16)]))
    add("corrupt-zip_two_pickles", zip_of([("a/data.pkl", pickle), ("b/data.pkl", pickle)]))
    add("corrupt-zip_byteorder", zip_of([(prefix + "/data.pkl", pickle), (prefix + "/byteorder", b"middle")]))
    add("unsupported-zip_torchscript", zip_of([("a/data.pkl", pickle), ("a/constants.pkl", b"\x80\x02).")]))
    at = good.index(pickle)
    add("corrupt-zip_damaged_pickle", patched(good, at + 30, bytes([good[at + 30] ^ 1])))
    data = next(info for info in names if info.filename.endswith("/data/0"))
    start = data.header_offset + 30 + sum(struct.unpack_from("<HH", good, data.header_offset + 26))
    add("corrupt-zip_damaged_data", patched(good, start, b"\xff"))
    add("unsupported-zip_encrypted", patched(good, directory + 8, b"\x01"))
    add("unsupported-zip_method", patched(good, directory + 10, b"\x0e"))
    add("corrupt-zip_local_header", patched(good, directory + 42, b"\x05"))
    first_size = directory + 20
    add("corrupt-zip_size_beyond_end", patched(good, first_size, b"\xf0\xff\xff\x7f\xf0\xff\xff\x7f"))


# --- npz and npy ---

def npy(dictionary, data=b"", version=1, length=None):
    text = dictionary if isinstance(dictionary, bytes) else dictionary.encode()
    size = len(text) if length is None else length
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", size) + text + data


def npz_files():
    def add(name, content):
        put("npz", name, content)

    def described(descr="'<f4'", order="False", shape="(2,)"):
        return "{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n" % (descr, order, shape)

    good = npy(described(), b"\0" * 8)
    add("corrupt-cut_off_in_magic.npy", good[:8])
    add("corrupt-cut_off_in_header.npy", good[:40])
    add("corrupt-cut_off_in_data.npy", good[:-1])
    add("corrupt-trailing_byte.npy", good + b"\0")
    add("corrupt-header_beyond_end.npy", npy(described(), length=60000))
    add("corrupt-header_of_4_gb.npy", npy(described(), version=2, length=2**32 - 1))
    add("unsupported-version_9.npy", npy(described(), b"\0" * 8, version=9))
    add("unsupported-objects.npy", npy(described("'|O'"), b"\0" * 16))
    add("unsupported-structured.npy", npy(described("[('a', '<f4')]"), b"\0" * 8))
    add("unsupported-text.npy", npy(described("'<U4'"), b"\0" * 32))
    add("limit-nine_dimensions.npy", npy(described(shape="(1, 1, 1, 1, 1, 1, 1, 1, 1)"), b"\0" * 4))
    add("limit-product_overflows.npy", npy(described(shape="(4611686018427387904, 4)")))
    add("corrupt-size_above_64_bits.npy", npy(described(shape="(99999999999999999999,)")))
    add("corrupt-negative_size.npy", npy(described(shape="(-2,)"), b"\0" * 8))
    add("corrupt-no_shape.npy", npy("{'descr': '<f4', 'fortran_order': False, }", b"\0" * 8))
    add("corrupt-shape_twice.npy", npy("{'shape': (2,), 'shape': (2,), 'descr': '<f4', 'fortran_order': False}", b"\0" * 8))
    add("corrupt-order_is_a_number.npy", npy(described(order="7"), b"\0" * 8))
    add("corrupt-header_is_code.npy", npy("__import__('os').system('true')", b"\0" * 8))
    add("corrupt-open_quote.npy", npy("{'descr", b"\0" * 8))
    add("corrupt-no_arrays_end.npz", fixture("stored.npz")[:-4])
    add("unsupported-other_entry.npz", zip_of([("a.txt", b"text")]))
    add("corrupt-entry_is_no_array.npz", zip_of([("a.npy", b"text")]))
    deflated = fixture("deflated.npz")
    first = zipfile.ZipFile(io.BytesIO(deflated)).infolist()[0]
    start = first.header_offset + 30 + sum(struct.unpack_from("<HH", deflated, first.header_offset + 26))
    add("corrupt-deflate_stream.npz", patched(deflated, start, b"\xff\xff\xff"))
    add("corrupt-deflated_checksum.npz", patched(deflated, deflated.index(b"PK\x01\x02") + 16, b"\0\0\0\0"))
    bomb = zip_of([("a.npy", npy(described(shape="(1000000000000,)")))], zipfile.ZIP_DEFLATED)
    at = bomb.index(b"PK\x01\x02")
    add("limit-declared_size.npz", patched(bomb, at + 24, b"\xf0\xff\xff\xff"))
    full = zip_of([("a.npy", npy(described(shape="(25,)"), b"\0" * 20000))], zipfile.ZIP_DEFLATED)
    header = npy(described(shape="(25,)"))
    add("limit-unpacks_to_more.npz", patched(full, full.index(b"PK\x01\x02") + 24, struct.pack("<I", len(header) + 100)))
    shared = zip_of([("a.npy", good), ("b.npy", good)])
    second = shared.rindex(b"PK\x01\x02")
    add("corrupt-overlapping_entries.npz", patched(shared, second + 42, struct.pack("<I", 0)))
    add("corrupt-name_twice.npz", shared.replace(b"b.npy", b"a.npy"))
    add("corrupt-directory_count.npz", patched(shared, len(shared) - 12, b"\xff\x7f"))
    add("corrupt-directory_offset.npz", patched(shared, len(shared) - 6, b"\xff\xff\xff\x7f"))


# --- images ---

def png_chunk(kind, content, crc=None):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content) if crc is None else crc)


def png(width, height, depth=8, colour=2, data=b"", chunks=b""):
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunks + png_chunk(b"IDAT", zlib.compress(data)) + png_chunk(b"IEND", b"")


def image_files():
    def add(name, content):
        put("image", name, content)

    photo, progressive, picture = fixture("rgb420.jpg"), fixture("progressive420.jpg"), fixture("rgb.png")
    frame = photo.index(b"\xff\xc0")
    add("corrupt-cut_off.jpg", photo[:len(photo) // 2])
    add("corrupt-no_end.jpg", progressive[:-200])
    add("corrupt-header_alone.jpg", photo[:20])
    add("corrupt-three_bytes.jpg", photo[:3])
    add("corrupt-too_short_for_its_size.jpg", patched(photo, frame + 5, struct.pack(">HH", 12000, 12000)))
    add("limit-pixels.jpg", patched(photo, frame + 5, struct.pack(">HH", 65000, 65000)))
    add("corrupt-no_width.jpg", patched(photo, frame + 5, struct.pack(">HH", 53, 0)))
    add("corrupt-five_components.jpg", patched(photo, frame + 9, b"\x05"))
    add("corrupt-twelve_bits.jpg", patched(photo, frame + 4, b"\x0c"))
    add("corrupt-no_quantisation_tables.jpg", photo[:photo.index(b"\xff\xdb")] + photo[frame:])
    scan2 = progressive.rindex(b"\xff\xda")
    add("corrupt-too_many_scans.jpg", progressive[:scan2] + progressive[scan2:scan2 + 10] * 600 + b"\xff\xd9")
    add("corrupt-cut_off.png", picture[:-20])
    add("corrupt-signature_alone.png", picture[:8])
    add("corrupt-checksum.png", patched(picture, 29, b"\0\0\0\0"))
    add("corrupt-no_width.png", png(0, 4))
    add("limit-pixels.png", png(100000, 100000))
    add("corrupt-too_short_for_its_size.png", png(12000, 12000))
    add("corrupt-no_rows.png", png(8, 8, data=b""))
    add("corrupt-too_few_rows.png", png(8, 8, data=b"\0" * 25))
    add("corrupt-colour_type.png", png(8, 8, colour=5, data=b"\0" * 200))
    add("corrupt-palette_missing.png", png(8, 8, colour=3, data=b"\0" * 72))
    add("corrupt-filter.png", png(8, 8, data=b"\x09" * 200))
    add("unsupported-gif.gif", b"GIF89a" + b"\0" * 20)
    add("corrupt-empty.png", b"")


# --- tables ---

def table_files():
    def add(name, content):
        put("csv", name, content)

    add("corrupt-empty.csv", b"")
    add("corrupt-uneven.csv", b"a,b\n1,2\n3\n")
    add("corrupt-too_many_fields.csv", b"a,b\n1,2,3\n")
    add("corrupt-open_quote.csv", b'a,b\n1,"2\n3,4\n')
    add("corrupt-text_after_quote.csv", b'a,b\n1,"2"x\n')
    add("corrupt-quote_in_field.csv", b'a,b\n1,2"x\n')
    packed = gzip.compress(b"a,b\n1,2\n", mtime=0)
    add("corrupt-cut_off.csv.gz", packed[:-3])
    add("corrupt-checksum.csv.gz", patched(packed, len(packed) - 8, b"\0\0\0\0"))
    add("corrupt-stream.csv.gz", patched(packed, 10, b"\xff\xff"))
    add("corrupt-trailing_bytes.csv.gz", packed + b"more")
    add("limit-bomb.csv.gz", gzip.compress(b"0\n" * (8 << 20), mtime=0))


if __name__ == "__main__":
    safetensors_files()
    legacy_files()
    zip_files()
    npz_files()
    image_files()
    table_files()
