// What must a vector register offer for the kernel to be written over it once?
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace S2Attn.Optimized.Kernels;

/// <summary>Operations on a register of f32 lanes. Each instruction set is one struct of one-line bodies; the kernel is written over this interface.</summary>
/// <typeparam name="V">The register type.</typeparam>
internal unsafe interface ILanes<V>
    where V : struct
{
    /// <summary>Lanes of a register.</summary>
    static abstract int Count { get; }

    /// <summary>x in every lane.</summary>
    static abstract V Broadcast(float x);

    /// <summary>0, 1, 2, ...</summary>
    static abstract V Indices { get; }

    static abstract V Load(Pointer<float> source);

    /// <summary>Loads from so many floats behind a place: an address that the instruction itself adds up.</summary>
    static abstract V Load(Pointer<float> source, nint offset);

    static abstract void Store(V x, Pointer<float> destination);

    /// <summary>Count numbers of binary16, exactly; NaN stays NaN.</summary>
    static abstract V WidenHalf(Pointer<ushort> source);

    /// <summary>The same of finite numbers alone, in half the instructions; seen remembers whether any was an infinity or NaN (<see cref="SawNonFiniteHalf"/>).</summary>
    static abstract V WidenFiniteHalf(Pointer<ushort> source, ref V seen);

    /// <summary>Whether seen, which began as 0, met a number that <see cref="WidenFiniteHalf"/> does not widen.</summary>
    static abstract bool SawNonFiniteHalf(V seen);

    /// <summary>Stores the nearest numbers of binary16, ties to even; NaN stays NaN.</summary>
    static abstract void NarrowHalf(V x, Pointer<ushort> destination);

    /// <summary>Count numbers of bfloat16, exactly.</summary>
    static abstract V WidenBFloat16(Pointer<ushort> source);

    /// <summary>2 Count numbers of bfloat16, exactly: those at even places, then those at odd ones. As they lie they take a shuffle for each register, apart by parity an operation and one read for both.</summary>
    static abstract void WidenBFloat16(Pointer<ushort> source, out V even, out V odd);

    static abstract V Add(V a, V b);

    static abstract V Subtract(V a, V b);

    static abstract V Multiply(V a, V b);

    /// <summary>a b + c, rounded once where the processor has FMA.</summary>
    static abstract V MultiplyAdd(V a, V b, V c);

    /// <summary>The greater; b where a lane of either is NaN on x86, NaN on Arm.</summary>
    static abstract V Max(V a, V b);

    /// <summary>The lesser; b where a lane of either is NaN on x86, NaN on Arm.</summary>
    static abstract V Min(V a, V b);

    /// <summary>Lanes of a where x &lt; y, else of b.</summary>
    static abstract V SelectLess(V x, V y, V a, V b);

    /// <summary>Whether every lane of a equals that of b.</summary>
    static abstract bool EqualsAll(V a, V b);

    /// <summary>x 2^n for integral n in [-127, 0], where n is stored as the float n + 127 + 1.5 * 2^23: its low mantissa bits are the exponent of 2^n.</summary>
    static abstract V ScaleByBiasedPower(V x, V biased);
}
