// Which numbers does a case put into its tensors?
using S2Attn.Reference;

namespace S2Attn.Conformance.Cases;

/// <summary>Makes the tensors of a case from its seed: two equal cases have equal tensors, each number one of the case's type.</summary>
internal static class CaseTensors
{
    private const int MagnitudeOfHuge = 10_000, Query = 0, Key = 1, Value = 2, Gradient = 3, Tensors = 4;

    private static readonly double[] Poisons = [double.NaN, double.PositiveInfinity, double.NegativeInfinity];

    /// <summary>q, k, v and valid keys.</summary>
    public static AttentionInput<double> Input(AttentionCase item)
    {
        Random random = new(item.Seed);
        Tensor<bool> valid = PaddedKeys.Build(item.Config.Batch, item.Config.Tokens, item.Padding, item.Seed, random);
        Tensor<double> q = Build(item, Query, random), k = Build(item, Key, random), v = Build(item, Value, random);
        return item.PadsAreNaN ? new(q, LosePads(k), LosePads(v), valid) : new(q, k, v, valid);

        Tensor<double> LosePads(Tensor<double> tensor)
        {
            int row = item.Config.KvHeads * item.Config.HeadDim;
            return Tensor<double>.Build(tensor.Shape.AsSpan(), i => valid.Elements[i / row] ? tensor.Elements[i] : double.NaN);
        }
    }

    /// <summary>do.</summary>
    public static Tensor<double> OutputGradient(AttentionCase item) => Build(item, Gradient, new Random(item.Seed ^ 0x5eed));

    private static Tensor<double> Build(AttentionCase item, int tensor, Random random)
    {
        int heads = tensor is Query or Gradient ? item.Config.Heads : item.Config.KvHeads, dim = item.Config.HeadDim, rowsOfToken = heads * dim;
        int poisonedAt = item.Kind is TensorKind.OnePoisoned ? PoisonedElement(item, tensor, rowsOfToken) : -1;
        double factor = Factor(item, tensor), vectorScale = 1;
        int hot = 0, poisoned = dim;
        return Tensor<double>.Build([item.Config.Batch, item.Config.Tokens, heads, dim], i =>
        {
            if (i % dim == 0 && item.Kind is TensorKind.MixedScale or TensorKind.OneHot or TensorKind.ManyPoisoned)
                (vectorScale, hot, poisoned) = (Math.ScaleB(1, random.Next(-20, 9)), random.Next(dim), random.Next(16) == 0 ? random.Next(dim) : dim);
            return item.Kind switch
            {
                TensorKind.EqualScores => tensor switch { Query => 0, Key => random.Next(-1, 2), Value => Round(i / rowsOfToken % item.Config.Tokens), _ => random.Next(-2, 3) },
                TensorKind.Ties => tensor switch { Query or Key => random.Next(-1, 2), Value => random.Next(-8, 9), _ => random.Next(-2, 3) },
                TensorKind.OneHot => tensor switch { Query or Key => random.Next(-1, 2), Value => i % dim == hot ? 1 : 0, _ => random.Next(-2, 3) },
                TensorKind.Normal or TensorKind.TinyScores or TensorKind.LargeScores or TensorKind.HugeScores => Round(factor * Normal(random)),
                TensorKind.Subnormal => Round(Normal(random) * Math.ScaleB(1, item.Type is ElementType.F16 ? -18 : item.Type is ElementType.F64 ? -1030 : -130)),
                TensorKind.Offset => Round(10 + 0.01 * Normal(random)),
                TensorKind.MixedScale => Round(vectorScale * Normal(random)),
                TensorKind.OnePoisoned => i == poisonedAt ? Poisons[(item.Seed & int.MaxValue) % Poisons.Length] : Round(Normal(random)),
                TensorKind.ManyPoisoned => i % dim == poisoned ? Poisons[random.Next(Poisons.Length)] : Round(Normal(random)),
                _ => throw new InvalidOperationException($"Unknown kind of tensors {item.Kind}."),
            };
        });

        double Round(double value) => item.Type.Round(value);
    }

    // |scale q.k| has standard deviation |scale| sqrt(D) factor^2 for normal numbers times factor.
    private static double Factor(AttentionCase item, int tensor)
    {
        double spread = Math.Max(Math.Abs(item.Config.Scale) * Math.Sqrt(item.Config.HeadDim), 1e-3);
        return tensor is Value or Gradient ? 1 : item.Kind switch
        {
            TensorKind.TinyScores => Math.Sqrt(1e-5 / spread),
            TensorKind.LargeScores => Math.Sqrt(60 / spread),
            TensorKind.HugeScores => Math.Sqrt(MagnitudeOfHuge / Math.Sqrt(item.Config.HeadDim)),
            _ => 1,
        };
    }

    // The element of this tensor that is poisoned; -1 where the seed chose another tensor.
    private static int PoisonedElement(AttentionCase item, int tensor, int rowsOfToken)
    {
        Random choice = new(item.Seed ^ 0x7015);
        bool isThis = choice.Next(Tensors) == tensor;
        int token = choice.Next(item.Config.Batch * item.Config.Tokens);
        return isThis ? token * rowsOfToken + choice.Next(rowsOfToken) : -1;
    }

    private static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
