// Where may a kernel read and write? A bare pointer in Release; in Debug it carries its bounds, and every access is checked against them.
using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// A place in a buffer. Arithmetic may lead anywhere, as with pointers; what is read or written must lie in the buffer, which Debug checks and Release trusts.
/// </summary>
internal readonly unsafe struct Pointer<T>
    where T : unmanaged
{
    private readonly T* address;
#if DEBUG
    private readonly T* start;
    private readonly nint count;

    /// <summary>The first of this many elements.</summary>
    public Pointer(T* start, nint count)
        : this(start, start, count)
    {
    }

    private Pointer(T* address, T* start, nint count)
    {
        this.address = address;
        this.start = start;
        this.count = count;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pointer<T> operator +(Pointer<T> pointer, nint elements) => new(pointer.address + elements, pointer.start, pointer.count);
#else
    /// <summary>The first of this many elements.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Pointer(T* start, nint count) => address = start;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pointer<T> operator +(Pointer<T> pointer, nint elements) => new(pointer.address + elements, 0);
#endif

    public bool IsNull
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => address == null;
    }

    /// <summary>The element that lies this many elements on.</summary>
    public ref T this[nint index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            Check(index, 1);
            return ref address[index];
        }
    }

    /// <summary>The address, for an instruction that reads or writes this many elements from here on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T* For(nint elements)
    {
        Check(0, elements);
        return address;
    }

    /// <summary>The address as a number to prefetch: that neither reads nor writes.</summary>
    public byte* Line
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (byte*)address;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<T> Span(int elements) => new(For(elements), elements);

    /// <summary>The same elements under a type of their size.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Pointer<TOther> As<TOther>()
        where TOther : unmanaged
    {
        Debug.Assert(sizeof(TOther) == sizeof(T), "A view has elements of the same size.");
#if DEBUG
        return new((TOther*)address, (TOther*)start, count);
#else
        return new((TOther*)address, 0);
#endif
    }

    /// <summary>The same place where an instruction may also touch this many elements behind the buffer, which <see cref="Workspace.Take"/> has put there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Pointer<T> WithSlack(nint elements)
    {
#if DEBUG
        return new(address, start, count + elements);
#else
        return this;
#endif
    }

    public bool IsSameAs(Pointer<T> other) => address == other.address;

#pragma warning disable CA1822 // In Release it has no body.
    [Conditional("DEBUG")]
    private void Check(nint index, nint elements)
    {
#if DEBUG
        // As numbers: a null pointer has no elements, and none may be read.
        nint first = (nint)(address - start) + index;
        if (first < 0 || elements < 0 || first + elements > count)
            throw new InvalidOperationException($"A kernel left its buffer: elements {first} to {first + elements - 1} of {count} {typeof(T).Name}.");
#endif
    }
#pragma warning restore CA1822
}
