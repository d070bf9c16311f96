"""Accuracy of this folder's models on `samples/test.npz`, computed by LiteRT's reference kernels (BUILTIN_REF).

pip install ai-edge-litert==2.3.0
python models/measure.py [--json] [FILE.tflite ...]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

HERE = Path(__file__).parent


def quantize(real: np.ndarray, detail: dict) -> np.ndarray:
    """`real` in the type, scale and zero point of the tensor that `detail` describes; floats stay as they are."""
    scale, zero_point = detail["quantization"]
    if scale == 0:
        return real.astype(detail["dtype"])
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.rint(real / scale) + zero_point, limits.min, limits.max).astype(detail["dtype"])


def dequantize(value: np.ndarray, detail: dict) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    return value if scale == 0 else (value.astype(np.float64) - zero_point) * scale


def describe(detail: dict) -> str:
    scale, zero_point = detail["quantization"]
    name = np.dtype(detail["dtype"]).name
    return name if scale == 0 else f"{name} (scale {scale:.6g}, zero point {zero_point})"


def predict(interpreter: Interpreter, images: np.ndarray) -> np.ndarray:
    """Probabilities [n, 10] for pixels uint8 [n, 8, 8, 1]."""
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    probabilities = []
    for image in quantize(images.astype(np.float64), source):
        interpreter.set_tensor(source["index"], image[np.newaxis])
        interpreter.invoke()
        probabilities.append(dequantize(interpreter.get_tensor(target["index"])[0], target))
    return np.array(probabilities)


def measure(path: Path, images: np.ndarray, labels: np.ndarray) -> dict:
    interpreter = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    probabilities = predict(interpreter, images)
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "input": describe(interpreter.get_input_details()[0]),
        "output": describe(interpreter.get_output_details()[0]),
        "operators": [op["op_name"] for op in interpreter._get_ops_details()],
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == labels)),
        "probabilities": probabilities.tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy of this folder's models under LiteRT's BUILTIN_REF.")
    parser.add_argument("files", nargs="*", type=Path, help="default: every .tflite file beside this script")
    parser.add_argument("--json", action="store_true", help="everything measured, for a program to read")
    arguments = parser.parse_args()
    test = np.load(HERE / "samples" / "test.npz")
    files = arguments.files or sorted(HERE.glob("*.tflite"))
    rows = [measure(path, test["images"], test["labels"]) for path in files]
    if arguments.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(f"{row['file']:34} {row['accuracy']:.2%}")


if __name__ == "__main__":
    main()
