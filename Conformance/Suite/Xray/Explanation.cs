// What does a port compute, and what is its author to change?
using System.Collections.Immutable;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>What a port was found to be.</summary>
/// <param name="Compositions">The compositions of fewest defects that answer as the port does, the best known first: the first is what the port is, the others cannot be told from it.</param>
/// <param name="ExplainedAt">At how many sizes they explain every answer of the forward pass.</param>
/// <param name="Rows">Which share of the rows of o, over all sizes, they explain; 1 where they explain some size wholly.</param>
/// <param name="Unexplained">The sizes at which they do not.</param>
public sealed record Explanation(ImmutableArray<Composition> Compositions, int ExplainedAt, double Rows, ImmutableArray<XrayProbe> Unexplained)
{
    /// <summary>Where the forward pass is explained at every size, but not all else.</summary>
    public bool ForwardIsWhole { get; init; }

    /// <summary>What of the port is not explained, where the forward pass is.</summary>
    public ImmutableArray<string> Unseen { get; init; } = [];

    /// <summary>Which share of the rows of o are the definition's, where no size is explained wholly.</summary>
    public double RowsOfDefinition { get; init; }

    /// <summary>
    /// Whether the composition may be said to be what the port is: where it explains every size, or nothing is wrong where it explains. Where defects explain some sizes, only if those differ from the others in what was asked for, and there are
    /// more of them that the definition does not explain than there are defects: else it would be chance, and its advice would lead astray.
    /// </summary>
    public bool IsClaimed { get; init; } = true;

    /// <summary>Whether every answer at every size is explained.</summary>
    public bool IsWhole => Unexplained.IsEmpty && Unseen.IsEmpty && ExplainedAt > 0;

    /// <summary>Whether the port is the definition.</summary>
    public bool IsDefinition => IsWhole && Compositions[0].Defects.IsEmpty;

    /// <summary>The first composition.</summary>
    public Composition Composition => Compositions[0];

    /// <summary>Whether it holds a shift that follows no known rule.</summary>
    public bool HasMeasuredShift => Composition.Defects.Any(defect => defect.Stage is Stage.Amount && !DefectCatalogue.All.Contains(defect));

    /// <summary>The names of the defects, each with its other names, where everything is explained; else none.</summary>
    public ImmutableArray<string> Names => IsWhole
        ? [.. Compositions.SelectMany(composition => composition.Defects.Length == 1 ? [composition.Name, .. composition.Defects[0].Aliases] : new[] { composition.Name })]
        : [];
}

/// <summary>Where a composition differs from the definition.</summary>
internal static class DefectRegion
{
    private static readonly bool[] OwnHeads = [true, false, false, true];

    /// <summary>"only where G is odd", or empty where it shows at an ordinary size.</summary>
    public static string Of(Composition composition, MaskPolicy mask)
    {
        Stages stages = composition.Build();
        S2Request plain = Plain(mask);
        if (Differs(stages, plain, padded: false))
            return "";
        List<string> where = [];
        Add("where G is odd", plain with { Tokens = 15, GroupSize = GroupSizeRule.Of(5) });
        Add("where S is not G / 2", plain with { Shift = 1 });
        Add("where K < H", plain with { KvHeads = 2 });
        Add("where a kv head is shared by shifted and unshifted heads", plain with { Heads = 3, KvHeads = 1 });
        Add("where the shifted heads are not the second half", plain with { ShiftedHeads = HeadShift.Of(OwnHeads) });
        Add("where H is odd", plain with { Heads = 3 });
        Add("where the scale is not 1 / sqrt(D)", plain with { Scale = 0.125 });
        Add("where a batch holds more than one entry", plain with { Batch = 2 });
        if (mask.CutsWrappedRun())
            Add("where N is no multiple of G", plain with { Tokens = 13 });
        Add("in rows of more than 31 keys", plain with { Tokens = 128, GroupSize = GroupSizeRule.Of(64) });
        if (where.Count == 0 && (Differs(stages, plain, padded: true) || Differs(stages, plain with { Batch = 2 }, padded: true)))
            where.Add("with padding");
        else if (where.Count == 0 && Differs(stages, plain with { Batch = 2, KvHeads = 2 }, padded: false))
            where.Add("where a batch holds more than one entry and K < H");
        if (where.Count == 0)
            Add("where heads have shifts of their own", plain with { Tokens = 12, Heads = 8, KvHeads = 2, GroupSize = GroupSizeRule.Of(6), ShiftedHeads = HeadShift.Phased(4) });
        return where.Count is 0 or > 3 ? "" : $"only {string.Join(" or ", where)}";

        void Add(string words, S2Request request)
        {
            // A region within one that is named already says nothing new.
            if (!(words.StartsWith("where a kv head", StringComparison.Ordinal) && where.Contains("where K < H")) && Differs(stages, request, padded: false))
                where.Add(words);
        }
    }

    /// <summary>Whether a composition without one of its defects is another function at an ordinary size.</summary>
    public static bool ShowsBeside(Composition composition, Defect defect, MaskPolicy mask) => composition.Defects.Length > 1
        && Differs(composition.Build(), Plain(mask), padded: false, Composition.Of(composition.Defects.Where(other => other != defect)).Build());

    private static S2Request Plain(MaskPolicy mask) => new() { Tokens = 16, Heads = 4, HeadDim = 8, GroupSize = GroupSizeRule.Of(4), Mask = mask };

    private static bool Differs(Stages stages, S2Request request, bool padded, Stages? from = null)
    {
        S2Config config = S2Config.Create(request);
        var valid = Reference.Tensor<bool>.Build([config.Batch, config.Tokens], i => !padded || (i / config.Tokens == config.Batch - 1 ? i % config.Tokens < 7 : i % config.Tokens > 0 && i % config.Tokens < config.Tokens - 2));
        XrayProbe probe = new(config, ElementType.F64, valid);
        DifferenceProbe own = new(probe, stages), right = new(probe, from ?? Stages.Definition);
        return own.DiffersFrom(right);
    }

    private sealed class DifferenceProbe(XrayProbe probe, Stages stages)
    {
        private readonly PipelineAttention attention = new(probe.Config, new Pipeline(probe.Config, probe.Valid, stages));

        public bool DiffersFrom(DifferenceProbe other)
        {
            if (!Rows(0).SequenceEqual(other.Rows(0)) || !attention.LogSums(Product).SequenceEqual(other.attention.LogSums(Product)))
                return true;
            if (probe.Config.Tokens > 64)
                return false;
            var question = probe.Backward();
            var a = attention.Backward(question.Input, question.OutputGradient[0]);
            var b = other.attention.Backward(question.Input, question.OutputGradient[0]);
            return !(Near(a.Query, b.Query) && Near(a.Key, b.Key) && Near(a.Value, b.Value));
        }

        private double Product(int row, int source) => probe.Product(row, source, 0);

        private double[] Rows(int code)
        {
            double[] weights = new double[probe.Rows * probe.Sources];
            Products asked = attention.Ask((row, source) => probe.Product(row, source, code));
            for (int row = 0; row < probe.Rows; row++)
                attention.RowWeights(row, asked, weights.AsSpan(row * probe.Sources, probe.Sources));
            return [.. weights.Select(weight => Math.Round(weight, 9))];
        }

        private static bool Near(Reference.Tensor<double> a, Reference.Tensor<double> b)
        {
            for (int i = 0; i < a.Elements.Length; i++)
                if (Math.Abs(a.Elements[i] - b.Elements[i]) > 1e-9)
                    return false;
            return true;
        }
    }
}
