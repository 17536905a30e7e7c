// Which instantiation of the kernels runs? One for each storage format and register width, chosen once.
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace S2Attn.Optimized.Kernels;

/// <summary>The kernels of one storage format, with the register width hidden.</summary>
internal interface IEngine<T>
    where T : unmanaged
{
    void Forward(Geometry geometry, in Problem<T> problem, long item, long nextItem, ref KeyTile ahead, Workspace workspace);

    void Backward(Geometry geometry, in Problem<T> problem, int phase, long item, Workspace workspace);

    /// <summary>Rounds the f32 sums of dk and dv of the tokens of an item, all kv heads, to storage.</summary>
    void StoreKeyGradients(Geometry geometry, in Problem<T> problem, long item);
}

/// <summary>The kernels for one storage format and register width.</summary>
internal sealed class Engine<T, TStorage, V, TLanes, TTile> : IEngine<T>
    where T : unmanaged
    where TStorage : struct, IStorage<T>
    where V : struct
    where TLanes : struct, ILanes<V>
    where TTile : struct, ITile
{
    public void Forward(Geometry geometry, in Problem<T> problem, long item, long nextItem, ref KeyTile ahead, Workspace workspace) =>
        ForwardKernel<T, TStorage, V, TLanes, TTile>.Run(geometry, problem, item, nextItem, ref ahead, workspace);

    public void Backward(Geometry geometry, in Problem<T> problem, int phase, long item, Workspace workspace) =>
        BackwardKernel<T, TStorage, V, TLanes, TTile>.Run(geometry, problem, phase, item, workspace);

    public unsafe void StoreKeyGradients(Geometry geometry, in Problem<T> problem, long item)
    {
        (int batch, int first, int count) = geometry.Store(item);
        for (int token = first; token < first + count; token++)
            for (int head = 0; head < geometry.Config.KvHeads; head++)
            {
                TStorage.Narrow(problem.KeyGradient.At(batch, token, head), problem.StoredKeyGradient.At(batch, token, head), geometry.Sizes.HeadDim);
                TStorage.Narrow(problem.ValueGradient.At(batch, token, head), problem.StoredValueGradient.At(batch, token, head), geometry.Sizes.HeadDim);
            }
    }
}

/// <summary>What differs between register widths, for every storage format.</summary>
internal interface IEngines
{
    int TileRows { get; }

    int TileColumns { get; }

    nint WorkspaceFloats(BlockSizes sizes);

    IEngine<float> Single { get; }

    IEngine<Half> Half { get; }

    IEngine<BFloat16> BFloat16 { get; }
}

/// <summary>The engines of one register width.</summary>
internal sealed class Engines<V, TLanes, TTile> : IEngines
    where V : struct
    where TLanes : struct, ILanes<V>
    where TTile : struct, ITile
{
    public int TileRows => TTile.Rows;

    public int TileColumns => TTile.Columns;

    public IEngine<float> Single { get; } = new Engine<float, SingleStorage, V, TLanes, TTile>();

    public IEngine<Half> Half { get; } = new Engine<Half, HalfStorage, V, TLanes, TTile>();

    public IEngine<BFloat16> BFloat16 { get; } = new Engine<BFloat16, BFloat16Storage, V, TLanes, TTile>();

    public nint WorkspaceFloats(BlockSizes sizes) => Math.Max(
        ForwardKernel<float, SingleStorage, V, TLanes, TTile>.WorkspaceFloats(sizes),
        BackwardKernel<float, SingleStorage, V, TLanes, TTile>.WorkspaceFloats(sizes));
}

/// <summary>The choice of the register width.</summary>
internal static class Engines
{
    /// <summary>The engines of a width that this processor has.</summary>
    /// <exception cref="PlatformNotSupportedException">The processor, or the runtime's switches, do not offer the width.</exception>
    public static IEngines For(VectorWidth width) => width switch
    {
        VectorWidth.Widest => For(Widest),
        VectorWidth.Bits512 when Vector512.IsHardwareAccelerated => new Engines<Vector512<float>, Lanes512, Tile8x2<Vector512<float>, Lanes512>>(),
        VectorWidth.Bits256 when Vector256.IsHardwareAccelerated && Fma.IsSupported => new Engines<Vector256<float>, Lanes256, Tile6x2<Vector256<float>, Lanes256>>(),
        VectorWidth.Bits128 when AdvSimd.Arm64.IsSupported => new Engines<Vector128<float>, Lanes128, Tile8x2<Vector128<float>, Lanes128>>(),
        VectorWidth.Bits128 => new Engines<Vector128<float>, Lanes128, Tile6x2<Vector128<float>, Lanes128>>(),
        _ => throw new PlatformNotSupportedException($"VectorWidth = {width}: this processor runs up to {Widest}."),
    };

    /// <summary>The widest registers that this processor has with fused multiply-add.</summary>
    public static VectorWidth Widest =>
        Vector512.IsHardwareAccelerated ? VectorWidth.Bits512
        : Vector256.IsHardwareAccelerated && Fma.IsSupported ? VectorWidth.Bits256
        : VectorWidth.Bits128;
}
