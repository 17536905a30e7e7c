// What does a pipeline compute? Forward and backward, slot by slot, with the arithmetic of the definition.
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

/// <summary>A key slot that a query slot meets: rows of k and v in row-major order (v's is -1 for a value of 0), and what the mask does.</summary>
public readonly record struct Meeting(int Key, int Value, PairMask Mask, Slot Slot)
{
    /// <summary>Whether the key is one of the prefix.</summary>
    public PrefixPart Prefix { get; init; }
}

/// <summary>A pipeline evaluated for given sizes. Arithmetic and order of summation are those of <see cref="Attention"/>.</summary>
public sealed class PipelineAttention
{
    private readonly S2Config config;
    private readonly Pipeline pipeline;
    private const int MostOnStack = 256;

    // By less than this a lowered key still weighs something beside a seen one.
    private const double LeastLowering = 1000;

    private static readonly Func<int, int, double> ZeroProduct = (_, _) => 0;

    private readonly Arithmetic arithmetic;
    private readonly Dictionary<(int Batch, int Head), Dictionary<int, (Slot Slot, int Key, int Value)[]>> keySlots;
    private readonly Dictionary<Slot, (Meeting[] Met, Meeting[] Counted, bool Uniform)> rows;
    private readonly ImmutableArray<PipelineAttention> passes;
    private ImmutableArray<ClassSums?>? equalSums;

    /// <summary>Prepares a pipeline for the sizes of a configuration.</summary>
    public PipelineAttention(S2Config config, Pipeline pipeline)
        : this(config, pipeline, Arithmetic.Exact)
    {
    }

    /// <summary>Prepares a pipeline for the sizes of a configuration, with numerical habits.</summary>
    public PipelineAttention(S2Config config, Pipeline pipeline, Arithmetic arithmetic)
        : this(config, pipeline, arithmetic, [], [])
    {
    }

