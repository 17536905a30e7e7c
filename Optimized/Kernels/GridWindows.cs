// Which windows does a grid have, and where do their tokens stand? A list of sequences, and for each place in it the token of the tensors.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// The windows of a grid as sequences of one group each, one behind the other: first those of the heads of the first class, then those of the second. Memory: 4 bytes for each token of a
/// class, 8 for each of its windows.
/// </summary>
internal sealed unsafe class GridWindows
{
    // Pinned: kernels read it through pointers.
    private readonly int[] tokens;
    private readonly int[] starts, kindOf, classOfKind;
    private readonly Sequence[] kinds;

    /// <exception cref="ArgumentOutOfRangeException">The tokens of all classes are more than an array holds.</exception>
    public GridWindows(S2Grid grid)
    {
        // Heads of one class have the same windows.
        HeadClasses classes = new(grid.Tokens, isPacked: true);
        int most = Array.MaxLength / classes.Count;
        if (grid.Tokens.Tokens > most)
            throw new ArgumentOutOfRangeException(nameof(grid), grid.Tokens.Tokens, $"Tokens must be at most {most} on a grid" + (classes.Count > 1 ? " where some heads shift and some do not" : ""));
        tokens = GC.AllocateUninitializedArray<int>(classes.Count * grid.Tokens.Tokens, pinned: true);
        List<int> firsts = [], kindsInOrder = [], owners = [];
        List<Sequence> found = [];
        int at = 0;
        for (int of = 0; of < classes.Count; of++)
        {
            Dictionary<int, int> kindOfLength = [];
            foreach (GridWindow window in grid.Windows(classes.Heads(of)[0]))
            {
                int length = window.Tokens.Length;
                if (!kindOfLength.TryGetValue(length, out int kind))
                {
                    kindOfLength.Add(length, kind = found.Count);
                    found.Add(new(0, 0, length, length, 0, 0, length, kind));
                    owners.Add(of);
                }

                firsts.Add(at);
                kindsInOrder.Add(kind);
                window.Tokens.CopyTo(tokens, at);
                at += length;
            }
        }

        (starts, kindOf, classOfKind, kinds) = ([.. firsts], [.. kindsInOrder], [.. owners], [.. found]);
    }

    /// <summary>Places: the tokens of all classes.</summary>
    public int Count => tokens.Length;

    /// <summary>The token that stands at each place.</summary>
    public Pointer<int> Tokens => new((int*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(tokens)), tokens.Length);

    /// <summary>The windows of each entry of a batch.</summary>
    public Sequences Sequences(int batch) => new(batch, kinds, starts, kindOf, classOfKind);

    /// <summary>valid [B,N] in the order of the places.</summary>
    /// <param name="valid">The caller's.</param>
    /// <param name="batch">B.</param>
    /// <param name="ordered">B rows of <see cref="Count"/> bytes.</param>
    public void Order(in Rows<byte> valid, int batch, byte* ordered)
    {
        for (int b = 0; b < batch; b++)
        {
            Span<byte> row = new(ordered + (nint)b * Count, Count);
            for (int place = 0; place < row.Length; place++)
                row[place] = valid.At(b, tokens[place], 0)[0];
        }
    }
}
