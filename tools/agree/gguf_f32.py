"""gguf_f32.py IN OUT: the same model with every tensor dequantised to F32 by the gguf package."""
import sys

import numpy as np
import gguf


def copy_keys(reader, writer, skip=()):
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture",) + tuple(skip):
            continue
        kind = field.types[0]
        if kind == gguf.GGUFValueType.ARRAY:
            writer.add_key_value(field.name, field.contents(), kind, sub_type=field.types[-1])
        else:
            writer.add_key_value(field.name, field.contents(), kind)


def convert(source, target):
    reader = gguf.GGUFReader(source)
    arch = reader.get_field("general.architecture").contents()
    writer = gguf.GGUFWriter(target, arch, use_temp_file=False)
    copy_keys(reader, writer)
    for t in reader.tensors:
        data = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32)
        writer.add_tensor(t.name, data.reshape(tuple(int(n) for n in reversed(t.shape))))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    convert(sys.argv[1], sys.argv[2])
