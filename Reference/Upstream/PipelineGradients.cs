// What are the gradients of a pipeline, with the steps that its backward pass gets wrong?
using S2Attn.Spec;

namespace S2Attn.Reference.Upstream;

/// <summary>The derivative of a pipeline's forward pass, changed where its backward stages say so.</summary>
internal sealed class PipelineGradients(S2Config config, Pipeline pipeline, PipelineAttention attention)
{
    private readonly BackwardStages backward = pipeline.Stages.Backward;
    private readonly Site site = pipeline.Site;
    private readonly Dictionary<(Operand, int), int[]> unrolled = [];

    public Gradients<double> Of(AttentionInput<double> input, Tensor<double> outputGradient)
    {
        int dim = config.HeadDim;
        double[] dq = new double[input.Query.Elements.Length];
        var product = attention.ProductsOf(input);
        ClassSums? sums = attention.SumsOf(product);
        double[][] dkOfHead = new double[config.Heads][], dvOfHead = new double[config.Heads][];
        bool[][] keysOfHead = new bool[config.Heads][], valuesOfHead = new bool[config.Heads][];
        for (int h = 0; h < config.Heads; h++)
            (dkOfHead[h], dvOfHead[h], keysOfHead[h], valuesOfHead[h]) = (
                OfHead(Operand.Key, dkOfHead), OfHead(Operand.Value, dvOfHead), new bool[input.Key.Elements.Length / dim], new bool[input.Key.Elements.Length / dim]);

        // Softmax over other pairs than a row's needs its sums of p dp first.
        Dictionary<(int, int, int), double> means = [];
        if (sums is not null)
            foreach (var (slot, query, dout) in Answers(outputGradient))
            {
                WeightedRow weighted = attention.Weigh(slot, query, product, sums);
                for (int i = 0; i < weighted.Pairs.Length; i++)
                    means[attention.ClassOf(slot, weighted.Pairs[i])] = means.GetValueOrDefault(attention.ClassOf(slot, weighted.Pairs[i]))
                        + weighted.Weights[i] * Dp(input, weighted.Pairs[i], dout);
            }

        Dictionary<(int, int, int, int), double> ofKeys = [];
        if (backward.SumsOverQueries)
            foreach (var (slot, query, dout) in Answers(outputGradient))
            {
                WeightedRow weighted = attention.Weigh(slot, query, product, sums);
                for (int i = 0; i < weighted.Pairs.Length; i++)
                    ofKeys[KeyOf(slot, weighted.Pairs[i])] = ofKeys.GetValueOrDefault(KeyOf(slot, weighted.Pairs[i])) + weighted.Weights[i] * Dp(input, weighted.Pairs[i], dout);
            }

        Dictionary<Slot, double[]> valueDouts = ReferenceEquals(backward.ValueHead, BackwardStages.OwnHead) ? [] : Answers(outputGradient, backward.ValueHead).ToDictionary(answer => answer.Slot, answer => answer.Dout);
        Dictionary<Slot, double> deltas = backward.LeavesDelta is null ? [] : Answers(outputGradient).ToDictionary(answer => answer.Slot, answer => Centre(attention.Weigh(answer.Slot, answer.Query, product, sums), answer.Dout).Mean);
        foreach (var (slot, query, dout) in Answers(outputGradient))
            AddSlot(slot, query, dout);
        double[] dk = Join(Operand.Key, dkOfHead, keysOfHead), dv = Join(Operand.Value, dvOfHead, valuesOfHead);
        Tensor<double> first = Tensor<double>.Of(input.Query.Shape.AsSpan(), dq), second = Tensor<double>.Of(input.Key.Shape.AsSpan(), dk);
        return new(
            backward.Swaps && dk.Length == dq.Length ? second : first,
            backward.Swaps && dk.Length == dq.Length ? first : second,
            Tensor<double>.Of(input.Value.Shape.AsSpan(), dv));

        (int, int, int, int) KeyOf(Slot slot, Meeting pair) => (slot.Batch, slot.Head, pipeline.Group(slot), pair.Key);

        // A sum is added up in the order of the definition, row after row.
        double[] OfHead(Operand operand, double[][] before) => backward.Join(operand) is KvJoin.Sum && before[0] is { } shared ? shared : new double[input.Key.Elements.Length];

        void AddSlot(Slot slot, int query, double[] dout)
        {
            WeightedRow row = attention.Weigh(slot, query, product, sums);
            if (row.Pairs.Length == 0 && pipeline.Stages.EmptyIsNaN)
            {
                SpreadNaN(slot, query);
                return;
            }

            double[] weights = row.Weights, valueWeights = ValueWeights(row);
            (double[] dp, double mean) = Centre(row, dout);
            if (backward.LeavesDelta is { } leaves && leaves(site, slot.Head))
                mean = slot.Position < config.Tokens && attention.Answer(Layout.Row(config.Tokens, config.Heads, 1, slot.Batch, slot.Position, slot.Head)) is { } held ? deltas[held.Slot] : 0;

            int head = query % config.Heads;
            double scale = pipeline.Stages.Scale(site, slot.Head);
            double queryScale = backward.Scale(site, Operand.Query, slot.Head, scale), keyScale = backward.Scale(site, Operand.Key, slot.Head, scale);
            int queryRow = Moved(Operand.Query, query, config.Heads, slot.Head);
            for (int i = 0; i < weights.Length; i++)
            {
                Meeting pair = row.Pairs[i];
                if (pair.Value >= 0 && Moved(Operand.Value, pair.Value, config.KvHeads, slot.Head) is >= 0 and int value && !backward.Detaches(site, Operand.Value, slot.Head))
                {
                    valuesOfHead[head][value] = true;
                    Add(dvOfHead[head], value, valueWeights[i] * PrefixFactor(slot, Operand.Value, pair), valueDouts.GetValueOrDefault(slot, dout));
                }

                if (pair.Mask is PairMask.Replaced)
                    continue;
                double centred = dp[i] - backward.Delta * (backward.SumsOverQueries ? ofKeys[KeyOf(slot, pair)] : sums is null ? mean : means[attention.ClassOf(slot, pair)]);
                if (queryRow >= 0 && !backward.Detaches(site, Operand.Query, slot.Head))
                    Add(dq, queryRow, queryScale * row.Shares[i] * centred * PrefixFactor(slot, Operand.Query, pair), input.Key.Elements.Slice(pair.Key * dim, dim));
                if (Moved(Operand.Key, pair.Key, config.KvHeads, slot.Head) is >= 0 and int key && !backward.Detaches(site, Operand.Key, slot.Head))
                {
                    keysOfHead[head][key] = true;
                    Add(dkOfHead[head], key, keyScale * row.Shares[i] * centred * PrefixFactor(slot, Operand.Key, pair), input.Query.Elements.Slice(query * dim, dim));
                }
            }
        }

        // dp of each pair, and sum p dp. A weight that the mask zeroes after the softmax passes nothing on, but its share still depends on the other scores.
        (double[] Dp, double Mean) Centre(WeightedRow row, double[] dout)
        {
            double[] dp = [.. row.Weights.Select((weight, i) => weight == 0 ? 0 : Dp(input, row.Pairs[i], dout))];
            double mean = 0;
            for (int i = 0; i < dp.Length; i++)
                mean += row.Weights[i] * dp[i];
            return (dp, mean);
        }

        double PrefixFactor(Slot slot, Operand operand, Meeting pair) => pair.Prefix is PrefixPart.None ? 1 : pipeline.Stages.Prefix.Gradient(site, operand, slot, pair.Prefix);

        // The softmax of nothing is NaN, and so is what flows back through it to all that the row meets.
        void SpreadNaN(Slot slot, int query)
        {
            int head = query % config.Heads;
            dq.AsSpan(query * dim, dim).Fill(double.NaN);
            foreach (Meeting pair in attention.Met(slot))
            {
                keysOfHead[head][pair.Key] = true;
                dkOfHead[head].AsSpan(pair.Key * dim, dim).Fill(double.NaN);
                if (pair.Value < 0)
                    continue;
                valuesOfHead[head][pair.Value] = true;
                dvOfHead[head].AsSpan(pair.Value * dim, dim).Fill(double.NaN);
            }
        }
    }

