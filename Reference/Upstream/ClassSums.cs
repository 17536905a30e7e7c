// What do pairs add up to that are normalised together, where that is not a row?
using System.Runtime.InteropServices;
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

/// <summary>
/// The greatest score, and the sum over it, of all pairs that are normalised together, for given products. Who looks for an explanation asks most pipelines for one row, which is wrong, and for no
/// more: so only those heads, or positions, are summed up that share pairs with a row that is asked for.
/// </summary>
internal sealed class ClassSums(S2Config config, Pipeline pipeline, PipelineAttention attention, Func<int, int, double> product)
{
    private readonly Dictionary<(int, int, int), (double Max, double Sum)> sums = [];
    private readonly HashSet<(int Batch, int Part)> known = [];

    /// <summary>Those of all pairs that a slot meets; of others some.</summary>
    public IReadOnlyDictionary<(int, int, int), (double Max, double Sum)> Of(Slot slot)
    {
        // Pairs of several heads are normalised together at one position, those of several positions in one head: see PipelineAttention.ClassOf.
        bool overHeads = pipeline.Stages.Normaliser is Normaliser.Heads;
        if (known.Add((slot.Batch, overHeads ? slot.Position : slot.Head)))
            for (int i = 0; i < (overHeads ? config.Heads : pipeline.Site.Ring); i++)
                Add(overHeads ? slot with { Head = i } : slot with { Position = i });
        return sums;
    }

    private void Add(Slot slot)
    {
        if (attention.QueryOf(slot) is not { } query)
            return;
        (_, Meeting[] counted, bool uniform) = attention.MetBy(slot);
        foreach (Meeting pair in counted)
        {
            double score = attention.Score(slot, pair, uniform, uniform ? double.MinValue : product(query, pair.Key));
            ref (double Max, double Sum) sum = ref CollectionsMarshal.GetValueRefOrAddDefault(sums, attention.ClassOf(slot, pair), out bool exists);
            double max = exists ? sum.Max : double.NegativeInfinity, greatest = Math.Max(max, score);
            sum = (greatest, sum.Sum * Math.Exp(max - greatest) + Math.Exp(score - greatest));
        }
    }
}
