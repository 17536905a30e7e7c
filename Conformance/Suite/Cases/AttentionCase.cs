// Which question is put to a port? A configuration and a recipe for its tensors, small enough to print.
using System.Globalization;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Cases;

/// <summary>What the numbers look like, from the plainest to the wildest.</summary>
public enum TensorKind
{
    /// <summary>q = 0 and v = its token index: every visible key has the same weight.</summary>
    EqualScores,

    /// <summary>q and k from {-1, 0, 1}, v small integers: many tied scores.</summary>
    Ties,

    /// <summary>Normal with variance 1, as after a layer norm.</summary>
    Normal,

    /// <summary>Scores of magnitude 1e-4 and less: nearly uniform weights.</summary>
    TinyScores,

    /// <summary>Scores of magnitude up to some hundreds, past the range of a naive exp in f32: nearly one-hot weights.</summary>
    LargeScores,
}

/// <summary>Which keys are padded.</summary>
public enum PaddingPattern
{
    /// <summary>None.</summary>
    None,

    /// <summary>The same number at the end of each sequence.</summary>
    Right,

    /// <summary>The same number at the start of each sequence.</summary>
    Left,

    /// <summary>Another number at the end of each sequence.</summary>
    Unequal,

    /// <summary>Each key with probability one third.</summary>
    Scattered,

    /// <summary>Every key of the last sequence, none of the others.</summary>
    WholeSequence,
}

/// <summary>A configuration and how its tensors are made. Two equal cases have equal tensors.</summary>
public sealed record AttentionCase(S2Config Config, ElementType Type, TensorKind Kind, PaddingPattern Padding, int Seed)
{
    /// <summary>Whether some key may be padded.</summary>
    public bool IsPadded => Padding is not PaddingPattern.None;

    /// <summary>q [B,N,H,D], k and v [B,N,K,D], valid [B,N]. Padded keys hold ordinary numbers.</summary>
    public AttentionInput<double> BuildInput()
    {
        Random random = new(Seed);
        Tensor<bool> valid = PaddedKeys.Build(Config.Batch, Config.Tokens, Padding, random);
        int[] query = [Config.Batch, Config.Tokens, Config.Heads, Config.HeadDim], key = [Config.Batch, Config.Tokens, Config.KvHeads, Config.HeadDim];

        // |scale q.k| has standard deviation |scale| sqrt(D) factor^2 for normal numbers times factor.
        double spread = Math.Max(Math.Abs(Config.Scale) * Math.Sqrt(Config.HeadDim), 1e-3);
        double factor = Kind switch
        {
            TensorKind.TinyScores => Math.Sqrt(1e-5 / spread),
            TensorKind.LargeScores => Math.Sqrt(60 / spread),
            _ => 1,
        };
        return new(
            Tensor<double>.Build(query, _ => Kind is TensorKind.EqualScores ? 0 : Number()),
            Tensor<double>.Build(key, _ => Number()),
            Tensor<double>.Build(key, i => Kind switch
            {
                TensorKind.EqualScores => i / (Config.KvHeads * Config.HeadDim) % Config.Tokens,
                TensorKind.Ties => random.Next(-8, 9),
                _ => Type.Round(Normal(random)),
            }),
            valid);

        double Number() => Kind is TensorKind.Ties or TensorKind.EqualScores ? random.Next(-1, 2) : Type.Round(factor * Normal(random));
    }

    /// <summary>do [B,N,H,D]: small integers for the plain kinds, else normal.</summary>
    public Tensor<double> BuildOutputGradient()
    {
        Random random = new(Seed ^ 0x5eed);
        return Tensor<double>.Build(
            [Config.Batch, Config.Tokens, Config.Heads, Config.HeadDim],
            _ => Kind is TensorKind.EqualScores or TensorKind.Ties ? random.Next(-2, 3) : Type.Round(Normal(random)));
    }

    /// <summary>The case on one line, as reports show it.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Config.Mask} B={Config.Batch} N={Config.Tokens} G={Config.GroupSize} S={Config.Shift} H={Config.Heads} K={Config.KvHeads} D={Config.HeadDim} shifted={Config.ShiftedHeads}{Scale()} {ProtocolNames.Of(Type)} {Kind}{(IsPadded ? $" padding={Padding}" : "")} seed={Seed}");

    private string Scale() =>
        Configs.HasDefaultScale(Config) ? "" : string.Create(CultureInfo.InvariantCulture, $" scale={Config.Scale}");

    private static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
