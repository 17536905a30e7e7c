// Did a C function stay inside its buffer, and did it write at all?
using System.Runtime.InteropServices;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;

namespace S2Attn.Conformance.Ports;

/// <summary>Unmanaged memory for one tensor, aligned to 64 bytes, between two guards. Until it is written, every byte has one value.</summary>
internal sealed unsafe class NativeBuffer : IDisposable
{
    private const int GuardBytes = 256;

    // As a float, a double, a half or a bfloat16, this pattern is a number that no case has: -7.6e+37, -1.2e+302, -30000 and -7.6e+37 or so.
    private const byte Unwritten = 0xFE;
    private const byte Guard = 0xA7;
    private readonly byte* start;
    private readonly nuint bytes;
    private readonly byte[] before;

    private NativeBuffer(string name, nuint bytes)
    {
        Name = name;
        this.bytes = bytes;
        start = (byte*)NativeMemory.AlignedAlloc(bytes + (2 * GuardBytes), GuardBytes);
        NativeMemory.Fill(start, GuardBytes, Guard);
        NativeMemory.Fill(start + GuardBytes, bytes, Unwritten);
        NativeMemory.Fill(start + GuardBytes + bytes, GuardBytes, Guard);
        before = [];
    }

    private NativeBuffer(string name, byte[] content)
        : this(name, (nuint)content.Length)
    {
        content.CopyTo(Content);
        before = content;
    }

    /// <summary>The tensor's name in the header.</summary>
    public string Name { get; }

    /// <summary>The first element.</summary>
    public byte* Pointer => start + GuardBytes;

    /// <summary>Whether no byte was written.</summary>
    public bool IsUnwritten => !Content.ContainsAnyExcept(Unwritten);

    private Span<byte> Content => new(Pointer, checked((int)bytes));

    /// <summary>A tensor to be read.</summary>
    public static NativeBuffer Input(string name, SafetensorsType type, Tensor<double> tensor)
    {
        byte[] content = new byte[checked(tensor.Elements.Length * type.Size())];
        for (int i = 0; i < tensor.Elements.Length; i++)
            type.Encode(tensor.Elements[i], content.AsSpan(i * type.Size(), type.Size()));
        return new(name, content);
    }

    /// <summary>A tensor to be written.</summary>
    public static NativeBuffer Output(string name, SafetensorsType type, ReadOnlySpan<int> shape)
    {
        int elements = 1;
        foreach (int length in shape)
            elements = checked(elements * length);
        return new(name, (nuint)checked(elements * type.Size()));
    }

    /// <summary>What the function did that it must not, or an empty text.</summary>
    public string Violation()
    {
        if (new ReadOnlySpan<byte>(start, GuardBytes).ContainsAnyExcept(Guard))
            return $"wrote before the start of {Name}";
        if (new ReadOnlySpan<byte>(Pointer + bytes, GuardBytes).ContainsAnyExcept(Guard))
            return $"wrote past the end of {Name}";
        return before.Length > 0 && !Content.SequenceEqual(before) ? $"changed its input {Name}" : "";
    }

    /// <summary>The tensor that was written.</summary>
    public Tensor<double> Read(SafetensorsType type, ReadOnlySpan<int> shape) => Tensor<double>.Build(shape, i =>
    {
        type.TryDecode(Content.Slice(i * type.Size(), type.Size()), out double value);
        return value;
    });

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.AlignedFree(start);
}
