// How does a case lie in memory for a C function?
using System.Runtime.InteropServices;

namespace S2Attn.Conformance.Ports;

/// <summary>struct s2attn_case of Conformance/Ports/c/s2attn_port.h, field by field.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeCase
{
    public int StructSize;
    public int ElementType;
    public int Mask;
    public int Batch;
    public int Tokens;
    public int Heads;
    public int KvHeads;
    public int HeadDim;
    public int GroupSize;
    public int Shift;
    public double Scale;
    public byte* Shifted;
    public byte* Valid;
    public void* Query;
    public void* Key;
    public void* Value;
    public void* OutputGradient;
    public void* Output;
    public void* LogSumExp;
    public void* QueryGradient;
    public void* KeyGradient;
    public void* ValueGradient;
    public int Layout;
    public int Sequences;
    public int* CumulativeLengths;
    public long* QueryStrides;
    public long* KeyStrides;
    public long* ValueStrides;
    public long* OutputGradientStrides;
    public long* OutputStrides;
    public long* LogSumExpStrides;
    public long* QueryGradientStrides;
    public long* KeyGradientStrides;
    public long* ValueGradientStrides;
    public int IsSlice;
    public int IsUnbounded;
    public int FirstQuery;
    public int EndQuery;
    public int FirstKey;
    public int EndKey;
    public void* LogSumExpGradient;
    public NativeAxis* Axes;
    public int AxisCount;
    public int Prefix;
    public int IsPrefixWhole;
}

/// <summary>struct s2attn_port_axis.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeAxis
{
    public int Tokens;
    public int GroupSize;
    public int Shift;
}
