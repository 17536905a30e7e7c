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

    /// <summary>What keys of a prefix receive, after all phases.</summary>
    void BackwardOfPrefix(Geometry geometry, in Problem<T> problem, long item, Workspace workspace);

    /// <summary>One part of the keys for a few queries against a cache, and the part that this worker takes next, or -1.</summary>
    void Decode(DecodeWork<T> work, long item, long nextItem, Workspace workspace);

    /// <summary>Makes the results of all parts one.</summary>
    void Merge(DecodeWork<T> work, in Rows<T> output, in Rows<float> logSumExp);

    /// <summary>Sets the f32 sums of dk and dv of the tokens of an item, all kv heads, to 0.</summary>
    void ClearKeyGradients(Geometry geometry, in Problem<T> problem, long item);

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

    public void BackwardOfPrefix(Geometry geometry, in Problem<T> problem, long item, Workspace workspace) =>
        BackwardKernel<T, TStorage, V, TLanes, TTile>.RunPrefix(geometry, problem, item, workspace);

    public void Decode(DecodeWork<T> work, long item, long nextItem, Workspace workspace) => DecodeKernel<T, TStorage, V, TLanes>.Run(work, item, nextItem, workspace);

    public void Merge(DecodeWork<T> work, in Rows<T> output, in Rows<float> logSumExp) => work.Merge<TStorage>(output, logSumExp);

    public void ClearKeyGradients(Geometry geometry, in Problem<T> problem, long item)
    {
        (int batch, int first, int count) = geometry.Store(item);
        for (int token = first; token < first + count; token++)
            for (int head = 0; head < geometry.Config.KvHeads; head++)
            {
                problem.KeyGradient.At(batch, token, head).Span(geometry.Sizes.HeadDim).Clear();
                problem.ValueGradient.At(batch, token, head).Span(geometry.Sizes.HeadDim).Clear();
            }
    }

    public unsafe void StoreKeyGradients(Geometry geometry, in Problem<T> problem, long item)
    {
        (int batch, int first, int count) = geometry.Store(item);
        for (int token = first; token < first + count; token++)
            for (int head = 0; head < geometry.Config.KvHeads; head++)
            {
                TStorage.Narrow<V, TLanes>(problem.KeyGradient.At(batch, token, head), problem.StoredKeyGradient.At(batch, token, head), geometry.Sizes.HeadDim);
                TStorage.Narrow<V, TLanes>(problem.ValueGradient.At(batch, token, head), problem.StoredValueGradient.At(batch, token, head), geometry.Sizes.HeadDim);
            }
    }
}

/// <summary>What differs between register widths, for every storage format.</summary>
internal interface IEngines
{
    int TileRows { get; }

    int TileColumns { get; }

    nint WorkspaceFloats(BlockSizes sizes);

    /// <summary>Floats that a decode item with this many rows takes.</summary>
    nint DecodeFloats(int headDim, int rows);

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

    public nint DecodeFloats(int headDim, int rows) => DecodeKernel<float, SingleStorage, V, TLanes>.WorkspaceFloats(headDim, rows);

    public nint WorkspaceFloats(BlockSizes sizes) => Math.Max(sizes.ForwardFloats, sizes.BackwardFloats);
}

/// <summary>The choice of the register width.</summary>
internal static class Engines
{
    /// <summary>The engine of a storage format.</summary>
    /// <exception cref="NotSupportedException">T is not float, Half or BFloat16.</exception>
    public static IEngine<T> Of<T>(IEngines engines)
        where T : unmanaged
    {
        object engine = typeof(T) == typeof(float) ? engines.Single
            : typeof(T) == typeof(Half) ? engines.Half
            : typeof(T) == typeof(BFloat16) ? engines.BFloat16
            : throw new NotSupportedException($"T = {typeof(T)}: tensors of float, Half and BFloat16 are supported.");
        return (IEngine<T>)engine;
    }

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
