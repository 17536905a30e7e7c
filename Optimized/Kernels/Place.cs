// Where does a tensor of a call lie, and do two tensors share a byte? All in 64 bits and more.
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>A tensor of [batch, tokens, heads] rows of <see cref="Width"/> elements, before its memory is known: its strides and how far they reach.</summary>
internal sealed class Place
{
    // Offsets in bytes, and their sums, must stay within 64 bits.
    private const long MaxReach = 1L << 56;

    /// <summary>Axes whose strides are the caller's; the elements of a row are contiguous.</summary>
    public const int Axes = 3;

    private Place(string name, TensorStrides strides, (int Batch, int Tokens, int Heads, int Width) shape, int firstToken, GridWindows? windows, long lowest, long extent)
    {
        FirstToken = firstToken;
        Windows = windows;
        Name = name;
        Strides = strides;
        (Batch, Tokens, Heads, Width) = shape;
        Lowest = lowest;
        Extent = extent;
    }

    /// <summary>The parameter that holds the tensor.</summary>
    public string Name { get; }

    public TensorStrides Strides { get; }

    public int Batch { get; }

    public int Tokens { get; }

    /// <summary>The token of the sequence that the first row holds.</summary>
    public int FirstToken { get; }

    public int Heads { get; }

    public int Width { get; }

    /// <summary>By which order kernels count the tokens; null where it is the tensor's own.</summary>
    public GridWindows? Windows { get; }

    /// <summary>Offset of the lowest element from element [0,0,0,0]: negative where a stride is.</summary>
    public long Lowest { get; }

    /// <summary>Elements from the lowest to the highest; 0 where the tensor has none.</summary>
    public long Extent { get; }

    /// <summary>Places a tensor.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The strides reach further than memory does.</exception>
    public static Place Of(string name, string option, TensorStrides strides, int batch, TokenRange<int> range, int heads, int width, GridWindows? windows = null)
    {
        int tokens = range.End - range.Start;
        Int128 lowest = 0, highest = 0;
        strides = new(batch > 1 ? strides.Batch : 0, tokens > 1 ? strides.Token : 0, heads > 1 ? strides.Head : 0);
        Place place = new(name, strides, (batch, tokens, heads, width), range.Start, windows, 0, 0);
        for (int axis = 0; axis < Axes; axis++)
        {
            (long stride, int length) = place.Axis(axis);
            Int128 reach = (Int128)stride * (length - 1);
            lowest += Int128.Min(reach, 0);
            highest += Int128.Max(reach, 0);
        }

        bool isEmpty = batch == 0 || tokens == 0;
        if (!isEmpty && highest - lowest + width > MaxReach)
            throw new ArgumentOutOfRangeException(option, strides, $"The strides reach over {highest - lowest + width} elements: at most {MaxReach} are supported.");
        return new(name, strides, (batch, tokens, heads, width), range.Start, windows, isEmpty ? 0 : (long)lowest, isEmpty ? 0 : (long)(highest - lowest) + width);
    }

    /// <summary>
    /// Says why rows could share elements; null where they do not. Axes in order of their strides must each step over what those before reach: every
    /// slice and every permutation of a dense tensor does.
    /// </summary>
    public string? SharedRows()
    {
        Int128 extent = Width;
        foreach ((long stride, int length) in Enumerable.Range(0, Axes).Select(Axis).Where(axis => axis.Length > 1).OrderBy(axis => Int128.Abs(axis.Stride)))
        {
            if (Int128.Abs(stride) < extent)
                return $"A stride of {stride} is less than the {extent} elements that it must step over: rows that are written may not share elements.";
            extent += Int128.Abs(stride) * (length - 1);
        }

        return null;
    }

    /// <summary>Stride and length of the axes of batch, tokens and heads. An axis of one element has stride 0.</summary>
    public (long Stride, int Length) Axis(int axis) => axis switch
    {
        0 => (Strides.Batch, Batch),
        1 => (Strides.Token, Tokens),
        _ => (Strides.Head, Heads),
    };
}

