"""What the compiler may use of the CPU: by the features that it is given, never by ``cpuid``."""

from __future__ import annotations

import functools
from platform import machine

from int8rt.native.cpu import cpu_features, cpu_name, target_machine


def has(*features: str) -> bool:
    """Whether the compiler may use all of these CPU features."""
    return _has(cpu_name() if is_aarch64() else "", cpu_features(), features)


@functools.cache
def _has(arm: str, known: str, features: tuple[str, ...]) -> bool:
    given = _given(known)
    if arm:
        given = _on_aarch64(arm, known) if given.get("neon", True) else {}
    return all(given.get(f, False) and all(given.get(base, True) for base in _bases(f)) for f in features)


@functools.cache
def _given(features: str) -> dict[str, bool]:
    """Features as a table; the last word on one counts, as for LLVM."""
    return {word[1:]: word[0] == "+" for word in features.split(",") if word}


def is_aarch64() -> bool:
    """Whether kernels are compiled for a 64-bit ARM."""
    return machine() in ("aarch64", "arm64")


@functools.cache
def _on_aarch64(cpu: str, features: str) -> dict[str, bool]:
    """Those features of an AArch64 that lowerings ask for, as LLVM sees them.

    What it reports of a host leaves most out: on Linux it is "+neon,+crc,+lse,...", with Apple's CPUs nothing at all.
    The rest, such as dotprod of neoverse-n1 (Graviton 2) and apple-m1, i8mm of neoverse-v1 (Graviton 3) and apple-m2,
    it knows by the CPU's name. So it is asked what it makes of dot products, which takes 3 ms.
    """
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    found = {"neon": True}
    for feature, extend, instruction in (("dotprod", "zext", "udot"), ("i8mm", "sext", "usdot")):
        module = llvm.parse_assembly(_DOT_PRODUCT.format(extend=extend))
        found[feature] = f"\t{instruction}\t" in target_machine().emit_assembly(module)
    return found


# The sum of 16 products of unsigned bytes with unsigned or signed ones.
_DOT_PRODUCT = """
declare i32 @llvm.vector.reduce.add.v16i32(<16 x i32>)

define i32 @dot(<16 x i8> %a, <16 x i8> %b) {{
  %x = zext <16 x i8> %a to <16 x i32>
  %w = {extend} <16 x i8> %b to <16 x i32>
  %products = mul <16 x i32> %x, %w
  %sum = call i32 @llvm.vector.reduce.add.v16i32(<16 x i32> %products)
  ret i32 %sum
}}
"""


# Taking away a feature takes away those that are built on it.
_BUILT_ON = {
    "avx512vnni": ("avx512f",),
    "avx512vbmi": ("avx512bw",),
    "avx512bw": ("avx512f",),
    "avx512f": ("avx2",),
    "avxvnni": ("avx2",),
    "avx2": ("avx",),
    "avx": ("sse4.2", "sse4.1", "ssse3", "sse3", "sse2"),
}


def _bases(feature: str) -> list[str]:
    """All the features that one is built on."""
    below = _BUILT_ON.get(feature, ())
    return [*below, *(base for f in below for base in _bases(f))]
