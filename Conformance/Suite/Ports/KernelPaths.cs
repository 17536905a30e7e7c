// Which code path of the kernels does this process run, and how are the others reached?
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;

namespace S2Attn.Conformance.Ports;

/// <summary>A runtime switch that takes registers or instructions away from a process; it must be set before the process starts.</summary>
/// <param name="Variable">The environment variable; empty for the processor as it is.</param>
/// <param name="Value">Its value.</param>
/// <param name="Widest">The widest registers that are left.</param>
public sealed record PathSwitch(string Variable, string Value, VectorWidth Widest)
{
    /// <inheritdoc/>
    public override string ToString() => Variable.Length == 0 ? "no switch" : $"{Variable}={Value}";
}

/// <summary>The paths of this processor.</summary>
public static class KernelPaths
{
    /// <summary>
    /// The switches of the .NET 10 runtime that leave another path: without AVX-512, with 128-bit registers but fused multiply-add, without AVX2 and FMA, without any
    /// vector instruction.
    /// </summary>
    public static ImmutableArray<PathSwitch> Switches { get; } =
    [
        new("", "", VectorWidth.Bits512),
        new("DOTNET_EnableAVX512", "0", VectorWidth.Bits256),
        new("DOTNET_PreferredVectorBitWidth", "128", VectorWidth.Bits128),
        new("DOTNET_EnableAVX2", "0", VectorWidth.Bits128),
        new("DOTNET_EnableHWIntrinsic", "0", VectorWidth.Bits128),
    ];

    /// <summary>The widest registers that the kernels use in this process.</summary>
    public static VectorWidth Widest => Engines.Widest;

    /// <summary>Every width that this process can run.</summary>
    public static ImmutableArray<VectorWidth> Widths =>
        [.. new[] { VectorWidth.Bits128, VectorWidth.Bits256, VectorWidth.Bits512 }.Where(width => width <= Engines.Widest)];

    private static readonly ImmutableArray<IEngines> EveryPath =
    [
        new Engines<Vector512<float>, Lanes512, Tile8x2<Vector512<float>, Lanes512>>(),
        new Engines<Vector256<float>, Lanes256, Tile6x2<Vector256<float>, Lanes256>>(),
        new Engines<Vector128<float>, Lanes128, Tile8x2<Vector128<float>, Lanes128>>(),
        new Engines<Vector128<float>, Lanes128, Tile6x2<Vector128<float>, Lanes128>>(),
    ];

    /// <summary>Keys of a tile, on the path where they are fewest: the running maximum of a row changes once a tile at most.</summary>
    public static int SmallestKeyTile(int headDim) =>
        EveryPath.Min(engines => new BlockSizes(headDim, engines.TileRows, engines.TileColumns).TileKeys);

    /// <summary>The path of this process in one line.</summary>
    public static string Describe() =>
        $"{RuntimeInformation.ProcessArchitecture}, registers up to {Engines.Widest}, "
        + (Vector128.IsHardwareAccelerated ? "vector instructions" : "no vector instructions")
        + (Fma.IsSupported || AdvSimd.Arm64.IsSupported ? ", fused multiply-add" : ", multiply and add rounded apart");
}