/// <summary>A tensor in memory: a place and the address of its element [0,0,0,0].</summary>
internal readonly unsafe struct Region
{
    // Steps of the search for a shared byte, after which tensors count as overlapping: far more than slices of one buffer need.
    private const int MaxSteps = 1 << 16;

    private readonly Place place;
    private readonly long origin;
    private readonly int elementSize;

    public Region(Place place, void* origin, int elementSize)
    {
        this.place = place;
        this.origin = (long)origin;
        this.elementSize = elementSize;
        if (origin == null && place.Extent > 0)
            throw new ArgumentNullException(place.Name);
        Int128 first = (nuint)origin + (Int128)place.Lowest * elementSize;
        if (first < 0 || first + (Int128)place.Extent * elementSize > nuint.MaxValue)
            throw new ArgumentOutOfRangeException(place.Name, $"{place.Name} reaches over {place.Extent} elements from {place.Lowest}: that leaves the address space.");
    }

    public string Name => place.Name;

    // A default region is a tensor that the call does not have.
    private bool IsAbsent => place is null || place.Extent == 0;

    // As addresses are compared by their distances, these may be negative numbers.
    private long First => origin + place.Lowest * elementSize;

    private long Bytes => place.Extent * elementSize;

    /// <summary>Whether an element of this tensor shares a byte with one of the other.</summary>
    public bool Overlaps(in Region other)
    {
        if (IsAbsent || other.IsAbsent)
            return false;
        long distance = other.First - First;
        if ((distance >= 0 ? distance >= Bytes : -distance >= other.Bytes))
            return false;

        // A byte is shared where sum i_k s_k + x = distance + sum j_k t_k + y with every index in range. Counted from the other end, j_k becomes a term on the left.
        Span<Term> terms = stackalloc Term[7];
        int count = 0;
        Int128 target = distance;
        for (int axis = 0; axis < Place.Axes; axis++)
        {
            (long stride, int length) = place.Axis(axis);
            Add(terms, ref count, Math.Abs(stride) * elementSize, length - 1);
            (stride, length) = other.place.Axis(axis);
            Add(terms, ref count, Math.Abs(stride) * other.elementSize, length - 1);
            target += Math.Abs(stride) * other.elementSize * (Int128)(length - 1);
        }

        Add(terms, ref count, 1, (long)place.Width * elementSize - 1 + (long)other.place.Width * other.elementSize - 1);
        target += (long)other.place.Width * other.elementSize - 1;
        terms = terms[..count];
        terms.Sort((a, b) => b.Factor.CompareTo(a.Factor));
        int steps = 0;
        return Reaches(terms, target, ref steps);
    }

    private static void Add(Span<Term> terms, ref int count, long factor, long bound)
    {
        if (factor == 0 || bound <= 0)
            return;
        for (int i = 0; i < count; i++)
            if (terms[i].Factor == factor)
            {
                terms[i] = new(factor, terms[i].Bound + bound);
                return;
            }

        terms[count++] = new(factor, bound);
    }

    // Whether sum Factor v = target has a solution with 0 <= v <= Bound; factors descend.
    private static bool Reaches(ReadOnlySpan<Term> terms, Int128 target, ref int steps)
    {
        if (terms.IsEmpty)
            return target == 0;
        if (++steps > MaxSteps)
            return true;
        (long factor, long bound) = terms[0];
        ReadOnlySpan<Term> rest = terms[1..];
        Int128 reach = 0, divisor = 0;
        foreach (Term term in rest)
        {
            reach += (Int128)term.Factor * term.Bound;
            divisor = term.Factor == 1 ? divisor : Gcd(divisor, term.Factor);
        }

        Int128 low = target - reach <= 0 ? 0 : (target - reach + factor - 1) / factor, high = Int128.Min(bound, target < 0 ? -1 : target / factor);
        Int128 slack = rest.IsEmpty ? 0 : rest[^1].Factor == 1 ? rest[^1].Bound : 0;
        for (Int128 v = low; v <= high; v++)
        {
            // What remains must be a multiple of the divisor of the other factors, up to the bytes of two rows.
            Int128 remaining = target - v * factor;
            if (divisor != 0 && remaining % divisor > slack)
            {
                if (++steps > MaxSteps)
                    return true;
                continue;
            }

            if (Reaches(rest, remaining, ref steps))
                return true;
        }

        return false;
    }

    private static Int128 Gcd(Int128 a, Int128 b)
    {
        while (b != 0)
            (a, b) = (b, a % b);
        return a;
    }

    private readonly record struct Term(long Factor, long Bound);
}
