// Which query heads share their runs? Those that shift by the same amount: the classes of which the backward pass takes one after the other where they add to the same gradients.
using S2Attn.Spec;
using S2Attn.Spec.Algebra;

namespace S2Attn.Optimized.Kernels;

/// <summary>
/// The query heads by their shift, the smallest first, and each class in order of its heads. A class has one shift in each sequence; two of them may have the same where a sequence
/// is shorter than a shift, or its groups have fewer tokens than there are phases. Memory: a few numbers for each head, whatever N and G are.
/// </summary>
internal sealed class HeadClasses
{
    private readonly S2Config config;
    private readonly int[] classOfHead, clearedBy, phases;
    private readonly int[][] heads, kvHeads;

    /// <param name="config">Heads and their shifts; of a packed batch that of its longest sequence.</param>
    /// <param name="isPacked">Whether G may be another in each sequence.</param>
    public HeadClasses(S2Config config, bool isPacked)
    {
        this.config = config;
        heads = [.. Enumerable.Range(0, config.Heads).GroupBy(head => KeyOf(config, head, isPacked)).OrderBy(of => of.Key).Select(of => of.ToArray())];
        kvHeads = [.. heads.Select(of => of.Select(config.KvHeadOf).Distinct().ToArray())];
        classOfHead = new int[config.Heads];
        clearedBy = new int[config.KvHeads];
        for (int of = heads.Length - 1; of >= 0; of--)
        {
            foreach (int head in heads[of])
                classOfHead[head] = of;
            foreach (int kvHead in kvHeads[of])
                clearedBy[kvHead] = of;
        }

        List<int> starts = [0];
        for (int of = 1; of < heads.Length; of++)
            if (Enumerable.Range(starts[^1], of - starts[^1]).Any(other => kvHeads[other].Intersect(kvHeads[of]).Any()))
                starts.Add(of);
        phases = [.. starts, heads.Length];
        StartsUnshifted = config.ShiftOf(heads[0][0]) == 0;
    }

    public int Count => heads.Length;

    /// <summary>How many phases the backward pass takes: classes that read no kv head in common go together, as where each kv head is read by heads of one shift.</summary>
    public int Phases => phases.Length - 1;

    /// <summary>The classes of a phase, from the first up to the one behind the last.</summary>
    public (int Start, int End) Phase(int phase) => (phases[phase], phases[phase + 1]);

    /// <summary>Whether the heads of the first class do not shift.</summary>
    public bool StartsUnshifted { get; }

    public int Of(int head) => classOfHead[head];

    /// <summary>The query heads of a class, in order.</summary>
    public int[] Heads(int of) => heads[of];

    /// <summary>The kv heads that they read, in order.</summary>
    public int[] KvHeads(int of) => kvHeads[of];

    /// <summary>Whether a class is the first that adds to the gradients of a kv head.</summary>
    public bool IsFirst(int of, int kvHead) => clearedBy[kvHead] == of;

    /// <summary>By how much the heads of a class shift in a sequence: not at all where it has no more tokens than that.</summary>
    public int ShiftIn(Sequence sequence, int of)
    {
        int shift = config.ShiftedHeads.ShiftOf(heads[of][0], config.Heads, sequence.GroupSize, sequence.Shift);
        return shift < sequence.Tokens ? shift : 0;
    }

    // Shifts in the order that they have for every G. Two phases that floor to one shift may differ for another G.
    private static long KeyOf(S2Config config, int head, bool isPacked) => config.ShiftedHeads switch
    {
        HeadShift.InPhases phased when isPacked => Spec.Phases.OfHead<Int, Bool>(config.Heads, phased.Count, head).Value,
        { HasOwnShifts: true } => config.ShiftOf(head),
        _ => config.ShiftedHeads.IsShifted(head, config.Heads) ? 1 : 0,
    };
}
