// What do the structs of s2attn.h hold?
using System.Runtime.InteropServices;
using S2Attn.Optimized;

namespace S2Attn.Native;

/// <summary>s2attn_strides, in elements.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct NativeStrides
{
    public readonly long Batch, Token, Head;

    public TensorStrides ToStrides() => new(Batch, Token, Head);
}

/// <summary>s2attn_config, field by field; the tests of the C interface set each field and see its effect.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeConfig
{
    public long StructSize;
    public long Batch, Tokens, Heads, KvHeads, HeadDim, ValueDim, GroupSize;
    public double GroupRatio;
    public long Shift;
    public double Scale;
    public int DType, GradientDType, Mask, GroupRule, ShiftedHeads, Layout, Threads, Prefix;

    /// <summary>A union: flags, or where ShiftedHeads says so one long for each head.</summary>
    public byte* Shifted;
    public NativeStrides* Query, Key, Value, Output, LogSumExp, OutputGradient, QueryGradient, KeyGradient, ValueGradient;
}

/// <summary>s2attn_axis.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeAxis
{
    public long Tokens, GroupSize, Shift;
}

/// <summary>s2attn_info.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeInfo
{
    public long StructSize, GroupSize, Shift;
    public double Scale;
    public long WorkspaceBytesPerThread, WorkspaceBytes;
    public int Threads, VectorBits;
}

/// <summary>s2attn_slice.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeSlice
{
    public long StructSize, FirstQuery, EndQuery, FirstKey, EndKey;
    public int IsUnbounded, Reserved;
}

/// <summary>s2attn_cache_info.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeCacheInfo
{
    public long StructSize, Length, FirstKey, MaxRows, Bytes;
}
