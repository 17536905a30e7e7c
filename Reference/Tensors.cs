// What does Reference compute on? Dense, immutable, row-major tensors.
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Spec;

namespace S2Attn.Reference;

/// <summary>An immutable dense tensor, row-major: the last index moves fastest.</summary>
/// <typeparam name="T">The element type.</typeparam>
/// <remarks>
/// System.Numerics.Tensors has a type of the same name. A file that uses both says which one it means, as with
/// <c>using ReferenceTensor = S2Attn.Reference.Tensor&lt;double&gt;;</c>.
/// </remarks>
public sealed class Tensor<T>
{
    private readonly T[] elements;

    private Tensor(ImmutableArray<int> shape, T[] elements)
    {
        Shape = shape;
        this.elements = elements;
    }

    /// <summary>The length of each dimension.</summary>
    public ImmutableArray<int> Shape { get; }

    /// <summary>All elements in row-major order.</summary>
    public ReadOnlySpan<T> Elements => elements;

    /// <summary>The element of a matrix.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The index has another rank than the tensor, or leaves its shape.</exception>
    public T this[int i, int j] => elements[Offset([i, j], Shape.Length)];

    /// <summary>The element of a tensor of rank 3.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The index has another rank than the tensor, or leaves its shape.</exception>
    public T this[int i, int j, int k] => elements[Offset([i, j, k], Shape.Length)];

    /// <summary>The element of a tensor of rank 4.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The index has another rank than the tensor, or leaves its shape.</exception>
    public T this[int i, int j, int k, int l] => elements[Offset([i, j, k, l], Shape.Length)];

    /// <summary>The vector [i, j, k, :] of a tensor of rank 4.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The index has another rank than the tensor, or leaves its shape.</exception>
    public ReadOnlySpan<T> Row(int i, int j, int k) => Shape is [int first, int second, int third, int length] && (uint)i < (uint)first && (uint)j < (uint)second && (uint)k < (uint)third
        ? elements.AsSpan(Layout.Row(second, third, length, i, j, k), length)
        : elements.AsSpan(Offset([i, j, k], Shape.Length - 1) * Shape[^1], Shape[^1]);

    /// <summary>A tensor that holds a copy of these elements.</summary>
    /// <exception cref="ArgumentException">A dimension is negative, or the shape's product is not the number of elements.</exception>
    public static Tensor<T> Of(ReadOnlySpan<int> shape, ReadOnlySpan<T> elements) => new(Checked(shape, elements.Length), elements.ToArray());

    /// <summary>A tensor whose element at row-major offset i is element(i).</summary>
    /// <exception cref="ArgumentException">A dimension is negative, or the product leaves 32 bits.</exception>
    public static Tensor<T> Build(ReadOnlySpan<int> shape, Func<int, T> element)
    {
        ArgumentNullException.ThrowIfNull(element);
        T[] elements = new T[Product(shape)];
        for (int i = 0; i < elements.Length; i++)
            elements[i] = element(i);
        return new([.. shape], elements);
    }

    /// <summary>The tensor of the same shape that holds map(element) for each element.</summary>
    public Tensor<TResult> Map<TResult>(Func<T, TResult> map)
    {
        ArgumentNullException.ThrowIfNull(map);
        return Tensor<TResult>.Build(Shape.AsSpan(), i => map(elements[i]));
    }

    /// <inheritdoc/>
    public override string ToString() => $"{typeof(T).Name}[{string.Join(",", Shape)}]";

    private int Offset(ReadOnlySpan<int> index, int axes)
    {
        if (index.Length != axes)
            throw new ArgumentOutOfRangeException(nameof(index), Join(index), $"A tensor of shape [{Join(Shape.AsSpan())}] takes {axes} indices here.");
        int offset = 0;
        for (int axis = 0; axis < axes; axis++)
        {
            if ((uint)index[axis] >= (uint)Shape[axis])
                throw new ArgumentOutOfRangeException(nameof(index), Join(index), $"The index leaves the shape [{Join(Shape.AsSpan())}].");
            offset = offset * Shape[axis] + index[axis];
        }

        return offset;
    }

    private static ImmutableArray<int> Checked(ReadOnlySpan<int> shape, int length)
    {
        int product = Product(shape);
        return product == length
            ? [.. shape]
            : throw new ArgumentException($"Shape [{Join(shape)}] has {product} elements, but {length} were given.", nameof(shape));
    }

    private static int Product(ReadOnlySpan<int> shape)
    {
        Int128 product = 1;
        foreach (int length in shape)
            product = length < 0
                ? throw new ArgumentException($"Shape [{Join(shape)}] has a negative dimension.", nameof(shape))
                : product * length is var next && next <= Array.MaxLength
                    ? next
                    : throw new ArgumentException($"Shape [{Join(shape)}] has more than {Array.MaxLength} elements.", nameof(shape));
        return (int)product;
    }

    private static string Join(ReadOnlySpan<int> values) =>
        string.Join(",", values.ToArray().Select(value => value.ToString(CultureInfo.InvariantCulture)));
}
