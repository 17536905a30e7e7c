// Which question is put to a port? A configuration and a recipe for its tensors, small enough to print.
using System.Collections.Immutable;
using System.Globalization;
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

    /// <summary>Scores of magnitude up to 1e4, positive and negative.</summary>
    HugeScores,

    /// <summary>Subnormal numbers of the format.</summary>
    Subnormal,

    /// <summary>Values with a common offset 1000 times their spread, where sums cancel.</summary>
    Offset,

    /// <summary>Each vector scaled by its own power of two between 2^-20 and 2^8.</summary>
    MixedScale,

    /// <summary>q and k from {-1, 0, 1}, v one-hot: many tied scores, and each weight alone in its element.</summary>
    OneHot,

    /// <summary>Normal, but one vector of the whole case holds one NaN or infinity.</summary>
    OnePoisoned,

    /// <summary>Normal, but one vector in sixteen holds one NaN or infinity.</summary>
    ManyPoisoned,
}

/// <summary>Which kinds are for whom.</summary>
public static class TensorKinds
{
    /// <summary>Kinds that any implementation must bear.</summary>
    public static ImmutableArray<TensorKind> Tame { get; } = [TensorKind.EqualScores, TensorKind.Ties, TensorKind.Normal, TensorKind.TinyScores, TensorKind.LargeScores];

    /// <summary>Kinds of finite numbers.</summary>
    public static ImmutableArray<TensorKind> Finite { get; } =
        [.. Tame, TensorKind.HugeScores, TensorKind.Subnormal, TensorKind.Offset, TensorKind.MixedScale, TensorKind.OneHot];

    /// <summary>Whether some number is NaN or infinite.</summary>
    public static bool IsPoisoned(this TensorKind kind) => kind is TensorKind.OnePoisoned or TensorKind.ManyPoisoned;
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

    /// <summary>One key of each sequence: the seed modulo N.</summary>
    One,

    /// <summary>Each key with probability one tenth.</summary>
    Sparse,
}

/// <summary>A configuration and how its tensors are made. Two equal cases have equal tensors.</summary>
public sealed record AttentionCase(S2Config Config, ElementType Type, TensorKind Kind, PaddingPattern Padding, int Seed)
{
    /// <summary>Whether some key may be padded.</summary>
    public bool IsPadded => Padding is not PaddingPattern.None;

    /// <summary>Whether padded keys hold NaN in k and v instead of ordinary numbers.</summary>
    public bool PadsAreNaN { get; init; }

    /// <summary>q [B,N,H,D], k and v [B,N,K,D], valid [B,N].</summary>
    public AttentionInput<double> BuildInput() => CaseTensors.Input(this);

    /// <summary>do [B,N,H,D]: small integers for the plain kinds.</summary>
    public Tensor<double> BuildOutputGradient() => CaseTensors.OutputGradient(this);

    /// <summary>The forward pass of the case, for a port.</summary>
    public PortCase Forward() => new(Config, Type, BuildInput());

    /// <summary>The backward pass of the case, for a port.</summary>
    public PortCase Backward() => new(Config, Type, BuildInput(), [BuildOutputGradient()]);

    /// <summary>The case on one line, as reports show it.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Config.Mask} B={Config.Batch} N={Config.Tokens} G={Config.GroupSize} S={Config.Shift} H={Config.Heads} K={Config.KvHeads} D={Config.HeadDim} shifted={Config.ShiftedHeads}{Prefix()}{Scale()} {ProtocolNames.Of(Type)} {Kind}{(IsPadded ? $" padding={Padding}" : "")}{(PadsAreNaN ? " NaN in pads" : "")} seed={Seed}");

    private string Prefix() =>
        Config.Prefix == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" prefix={Config.Prefix}{(Config.IsPrefixWhole ? " seen whole" : "")}");

    private string Scale() =>
        Configs.HasDefaultScale(Config) ? "" : string.Create(CultureInfo.InvariantCulture, $" scale={Config.Scale}");
}