    /// <summary>Each slot whose result is in o, with its row of q and do, rows of o that repeat a slot added up; in the order head, token.</summary>
    private IEnumerable<(Slot Slot, int Query, double[] Dout)> Answers(Tensor<double> outputGradient) => Answers(outputGradient, BackwardStages.OwnHead);

    private IEnumerable<(Slot Slot, int Query, double[] Dout)> Answers(Tensor<double> outputGradient, Func<Site, int, int> headOf)
    {
        List<Slot> order = [];
        Dictionary<Slot, (int Query, double[] Dout)> slots = [];
        for (int b = 0; b < config.Batch; b++)
            for (int h = 0; h < config.Heads; h++)
                for (int t = 0; t < config.Tokens; t++)
                {
                    if (attention.Answer(Layout.Row(config.Tokens, config.Heads, 1, b, t, h)) is not { } answer)
                        continue;
                    if (!slots.TryGetValue(answer.Slot, out var known))
                    {
                        order.Add(answer.Slot);
                        slots.Add(answer.Slot, known = (answer.Query, new double[config.HeadDim]));
                    }

                    int from = backward.LeavesOutputGradient(site, h) ? site.Position(site.Shift(h), t) : t;
                    if (from < config.Tokens)
                        Add(known.Dout, 0, 1, outputGradient.Row(b, from, headOf(site, h)));
                }

        return order.Select(slot => (slot, slots[slot].Query, slots[slot].Dout));
    }

