// One call, as the kernels see it: pointers whose ranges were checked, sizes and strides.
using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace S2Attn.Optimized.Kernels;

/// <summary>How rows are reached that are transposed.</summary>
internal enum RowAccess
{
    /// <summary>By way of a copy.</summary>
    Copied,

    /// <summary>Where they lie, each as far from the one before.</summary>
    Even,

    /// <summary>Where they lie, by a table of their places.</summary>
    Placed,
}

/// <summary>
/// A tensor of rows of D elements with unit stride: the row of (batch, token, head) starts at Data + the sum of index times stride. Tokens count from the start of the sequence;
/// where the tensor holds a slice, Data is where token 0 would stand; over a grid they count in the order of its windows.
/// </summary>
internal readonly unsafe struct Rows<T>
    where T : unmanaged
{
    // In elements: half a page.
    private const int NearStride = 512;

    // In place of a ring: tokens stand where an order says.
    private const int Ordered = -1;

    private readonly T* data;
    private readonly TensorStrides strides;
    private readonly int width, ring, prefix;
    private readonly Pointer<int> order;
#if DEBUG
    private readonly Place? place;
#endif

    /// <summary>A tensor of the caller's.</summary>
    public Rows(T* data, Place place)
        : this(data, place.Strides, place.Width, place.FirstToken, place.Windows is null ? 0 : Ordered)
    {
        order = place.Windows is { } windows ? windows.Tokens : default;
#if DEBUG
        this.place = place;
#endif
    }

    /// <summary>A tensor of the plan's own; a cache of <paramref name="ring"/> rows, of which the first <paramref name="prefix"/> hold these tokens, and the others the later ones in turn.</summary>
    public Rows(T* data, TensorStrides strides, int width, int firstToken = 0, int ring = 0, int prefix = 0)
    {
        this.ring = ring;
        this.prefix = prefix;
        this.data = data == null ? null : data - firstToken * strides.Token;
        this.strides = strides;
        this.width = width;
    }

    /// <summary>Whether the call has no such tensor.</summary>
    public bool IsAbsent => data == null;

    /// <summary>Elements from a row to that of the next token.</summary>
    public nint TokenStride => (nint)strides.Token;

    /// <summary>How a transpose reaches so many rows. It reads or writes them where they lie if they fill whole registers of so many lanes and are f32, not in a ring, few enough bytes apart that several share a memory page, and of this width, which leaves no pad.</summary>
    public RowAccess Access(int width, int count, int lanes) =>
        typeof(T) != typeof(float) || ring > 0 || this.width != width || strides.Token < width || strides.Token > NearStride || count % lanes != 0 ? RowAccess.Copied
        : ring == 0 ? RowAccess.Even
        : RowAccess.Placed;

    /// <summary>Rows of a head whose access is <see cref="RowAccess.Even"/>, from the first to the last.</summary>
    public Pointer<float> Block(long batch, long token, int count, long head)
    {
        Check(batch, token, head, width);
        Check(batch, token + count - 1, head, width);
        return new((float*)(data + batch * strides.Batch + token * strides.Token + head * strides.Head), (count - 1) * (nint)strides.Token + width);
    }

    /// <summary>Where rows of a head start whose access is <see cref="RowAccess.Placed"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Places(long batch, long token, int count, long head, Pointer<float>* places)
    {
        RowWalk<T> walk = From(batch, token, head);
        for (int i = 0; i < count; i++)
            places[i] = new((float*)walk.Next().For(width), width);
    }

    /// <summary>How many rows from that of a token on a walk may visit: those of a ring stand one behind the other up to its end, or that of its prefix.</summary>
    public long WalkFrom(long token) => ring <= 0 ? long.MaxValue : token < prefix ? prefix - token : ring - prefix - (token - prefix) % (ring - prefix);

    /// <summary>The rows of a head from a token on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public RowWalk<T> From(long batch, long token, long head) => new(this, batch, token, head);

    /// <summary>From a token on, where the order says that each of them stands, counted in rows from <see cref="Origin"/>; null where they stand one behind the other.</summary>
    public int* OrderFrom(long token) => order.IsNull ? null : (order + (nint)token).For(0);

    /// <summary>The row of token 0.</summary>
    public Pointer<T> Origin(long batch, long head) => new(data + batch * strides.Batch + head * strides.Head, 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Pointer<T> At(long batch, long token, long head) => At(batch, token, head, width);

    /// <summary>The elements from the start of a row on, where they lie in order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Pointer<T> At(long batch, long token, long head, int elements)
    {
        if (ring != 0)
            token = ring == Ordered ? order[(nint)token] : token < prefix ? token : prefix + (token - prefix) % (ring - prefix);
        Check(batch, token, head, elements);
        return new(data + batch * strides.Batch + token * strides.Token + head * strides.Head, elements);
    }

#pragma warning disable CA1822 // In Release it has no body.
    [Conditional("DEBUG")]
    private void Check(long batch, long token, long head, int elements)
    {
#if DEBUG
        if (place is not null && ((ulong)batch >= (ulong)place.Batch || (ulong)(token - place.FirstToken) >= (ulong)place.Tokens || (ulong)head >= (ulong)place.Heads || (elements > width && elements > place.Tokens - (token - place.FirstToken))))
            throw new InvalidOperationException($"A kernel left its buffer: {elements} elements from row [{batch},{token},{head}] of {place.Name} [{place.Batch},{place.Tokens},{place.Heads}] on.");
#endif
    }
#pragma warning restore CA1822
}

/// <summary>Row after row of a head, as far as <see cref="Rows{T}.WalkFrom"/> says: a step is an addition, or an entry of the order where rows have one. In Debug each row is found, and checked, anew.</summary>
internal unsafe struct RowWalk<T>
    where T : unmanaged
{
#if DEBUG
    private readonly Rows<T> rows;
    private readonly long batch, head;
    private long token;

    public RowWalk(in Rows<T> rows, long batch, long token, long head)
    {
        this.rows = rows;
        this.batch = batch;
        this.head = head;
        this.token = token;
    }

    /// <summary>The next row.</summary>
    public Pointer<T> Next() => rows.At(batch, token++, head);
#else
    private readonly nint stride;
    private Pointer<T> row;
    private int* order;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public RowWalk(in Rows<T> rows, long batch, long token, long head)
    {
        stride = rows.TokenStride;
        order = rows.OrderFrom(token);
        row = order == null ? rows.At(batch, token, head) : rows.Origin(batch, head);
    }

    /// <summary>The next row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Pointer<T> Next()
    {
        if (order != null)
            return row + *order++ * stride;
        Pointer<T> next = row;
        row += stride;
        return next;
    }
#endif
}

/// <summary>What forward and backward read and write.</summary>
internal readonly unsafe struct Problem<T>
    where T : unmanaged
{
    public required Rows<T> Query { get; init; }

    public required Rows<T> Key { get; init; }

    public required Rows<T> Value { get; init; }

    public required Rows<T> Output { get; init; }

    /// <summary>lse, rows of one element; absent where the caller wants none.</summary>
    public required Rows<float> LogSumExp { get; init; }

    /// <summary>valid [B,N]; absent where no key is padded.</summary>
    public required Rows<byte> Valid { get; init; }

    /// <summary>valid of the keys [start, start + count) of a sequence; null where no key is padded.</summary>
    public Pointer<byte> ValidOf(Sequence sequence, int start, int count) => Valid.IsAbsent ? default : Valid.At(sequence.Batch, sequence.FirstToken + start, 0, count);

    /// <summary>do, and below dlse, dq, dk and dv: for the backward pass.</summary>
    public Rows<T> OutputGradient { get; init; }

    /// <summary>The gradient of lse, rows of one element; absent where lse has none.</summary>
    public Rows<float> LogSumExpGradient { get; init; }

    /// <summary>dq in f32; absent where <see cref="StoredQueryGradient"/> is written.</summary>
    public Rows<float> QueryGradient { get; init; }

    /// <summary>The f32 sums of dk: dk itself, or what <see cref="StoredKeyGradient"/> is narrowed from.</summary>
    public Rows<float> KeyGradient { get; init; }

    /// <summary>The f32 sums of dv.</summary>
    public Rows<float> ValueGradient { get; init; }

    /// <summary>dq, and below dk and dv, in the storage type; absent where the caller wants them in f32.</summary>
    public Rows<T> StoredQueryGradient { get; init; }

    public Rows<T> StoredKeyGradient { get; init; }

    public Rows<T> StoredValueGradient { get; init; }
}