    private PipelineAttention(
        S2Config config, Pipeline pipeline, Arithmetic arithmetic,
        Dictionary<(int Batch, int Head), Dictionary<int, (Slot Slot, int Key, int Value)[]>> keySlots,
        Dictionary<Slot, (Meeting[] Met, Meeting[] Counted, bool Uniform)> rows)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(pipeline);
        ArgumentNullException.ThrowIfNull(arithmetic);
        (this.config, this.pipeline, this.arithmetic, this.keySlots, this.rows) = (config, pipeline, arithmetic, keySlots, rows);
        passes = [.. pipeline.Stages.Passes.Select(change => new PipelineAttention(config, new(config, pipeline.Site.Valid, change(pipeline.Stages) with { Passes = [] }), arithmetic))];
    }

    /// <summary>The same sizes, for stages that differ in the logsumexp or the backward pass alone: what is read where is looked up once for all of them.</summary>
    public PipelineAttention WithSameReads(Stages stages) => new(config, new Pipeline(config, pipeline.Site.Valid, stages), arithmetic, keySlots, rows);

    private double Share => pipeline.Stages.AddsPasses ? 1 : 1.0 / (passes.Length + 1);

    /// <summary>What o[b,t,h] reads.</summary>
    public ReadRow Reads(int b, int t, int h)
    {
        ReadRow own = OwnReads(b, t, h);
        return passes.IsEmpty ? own : own with { Keys = [.. own.Keys, .. passes.SelectMany(pass => pass.Reads(b, t, h).Keys)] };
    }

    private ReadRow OwnReads(int b, int t, int h)
    {
        if (pipeline.Output(new(b, t, h)) is not { } slot || pipeline.Query(slot) is not { } query)
            return new(new(b, t, h), [], Uniform: false);
        (Meeting[] met, _, bool uniform) = MetBy(slot);
        return new(query, [.. Counted(met, uniform).Select(pair => new ReadKey(KeyAt(pair.Key), pair.Value < 0 ? null : KeyAt(pair.Value), pair.Mask is not PairMask.Replaced))], uniform);
    }

    /// <summary>o [B,N,H,D] and logsumexp [B,N,H]; the logsumexp of a uniform row is the lowest double.</summary>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the configuration asks for.</exception>
    public AttentionOutput<double> Forward(AttentionInput<double> input)
    {
        ArgumentNullException.ThrowIfNull(input);
        input.CheckShapes(config);
        Func<int, int, double> product = ProductsOf(input);
        ClassSums? sums = SumsOf(product);
        int dim = config.HeadDim;
        double[] output = new double[input.Query.Elements.Length];
        double[] logSumExp = new double[output.Length / dim];
        for (int row = 0; row < logSumExp.Length; row++)
        {
            logSumExp[row] = pipeline.Stages.LogSum is LogSumKind.ZeroWhereEmpty ? 0 : double.NegativeInfinity;
            if (Answer(row) is not { } answer)
                continue;
            WeightedRow weighted = Weigh(answer.Slot, answer.Query, product, sums);
            Span<double> o = output.AsSpan(row * dim, dim);
            if (weighted.Pairs.Length == 0 && pipeline.Stages.EmptyIsNaN)
                o.Fill(double.NaN);
            for (int i = 0; i < weighted.Weights.Length; i++)
                if (weighted.Pairs[i].Value is >= 0 and int value)
                    Accumulate(o, weighted.Weights[i], input.Value.Elements.Slice(value * dim, dim));
            logSumExp[row] = weighted.LogSumExp;
        }

        return new(
            Joined(Tensor<double>.Of(input.Query.Shape.AsSpan(), output), pass => pass.Forward(input).Output),
            Tensor<double>.Of([config.Batch, config.Tokens, config.Heads], Placed(logSumExp)));
    }

    // Each row's own logsumexp, put where it is returned.
    private double[] Placed(double[] own)
    {
        int tokens = config.Tokens, heads = config.Heads;
        return pipeline.Stages.LogSum switch
        {
            LogSumKind.Rolled => [.. own.Select((_, row) => pipeline.Site.Token(pipeline.Site.Shift(row % heads), row / heads % tokens) is var token && token < tokens
                ? own[Layout.Row(tokens, heads, 1, row / heads / tokens, token, row % heads)]
                : double.NegativeInfinity)],
            LogSumKind.HeadsFirst => [.. own.Select((_, row) => row % (tokens * heads) is var index ? own[Layout.Row(tokens, heads, 1, row / heads / tokens, index % tokens, index / tokens)] : 0)],
            _ => own,
        };
    }

    /// <summary>Products q.k by row of q and row of k, made ready for <see cref="RowWeights"/>: a softmax over other pairs than a row's is summed up once.</summary>
    public Products Ask(Func<int, int, double> product)
    {
        ArgumentNullException.ThrowIfNull(product);
        return new(product, [SumsOf(product), .. passes.Select(pass => pass.SumsOf(product))]);
    }

    /// <summary>The weights [rows of v] of a row of o; NaN throughout for a row of NaN.</summary>
    public void RowWeights(int row, Products asked, Span<double> weights)
    {
        ArgumentNullException.ThrowIfNull(asked);
        weights.Clear();
        OwnRowWeights(row, asked.Product, asked.Sums[0], weights);
        if (passes.IsEmpty)
            return;
        for (int i = 0; i < passes.Length; i++)
            passes[i].OwnRowWeights(row, asked.Product, asked.Sums[i + 1], weights);
        for (int i = 0; i < weights.Length; i++)
            weights[i] *= Share;
    }

    private void OwnRowWeights(int row, Func<int, int, double> product, ClassSums? sums, Span<double> weights)
    {
        if (Answer(row) is not { } answer)
            return;
        WeightedRow weighted = Weigh(answer.Slot, answer.Query, product, sums);
        for (int i = 0; i < weighted.Weights.Length; i++)
            if (weighted.Pairs[i].Value >= 0)
                weights[weighted.Pairs[i].Value] += weighted.Weights[i];
        if (weighted.Pairs.Length == 0 && pipeline.Stages.EmptyIsNaN)
            weights.Fill(double.NaN);
    }

    /// <summary>The weights [rows of v] of a row of o where all scores are equal; NaN throughout for a row of NaN. No meetings are kept, so that the first rows come at once.</summary>
    public void EqualWeights(int row, Span<double> weights)
    {
        OwnEqualWeights(row, weights);
        if (passes.IsEmpty)
            return;
        double[] other = new double[weights.Length];
        foreach (PipelineAttention pass in passes)
        {
            pass.OwnEqualWeights(row, other);
            for (int i = 0; i < other.Length; i++)
                weights[i] += other[i];
        }

        for (int i = 0; i < other.Length; i++)
            weights[i] *= Share;
    }

    private void OwnEqualWeights(int row, Span<double> weights)
    {
        weights.Clear();
        if (Answer(row) is not { } answer)
            return;
        Stages stages = pipeline.Stages;
        if (config.Prefix > 0 || stages.Normaliser is not Normaliser.Row || !ReferenceEquals(stages.Times, Stages.Once) || !ReferenceEquals(stages.Zeros, Stages.NoZeros) || !ReferenceEquals(stages.Reach, Stages.OwnGroup)
            || !ReferenceEquals(stages.Across, Stages.OwnHead) || stages.Lowering < LeastLowering)
        {
            equalSums ??= [SumsOf(ZeroProduct)];
            OwnRowWeights(row, ZeroProduct, equalSums.Value[0], weights);
            return;
        }

        (Slot Slot, int Key, int Value)[] met = Groups(answer.Slot).GetValueOrDefault(pipeline.Group(answer.Slot), []);
        Span<int> values = met.Length <= MostOnStack ? stackalloc int[met.Length] : new int[met.Length];
        int seen = 0, lowered = met.Length;
        foreach ((Slot key, _, int value) in met)
        {
            PairMask mask = pipeline.Mask(answer.Slot, key);
            if (mask is PairMask.Seen)
                values[seen++] = value;
            else if (mask is not PairMask.Hidden)
                values[--lowered] = value;
        }

        ReadOnlySpan<int> counted = seen > 0 ? values[..seen] : values[lowered..met.Length];
        foreach (int value in counted)
            if (value >= 0)
                weights[value] += 1.0 / counted.Length;
        if (counted.IsEmpty && stages.EmptyIsNaN)
            weights.Fill(double.NaN);
    }

    /// <summary>
    /// All that o follows from, as numbers: for each row its query, the keys that count with their values and masks, and the factor of their scores. Where two evaluations at the same sizes have the same
    /// numbers, they have the same o for every input, by the same rule the same logsumexp, and if their backward passes are right the same gradients. Nothing where a softmax runs over more than a row or is not rescaled, or o is joined from several passes.
    /// </summary>
    public ImmutableArray<long> Reading()
    {
        Stages stages = pipeline.Stages;
        if (stages.Normaliser is not Normaliser.Row || stages.StaleTile > 0 || !passes.IsEmpty || config.Prefix > 0)
            return [];
        ImmutableArray<long>.Builder numbers = ImmutableArray.CreateBuilder<long>();
        for (int row = 0; row < config.Batch * config.Tokens * config.Heads; row++)
        {
            if (Answer(row) is not { } answer)
            {
                numbers.Add(-1);
                continue;
            }

            (Meeting[] met, Meeting[] counted, bool uniform) = MetBy(answer.Slot);
            bool isNaN = counted.Length == 0 && stages.EmptyIsNaN;

            // A row of NaN makes NaN of the gradients of all that it meets.
            Meeting[] read = isNaN ? met : counted;
            numbers.AddRange(answer.Query, Bits(stages.Scale(pipeline.Site, answer.Slot.Head)), stages.Zeros(pipeline.Site, answer.Slot), uniform ? 1 : 0, isNaN ? 1 : 0, read.Length);
            foreach (Meeting pair in read)
                numbers.AddRange(pair.Key, pair.Value, (long)pair.Mask, pair.Mask is PairMask.Less ? Bits(stages.Lowering) : 0);
        }

        return numbers.ToImmutable();

        static long Bits(double value) => BitConverter.DoubleToInt64Bits(value);
    }

    /// <summary>The logsumexp of each row of o, for products q.k by row of q and row of k.</summary>
    public double[] LogSums(Func<int, int, double> product)
    {
        ArgumentNullException.ThrowIfNull(product);
        ClassSums? sums = SumsOf(product);
        double empty = pipeline.Stages.LogSum is LogSumKind.ZeroWhereEmpty ? 0 : double.NegativeInfinity;
        return Placed([.. Enumerable.Range(0, config.Batch * config.Tokens * config.Heads).Select(row => Answer(row) is { } answer ? Weigh(answer.Slot, answer.Query, product, sums).LogSumExp : empty)]);
    }

    /// <summary>The gradients of sum(o * outputGradient), as <see cref="AttentionGradients"/> states them, through the pipeline's maps.</summary>
    /// <param name="input">q, k, v and the valid keys.</param>
    /// <param name="outputGradient">do [B,N,H,D].</param>
    /// <exception cref="ArgumentException">A tensor does not have the shape that the configuration asks for.</exception>
    public Gradients<double> Backward(AttentionInput<double> input, Tensor<double> outputGradient)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(outputGradient);
        input.CheckShapes(config);
        AttentionInput<double>.CheckShape(nameof(outputGradient), outputGradient, input.Query.Shape.AsSpan());
        Gradients<double> own = OwnBackward(input, outputGradient);
        return passes.IsEmpty ? own : new(
            Joined(own.Query, pass => pass.Backward(input, outputGradient).Query),
            Joined(own.Key, pass => pass.Backward(input, outputGradient).Key),
            Joined(own.Value, pass => pass.Backward(input, outputGradient).Value));
    }

    private Gradients<double> OwnBackward(AttentionInput<double> input, Tensor<double> outputGradient)
    {
        if (pipeline.Stages.Backward.Recomputed is { } recomputed)
        {
            Stages stages = recomputed(pipeline.Stages);
            Pipeline other = new(config, pipeline.Site.Valid, stages with { Backward = stages.Backward with { Recomputed = null } });
            return new PipelineAttention(config, other, arithmetic).OwnBackward(input, outputGradient);
        }

        Gradients<double> own = new PipelineGradients(config, pipeline, this).Of(input, outputGradient);
        PrefixStages prefix = pipeline.Stages.Prefix;
        if (config.Prefix == 0 || prefix.ForgottenInGradients.IsEmpty)
            return own;
        Pipeline bare = new(config, pipeline.Site.Valid, pipeline.Stages with { Prefix = prefix with { Length = (_, _) => 0 } });
        Gradients<double> without = new PipelineGradients(config, bare, new(config, bare, arithmetic)).Of(input, outputGradient);
        return new(Of(Operand.Query, own.Query, without.Query), Of(Operand.Key, own.Key, without.Key), Of(Operand.Value, own.Value, without.Value));

        Tensor<double> Of(Operand operand, Tensor<double> with, Tensor<double> alone) => prefix.ForgottenInGradients.Contains(operand) ? alone : with;
    }

    // The mean over the passes, or their sum.
    private Tensor<double> Joined(Tensor<double> own, Func<PipelineAttention, Tensor<double>> other)
    {
        if (passes.IsEmpty)
            return own;
        double[][] all = [[.. own.Elements], .. passes.Select(pass => other(pass).Elements.ToArray())];
        return Tensor<double>.Build(own.Shape.AsSpan(), i => Share * all.Sum(elements => elements[i]));
    }

    /// <summary>The softmax weights of a row's keys, in their order, and the logsumexp.</summary>
    public (double[] Weights, double LogSumExp) Softmax(AttentionInput<double> input, ReadRow row)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(row);
        double scale = pipeline.Stages.Scale(pipeline.Site, row.Query.Head);
        double[] scores = [.. row.Keys.Select(key =>
            row.Uniform ? double.MinValue : scale * Attention.Dot(Vector(input.Query, row.Query), Vector(input.Key, key.Key)))];
        AttentionRow softmax = Attention.Softmax([.. Enumerable.Range(0, scores.Length)], scores);

        // Where all scores are -infinity Softmax keeps no key; the row is then 0, as in the definition.
        return (softmax.Weights.Count == scores.Length ? [.. softmax.Weights] : new double[scores.Length], softmax.LogSumExp);
    }

    /// <summary>The slot and the row of q behind a row of o; none where it stays 0.</summary>
    internal (Slot Slot, int Query)? Answer(int row)
    {
        Place place = new(row / config.Heads / config.Tokens, row / config.Heads % config.Tokens, row % config.Heads);
        return pipeline.Output(place) is { } slot && QueryOf(slot) is { } query ? (slot, query) : null;
    }

    internal Func<int, int, double> ProductsOf(AttentionInput<double> input) => (query, key) =>
        Attention.Dot(input.Query.Elements.Slice(query * config.HeadDim, config.HeadDim), input.Key.Elements.Slice(key * config.HeadDim, config.HeadDim));

    /// <summary>What a query slot reads and with which weights.</summary>
    internal WeightedRow Weigh(Slot slot, int query, Func<int, int, double> product, ClassSums? sums)
    {
        (Meeting[] met, Meeting[] pairs, bool uniform) = MetBy(slot);
        if (arithmetic.Lowering is not null && pairs.Length > 0)
            (pairs, uniform) = (met, false);
        double scale = pipeline.Stages.Scale(pipeline.Site, slot.Head);
        double[] products = new double[pairs.Length], scores = new double[pairs.Length];
        for (int i = 0; i < pairs.Length; i++)
        {
            products[i] = uniform ? double.MinValue : product(query, pairs[i].Key);
            scores[i] = Score(slot, pairs[i], uniform, products[i]);
            if (arithmetic.Cap is { } cap && !uniform)
                scores[i] = cap(scores[i]);
            if (arithmetic.Lowering is { } lowering && pairs[i].Mask is not (PairMask.Seen or PairMask.Less))
                scores[i] -= lowering;
        }

        (double[] weights, double lse) = Softmax(slot, pairs, products, scores, sums);
        if (arithmetic.AddsMask && Array.Exists(met, pair => pair.Mask is not (PairMask.Seen or PairMask.Less) && scale * product(query, pair.Key) is var score && !double.IsFinite(score) && !double.IsNegativeInfinity(score)))
            Array.Fill(weights, double.NaN);
        double[] shares = pipeline.Stages.Normaliser is Normaliser.WholeGroup ? [.. weights] : weights;
        for (int i = 0; i < weights.Length; i++)
        {
            if (pipeline.Stages.Normaliser is Normaliser.WholeGroup && pairs[i].Mask is not PairMask.Seen)
                weights[i] = 0;
            if (arithmetic.RoundWeight is { } round)
                weights[i] = round(weights[i]);
        }

        if (arithmetic.MultipliesHidden)
        {
            Meeting[] rest = [.. met.Where(pair => !pairs.Contains(pair))];
            (pairs, weights, scores) = ([.. pairs, .. rest], [.. weights, .. rest.Select(_ => 0.0)], [.. scores, .. rest.Select(_ => double.NegativeInfinity)]);
        }

        return arithmetic.MultipliesHidden ? new(pairs, weights, scores, lse) : new(pairs, weights, scores, lse) { Shares = shares };
    }

    /// <summary>What a query slot meets, hidden or not.</summary>
    internal Meeting[] Met(Slot slot) => MetBy(slot).Met;

    /// <summary>What a query slot meets, which of it counts, and whether that has equal weights whatever the scores. The same for every input.</summary>
    internal (Meeting[] Met, Meeting[] Counted, bool Uniform) MetBy(Slot slot)
    {
        if (rows.TryGetValue(slot, out var known))
            return known;
        Meeting[] met = Meetings(slot);
        bool uniform = IsUniform(met);
        bool readsHidden = pipeline.Stages.Hide(false, false) is PairMask.Hidden;
        Meeting[] counted = [.. pipeline.Stages.Normaliser is Normaliser.WholeGroup ? met.Where(pair => readsHidden || pair.Mask is not PairMask.Hidden) : Counted(met, uniform)];
        return rows[slot] = (met, counted, uniform);
    }

    /// <summary>What pairs add up to that are normalised together; nothing where that is a row.</summary>
    internal ClassSums? SumsOf(Func<int, int, double> product) =>
        pipeline.Stages.Normaliser is Normaliser.Queries or Normaliser.Heads or Normaliser.Pairs or Normaliser.Groups ? new(config, pipeline, this, product) : null;

    internal double Score(Slot slot, Meeting pair, bool uniform, double product) =>
        uniform ? double.MinValue : pipeline.Stages.Scale(pipeline.Site, slot.Head) * product - (pair.Mask is PairMask.Less ? pipeline.Stages.Lowering : 0);

    /// <summary>Which pairs are normalised together.</summary>
    internal (int, int, int) ClassOf(Slot slot, Meeting pair) => pipeline.Stages.Normaliser switch
    {
        Normaliser.Queries => (slot.Batch * config.Heads + slot.Head, pair.Slot.Position, -1),
        Normaliser.Heads => (slot.Batch, slot.Position, pair.Slot.Position),
        Normaliser.Pairs => (slot.Batch, slot.Head, pipeline.Group(slot)),
        Normaliser.Groups => (slot.Batch * config.Heads + slot.Head, slot.Position % config.GroupSize, pair.Slot.Position % config.GroupSize),
        _ => (slot.Batch, slot.Head, slot.Position),
    };

    internal int? QueryOf(Slot slot) => pipeline.Query(slot) is { } place ? RowOf(place, config.Heads) : null;

    private (double[] Weights, double LogSumExp) Softmax(
        Slot slot, Meeting[] pairs, double[] products, double[] scores, ClassSums? sums)
    {
        double[] weights = [.. scores];
        double lse = Attention.Softmax(weights);
        if (sums?.Of(slot) is { } known)
            for (int i = 0; i < weights.Length; i++)
                weights[i] = known[ClassOf(slot, pairs[i])] is var (max, sum) ? Math.Exp(scores[i] - max) / sum : 0;
        else if (pipeline.Stages.Zeros(pipeline.Site, slot) is var filled && (pipeline.Stages.Normaliser is Normaliser.OneMore ? 1 : 0) + filled is > 0 and int zeros)
        {
            for (int i = 0; i < weights.Length; i++)
                weights[i] /= 1 + zeros * Math.Exp(-lse);

            // Keys that fill up are summed up as the others.
            if (filled > 0)
                lse = Math.Max(lse, Math.Log(filled)) + Math.Log(1 + Math.Exp(-Math.Abs(lse - Math.Log(filled))));
        }
        else if (pipeline.Stages.StaleTile is > 0 and var tile)
        {
            // In the order in which the keys stand in the group, which is not that of the tokens where it wraps.
            double last = double.NegativeInfinity, greatest = scores.Append(last).Max();
            foreach (int[] read in Enumerable.Range(0, weights.Length).OrderBy(i => pairs[i].Slot.Position).Chunk(tile))
            {
                last = Math.Max(last, read.Max(i => scores[i]));
                foreach (int i in read)
                    weights[i] *= Math.Exp(greatest - last);
            }
        }
        else if (arithmetic.PlainExp is { } exp)
            weights = [.. scores.Select(score => exp(score) / scores.Sum(exp))];
        return (weights, pipeline.Stages.LogSum switch
        {
            LogSumKind.Base2 => lse / Math.Log(2),
            LogSumKind.Unscaled => Attention.Softmax([.. products]),
            LogSumKind.WithoutMaximum when scores.Length > 0 => lse - scores.Max(),
            LogSumKind.ZeroWhereEmpty when scores.Length == 0 => 0,
            _ => lse,
        });
    }

    /// <summary>The key slots that a query slot meets, in the order of the tokens that they hold.</summary>
    private Meeting[] Meetings(Slot slot)
    {
        Stages stages = pipeline.Stages;
        Meeting[] met =
        [
            .. (ReferenceEquals(stages.Across, Stages.OwnHead) ? Groups(slot).GetValueOrDefault(pipeline.Group(slot), []) : InOrder(stages.Across(pipeline.Site, slot)))
                .Select(item => new Meeting(item.Key, item.Value, pipeline.Mask(slot, item.Slot), item.Slot)),
        ];
        if (!ReferenceEquals(stages.Reach, Stages.OwnGroup))
            met = [.. met.Concat(InOrder(stages.Reach(pipeline.Site, slot)).Select(item => new Meeting(item.Key, item.Value, pipeline.Mask(slot, item.Slot), item.Slot))).OrderBy(meeting => meeting.Key)];
        if (config.Prefix > 0)
            met = WithPrefix(slot, met);
        if (ReferenceEquals(pipeline.Stages.Times, Stages.Once))
            return met;
        int seen = met.Count(pair => pair.Mask is PairMask.Seen), index = 0;
        return [.. met.SelectMany(pair => Enumerable.Repeat(pair, pair.Mask is PairMask.Seen ? pipeline.Stages.Times(index++, seen) : 1))];
    }

    // Keys of the prefix beside the others; one that is met already is not met again, but where it is counted twice.
    private Meeting[] WithPrefix(Slot slot, Meeting[] met)
    {
        List<Meeting> all = [.. met];
        foreach ((Slot keySlot, Place keyPlace, Place valuePlace, PairMask mask) in pipeline.OfPrefix(slot))
        {
            int key = RowOf(keyPlace, config.KvHeads), at = Array.FindIndex(met, pair => pair.Key == key);
            Meeting alone = new(key, RowOf(valuePlace, config.KvHeads), mask, keySlot) { Prefix = PrefixPart.Alone };
            if (at < 0)
                all.Add(alone);
            else if (all[at].Mask is not PairMask.Seen && mask is PairMask.Seen)
                all[at] = alone;
            else
                all[at] = all[at] with { Prefix = PrefixPart.Also };
            if (at >= 0 && met[at].Mask is PairMask.Seen && mask is PairMask.Seen && pipeline.Stages.Prefix.Repeats(pipeline.Site, slot))
                all.Add(all[at]);
        }

        return [.. all.OrderBy(meeting => meeting.Key)];
    }

    private (Slot Slot, int Key, int Value)[] InOrder(IEnumerable<Slot> slots)
    {
        List<(int Token, (Slot Slot, int Key, int Value) Item)> held = [];
        foreach (Slot key in slots)
            if (Held(key) is { } item)
                held.Add(item);
        return ByToken(held);
    }

    // Values of keys that hold none are 0; keys that are in no tensor are not met.
    private (int Token, (Slot Slot, int Key, int Value) Item)? Held(Slot key) => pipeline.Source(Operand.Key, key) is { } place
        ? (place.Token, (key, RowOf(place, config.KvHeads), pipeline.Source(Operand.Value, key) is { } value ? RowOf(value, config.KvHeads) : -1))
        : null;

    private static (Slot Slot, int Key, int Value)[] ByToken(List<(int Token, (Slot Slot, int Key, int Value) Item)> held)
    {
        bool inOrder = true;
        (Slot Slot, int Key, int Value)[] items = new (Slot, int, int)[held.Count];
        for (int i = 0; i < items.Length; i++)
        {
            items[i] = held[i].Item;
            inOrder &= i == 0 || held[i - 1].Token <= held[i].Token;
        }

        return inOrder ? items : [.. held.OrderBy(item => item.Token).Select(item => item.Item)];
    }

    // A search asks for the groups of a head thousands of times, each time of another pipeline.
    private Dictionary<int, (Slot Slot, int Key, int Value)[]> Groups(Slot slot)
    {
        if (keySlots.TryGetValue((slot.Batch, slot.Head), out var groups))
            return groups;
        Dictionary<int, List<(int Token, (Slot Slot, int Key, int Value) Item)>> held = [];
        for (int position = 0; position < pipeline.Site.Ring; position++)
        {
            Slot key = slot with { Position = position };
            if (Held(key) is not { } item)
                continue;
            int group = pipeline.Group(key);
            if (held.TryGetValue(group, out var others))
                others.Add(item);
            else
                held.Add(group, [item]);
        }

        groups = new(held.Count);
        foreach ((int group, var items) in held)
            groups.Add(group, ByToken(items));
        keySlots.Add((slot.Batch, slot.Head), groups);
        return groups;
    }

    private static bool IsUniform(Meeting[] met) =>
        !met.Any(pair => pair.Mask is PairMask.Seen or PairMask.Less) && met.Any(pair => pair.Mask is PairMask.Lowered or PairMask.Replaced);

    private static IEnumerable<Meeting> Counted(Meeting[] met, bool uniform) =>
        met.Where(pair => uniform ? pair.Mask is PairMask.Lowered or PairMask.Replaced : pair.Mask is PairMask.Seen or PairMask.Less);

    private void Accumulate(Span<double> sum, double weight, ReadOnlySpan<double> vector)
    {
        for (int d = 0; d < sum.Length; d++)
            sum[d] += weight * vector[d];
        if (arithmetic.RoundSum is { } round)
            for (int d = 0; d < sum.Length; d++)
                sum[d] = round(sum[d]);
    }

    private int RowOf(Place place, int heads) => Layout.Row(config.Tokens, heads, 1, place.Batch, place.Token, place.Head);

    private Place KeyAt(int row) => new(row / config.KvHeads / config.Tokens, row / config.KvHeads % config.Tokens, row % config.KvHeads);

    private static ReadOnlySpan<double> Vector(Tensor<double> tensor, Place place) => tensor.Row(place.Batch, place.Token, place.Head);
}

/// <summary>Products q.k, with what they add up to where the softmax runs over other pairs than a row's.</summary>
public sealed class Products
{
    internal Products(Func<int, int, double> product, ImmutableArray<ClassSums?> sums) => (Product, Sums) = (product, sums);

    internal Func<int, int, double> Product { get; }

    internal ImmutableArray<ClassSums?> Sums { get; }
}

/// <summary>The pairs of a row, and their weights.</summary>
internal sealed record WeightedRow(Meeting[] Pairs, double[] Weights, double[] Scores, double LogSumExp)
{
    /// <summary>The weights as the softmax gave them, before a mask zeroed some.</summary>
    public double[] Shares { get; init; } = Weights;
}
