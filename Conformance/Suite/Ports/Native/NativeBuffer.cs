// Did a C function stay inside its buffer, and did it write at all?
using System.Collections.Immutable;
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
    private readonly TensorView view;
    private readonly ImmutableArray<int> shape;
    private readonly int size;

    private NativeBuffer(string name, SafetensorsType type, TensorView view, ReadOnlySpan<int> shape)
    {
        Name = name;
        size = type.Size();
        this.view = view;
        this.shape = [.. shape];
        nuint bytes = (nuint)checked(view.Length * size);
        this.bytes = bytes;
        start = (byte*)NativeMemory.AlignedAlloc(bytes + (2 * GuardBytes), GuardBytes);
        NativeMemory.Fill(start, GuardBytes, Guard);
        NativeMemory.Fill(start + GuardBytes, bytes, Unwritten);
        NativeMemory.Fill(start + GuardBytes + bytes, GuardBytes, Guard);
        before = [];
    }

    private NativeBuffer(string name, SafetensorsType type, TensorView view, ReadOnlySpan<int> shape, byte[] content)
        : this(name, type, view, shape)
    {
        content.CopyTo(Content);
        before = content;
    }

    /// <summary>The tensor's name in the header.</summary>
    public string Name { get; }

    /// <summary>Element (0,0,0,0).</summary>
    public byte* Pointer => Storage + (nint)view.Offset * size;

    /// <summary>Whether no byte was written.</summary>
    public bool IsUnwritten => !Content.ContainsAnyExcept(Unwritten);

    private byte* Storage => start + GuardBytes;

    private Span<byte> Content => new(Storage, checked((int)bytes));

    /// <summary>A dense tensor of any shape to be read.</summary>
    public static NativeBuffer Input(string name, SafetensorsType type, Tensor<double> tensor) =>
        Input(name, type, new TensorView(tensor.Elements.Length, 0, 0, 0, 0), [tensor.Elements.Length], [.. tensor.Elements]);

    /// <summary>A tensor to be read, with NaN between its rows.</summary>
    public static NativeBuffer Input(string name, SafetensorsType type, TensorView view, Tensor<double> tensor) =>
        Input(name, type, view, tensor.Shape.AsSpan(), view.Scatter(double.NaN, value => value, tensor));

    /// <summary>A tensor to be written.</summary>
    public static NativeBuffer Output(string name, SafetensorsType type, TensorView view, ReadOnlySpan<int> shape) => new(name, type, view, shape);

    private static NativeBuffer Input(string name, SafetensorsType type, TensorView view, ReadOnlySpan<int> shape, double[] storage)
    {
        byte[] content = new byte[checked(storage.Length * type.Size())];
        for (int i = 0; i < storage.Length; i++)
            type.Encode(storage[i], content.AsSpan(i * type.Size(), type.Size()));
        return new(name, type, view, shape, content);
    }

    /// <summary>What the function did that it must not, or an empty text.</summary>
    public string Violation()
    {
        if (new ReadOnlySpan<byte>(start, GuardBytes).ContainsAnyExcept(Guard))
            return $"wrote before the start of {Name}";
        if (new ReadOnlySpan<byte>(Storage + bytes, GuardBytes).ContainsAnyExcept(Guard))
            return $"wrote past the end of {Name}";
        if (before.Length > 0)
            return Content.SequenceEqual(before) ? "" : $"changed its input {Name}";
        (bool IsUntouched, int Place)[] elements = [.. Enumerable.Range(0, view.Length).Select(i => (!Content.Slice(i * size, size).ContainsAnyExcept(Unwritten), i))];
        return view.FirstTouched(element => element.IsUntouched, shape.AsSpan(), elements) is >= 0 and int place ? $"wrote between the rows of {Name}: element {place} of its storage" : "";
    }

    /// <summary>The tensor that was written.</summary>
    public Tensor<double> Read(SafetensorsType type) => view.Gather(
        i =>
        {
            type.TryDecode(Content.Slice(i * type.Size(), type.Size()), out double value);
            return value;
        },
        shape.AsSpan(), [.. Enumerable.Range(0, view.Length)]);

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.AlignedFree(start);
}