    private double Dp(AttentionInput<double> input, Meeting pair, double[] dout) =>
        pair.Value < 0 ? 0 : Attention.Dot<double>(dout, input.Value.Elements.Slice(pair.Value * config.HeadDim, config.HeadDim));

    // Written where the gradient of its position is taken to belong; the right map is the inverse of the roll.
    private int Moved(Operand operand, int row, int heads, int head)
    {
        if (ReferenceEquals(backward.Unroll, BackwardStages.Inverse))
            return row;
        int shift = site.Shift(head);
        if (!unrolled.TryGetValue((operand, shift), out int[]? tokens))
        {
            tokens = [.. Enumerable.Repeat(-1, site.Ring)];
            for (int t = 0; t < config.Tokens; t++)
                if (backward.Unroll(site, operand, shift, t) is var position && position < tokens.Length)
                    tokens[position] = t;
            unrolled.Add((operand, shift), tokens);
        }

        int moved = tokens[site.Position(shift, row / heads % config.Tokens)];
        return moved < 0 ? -1 : (row / heads / config.Tokens * config.Tokens + moved) * heads + row % heads;
    }

    private double[] ValueWeights(WeightedRow row) => backward.Value switch
    {
        ValueGradientKind.Unnormalised => [.. row.Weights.Select(weight => weight == 0 ? 0 : weight / row.Weights.Max())],
        ValueGradientKind.Greatest => [.. row.Weights.Select(weight => weight == row.Weights.Max() ? weight : 0)],
        _ => row.Weights,
    };

    private double[] Join(Operand operand, double[][] ofHead, bool[][] written)
    {
        KvJoin join = backward.Join(operand);
        if (join is KvJoin.Sum)
            return ofHead[0];
        double[] joined = new double[ofHead[0].Length];
        int dim = config.HeadDim;
        for (int row = 0; row < written[0].Length; row++)
        {
            int[] heads = [.. Enumerable.Range(0, config.Heads).Where(head => written[head][row])];
            heads = join switch
            {
                KvJoin.Last => heads[^Math.Min(1, heads.Length)..],
                KvJoin.First => heads[..Math.Min(1, heads.Length)],
                _ => heads,
            };
            foreach (int head in heads)
                Add(joined, join is KvJoin.Tiled ? row - row % config.KvHeads + head % config.KvHeads : row, join is KvJoin.Mean ? (double)config.KvHeads / config.Heads : 1, ofHead[head].AsSpan(row * dim, dim));
        }

        return joined;
    }

    private void Add(double[] sum, int row, double factor, ReadOnlySpan<double> vector)
    {
        for (int d = 0; d < config.HeadDim; d++)
            sum[row * config.HeadDim + d] += factor * vector[d];
    }
}
