// Which register width do the kernels run with?
using S2Attn.Optimized.Kernels;

namespace S2Attn.Optimized;

/// <summary>
/// The register width of this process. An application that is compiled ahead of time for x86-64 has 128 bits and is three times slower unless its project sets
/// <c>IlcInstructionSet</c>, as <c>&lt;IlcInstructionSet&gt;x86-64-v3&lt;/IlcInstructionSet&gt;</c>; just-in-time compilation looks at the processor.
/// </summary>
public static class VectorWidths
{
    /// <summary>What <see cref="VectorWidth.Widest"/> stands for: the widest registers that processor, runtime and compilation offer.</summary>
    public static VectorWidth InUse => Engines.Widest;

    /// <summary>Bits of a register: 128, 256 or 512.</summary>
    public static int Bits(VectorWidth width) => width switch
    {
        VectorWidth.Widest => Bits(InUse),
        VectorWidth.Bits128 => 128,
        VectorWidth.Bits256 => 256,
        VectorWidth.Bits512 => 512,
        _ => throw new ArgumentOutOfRangeException(nameof(width), width, "must be one of VectorWidth"),
    };
}
