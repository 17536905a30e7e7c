// Which sizes does an X-ray look at, and which questions does it put to the port there?
using System.Collections.Immutable;
using System.Globalization;
using System.Numerics;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

/// <summary>What is looked at, each with defects of its own.</summary>
internal enum ProbedPart
{
    /// <summary>A text.</summary>
    Text,

    /// <summary>A text with a prefix.</summary>
    Prefix,

    /// <summary>Tokens on several axes.</summary>
    Grid,
}

/// <summary>Sizes, element type and padding of one X-ray.</summary>
/// <param name="Config">The configuration.</param>
/// <param name="ElementType">The storage format of every tensor.</param>
/// <param name="Valid">valid [B,N]: false for a padded key.</param>
public sealed record XrayProbe(S2Config Config, ElementType ElementType, Tensor<bool> Valid)
{
    /// <summary>How many score questions there are: enough that a row with two keys tells some hundred query and key rows apart.</summary>
    internal const int Codes = 32;

    // Over a grid heads are told apart by one-hot values, and few queries share a window.
    private const int GridCodes = 8;

    private const int LargeKeys = 5, RampStep = 8;

    // Of one question, and of all questions about scores: 512 and 256 MiB.
    private const long MostWeights = 1L << 26, MostScoreWeights = 1L << 25;

    private const uint QuerySalt = 0x9e3779b9, KeySalt = 0x7f4a7c15;

    /// <summary>Whether codes in q and k are looked at; else a single question of scores that grow along the text, so that a running maximum has to be followed.</summary>
    public bool ShowsScores { get; init; } = true;

    /// <summary>The axes on which the tokens stand; null where they are a text.</summary>
    public S2Grid? Grid { get; init; }

    /// <summary>What is looked at there.</summary>
    internal ProbedPart Part => Grid is not null ? ProbedPart.Grid : Config.Prefix > 0 ? ProbedPart.Prefix : ProbedPart.Text;

    /// <summary>Rows of k and of v.</summary>
    public int Sources => Config.Batch * Config.Tokens * Config.KvHeads;

    /// <summary>Rows of q and of o.</summary>
    public int Rows => Config.Batch * Config.Tokens * Config.Heads;

    /// <summary>Whether some key is padded.</summary>
    public bool IsPadded => Valid.Elements.Contains(false);

    /// <summary>Forward calls that show which values each row of o averages: D rows of v are told apart by one call.</summary>
    internal int Chunks => (Sources + Config.HeadDim - 1) / Config.HeadDim;

    /// <summary>What scores of the score questions are a multiple of, before the port scales them: a power of two, so that every format holds it.</summary>
    internal double Unit => Config.Scale == 0 ? 1 : Math.Clamp(Math.ScaleB(1, (int)Math.Round(-Math.Log2(Math.Abs(Config.Scale)))), 1.0 / 64, 64);

    /// <summary>The row of k or v with this number in row-major order.</summary>
    internal Place SourceAt(int index) => PlaceAt(index, Config.KvHeads);

    /// <summary>The row of q or o with this number in row-major order.</summary>
    internal Place RowAt(int index) => PlaceAt(index, Config.Heads);

    /// <summary>The number of a row of k or v.</summary>
    internal int IndexOfSource(Place place) => (place.Batch * Config.Tokens + place.Token) * Config.KvHeads + place.Head;

    /// <summary>The number of a row of q or o.</summary>
    internal int IndexOfRow(Place place) => (place.Batch * Config.Tokens + place.Token) * Config.Heads + place.Head;

    /// <summary>Bit r says whether score question r doubles this row of q.</summary>
    internal static uint QueryCode(int row) => Mix((uint)row + QuerySalt);

    /// <summary>Bit r says whether score question r lets this row of k score.</summary>
    internal static uint KeyCode(int source) => Mix((uint)source + KeySalt);

    /// <summary>The same shape without padding and with v = 1, so that buffers hold 1 when it is asked for with padding.</summary>
    internal PortCase WarmUp() => Full(1);

    /// <summary>The same with v = 2.</summary>
    internal PortCase OtherWarmUp() => Full(2);

    /// <summary>How many score questions are put: of great sizes, whose rows have many keys each, fewer.</summary>
    internal int ScoreQuestions => Config.Scale == 0 ? 0 : !ShowsScores ? 1 : (int)Math.Clamp(MostScoreWeights / WeightsOf(Config), 1, Grid is null ? Codes : GridCodes);

    /// <summary>Whether the weights of all rows can be kept.</summary>
    internal bool IsSmallEnough => WeightsOf(Config) <= MostWeights;

    /// <summary>How many weights one question shows: rows of o by rows of v.</summary>
    internal static double WeightsOf(S2Config config) => (double)config.Batch * config.Tokens * config.Heads * config.Batch * config.Tokens * config.KvHeads;

    /// <summary>The rule in words.</summary>
    internal static string SizeRule { get; } = string.Create(CultureInfo.InvariantCulture, $"an X-ray keeps at most {MostWeights} weights of rows of o by rows of v (batch*tokens*heads times batch*tokens*kvHeads)");

    /// <summary>Equal scores, v one-hot: o holds the weight of each row of v.</summary>
    internal IEnumerable<PortCase> EqualScores() => Enumerable.Range(0, Chunks).Select(chunk => Case(_ => 0, source => Bit(KeyCode(source), 0), chunk));

    /// <summary>Scores scale * Unit * (1 or 2 by the query's code) * (0 or 1 by the key's code), v one-hot.</summary>
    internal IEnumerable<PortCase> Scores(int code) => Enumerable.Range(0, Chunks).Select(chunk => Case(row => QueryElement(row, code), source => KeyElement(source, code), chunk));

    /// <summary>The first part of the first score question with q and k in their last elements, which is the same question; none where they have one element, or no codes.</summary>
    internal IEnumerable<PortCase> ScoresAtTheEnd() =>
        Config.HeadDim > 1 && ShowsScores && ScoreQuestions > 0 && Grid is null ? [Case(row => QueryElement(row, 0), source => KeyElement(source, 0), 0, Config.HeadDim - 1)] : [];

    /// <summary>The same sizes with another shift; none where there is a single group, or heads have shifts of their own.</summary>
    internal IEnumerable<XrayProbe> WithAnotherShift() => Config.Tokens > Config.GroupSize && Config.GroupSize > 1 && !Config.ShiftedHeads.HasOwnShifts && Grid is null
        ? [this with { Config = Config.With(request => request with { Shift = (Config.Shift + 1) % Config.GroupSize }) }]
        : [];

    /// <summary>q.k of a score question, by row of q and row of k.</summary>
    internal double Product(int row, int source, int code) => QueryElement(row, code) * KeyElement(source, code);

    private double QueryElement(int row, int code) => ShowsScores ? Unit * (1 + Bit(QueryCode(row), code)) : Unit;

    private double KeyElement(int source, int code) => ShowsScores ? Bit(KeyCode(source), code) : SourceAt(source).Token / RampStep / (double)RampStep;

    /// <summary>The same for every row, of equal scores where the code is negative.</summary>
    internal Func<int, int, double> ProductsOf(int code) => code < 0 ? static (_, _) => 0 : (row, source) => Product(row, source, code);

    /// <summary>The first question in f64.</summary>
    internal PortCase InF64() => (this with { ElementType = ElementType.F64 }).EqualScores().First();

    /// <summary>Scores past the range of a naive exp.</summary>
    internal IEnumerable<PortCase> Large() => Config.Scale == 0 ? [] : [Case(_ => LargeQuery, LargeKey, 0)];

    /// <summary>What v is more than 1 in the question of fine values: less than half of a step of binary16 there.</summary>
    internal const double FineStep = 1.0 / 4096;

    /// <summary>Equal scores and values that 16 bits do not hold; none where the format does not hold them either.</summary>
    internal IEnumerable<PortCase> Fine() => ElementType is ElementType.F32 or ElementType.F64 && Case(_ => 0, _ => 0, 0) is var plain
        ? [plain with { Input = plain.Input with { Value = plain.Input.Value.Map(_ => 1 + FineStep) } }]
        : [];

    /// <summary>Scores so far below 0 that exp of them is 0.</summary>
    internal IEnumerable<PortCase> FarBelow() => Config.Scale == 0 ? [] : [Case(_ => -LargeQuery, source => LargeKeys + LargeKey(source), 0)];

    /// <summary>q.k of the question of large scores.</summary>
    internal double LargeProduct(int source) => LargeQuery * LargeKey(source);

    private double LargeKey(int source) => SourceAt(source).Token % LargeKeys;

    private double LargeQuery => (ElementType is ElementType.F64 ? 256 : 32) * Unit;

    /// <summary>Scores and values of which one token's key, or its value, is NaN.</summary>
    internal IEnumerable<(Operand Operand, PortCase Case)> Poisoned()
    {
        PortCase plain = Case(_ => Unit, source => Bit(KeyCode(source), 1), 0);
        yield return (Operand.Key, plain with { Input = plain.Input with { Key = Poison(plain.Input.Key) } });
        yield return (Operand.Value, plain with { Input = plain.Input with { Value = Poison(plain.Input.Value) } });

        Tensor<double> Poison(Tensor<double> tensor)
        {
            double[] elements = [.. tensor.Elements];
            return Tensor<double>.Build(tensor.Shape.AsSpan(), i => i / (Config.KvHeads * Config.HeadDim) % Config.Tokens == PoisonedToken ? double.NaN : elements[i]);
        }
    }

    /// <summary>The token that holds NaN.</summary>
    internal int PoisonedToken => Config.Tokens / 2;

    /// <summary>The backward question: small integers.</summary>
    internal PortCase Backward()
    {
        int[] query = [Config.Batch, Config.Tokens, Config.Heads, Config.HeadDim], key = [Config.Batch, Config.Tokens, Config.KvHeads, Config.HeadDim];
        return new(
            Config, ElementType,
            new(Integers(query, 1, -1, 1), Integers(key, 2, -1, 1), Integers(key, 3, -3, 3), Valid),
            [Integers(query, 4, -2, 2)])
        { Grid = Grid };

        static Tensor<double> Integers(int[] shape, uint salt, int low, int high) =>
            Tensor<double>.Build(shape, i => low + Mix((uint)i * 8 + salt) % (high - low + 1));
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        AttentionCase shown = new(Config, ElementType, TensorKind.EqualScores, PaddingPattern.None, 0);
        string text = shown.ToString();
        return (Grid is null ? "" : $"{Grid}: ") + text[..text.IndexOf(" EqualScores", StringComparison.Ordinal)] + (IsPadded ? " with padding" : "");
    }

    private PortCase Full(double value)
    {
        PortCase plain = (this with { Valid = Valid.Map(_ => true) }).EqualScores().First();
        return plain with { Input = plain.Input with { Value = plain.Input.Value.Map(_ => value) } };
    }

    private PortCase Case(Func<int, double> query, Func<int, double> key, int chunk, int element = 0)
    {
        int dim = Config.HeadDim;
        double[] q = new double[Rows * dim], k = new double[Sources * dim], v = new double[Sources * dim];
        for (int row = 0; row < Rows; row++)
            q[row * dim + element] = query(row);
        for (int source = 0; source < Sources; source++)
            k[source * dim + element] = key(source);
        for (int d = 0; d < dim && chunk * dim + d < Sources; d++)
            v[(chunk * dim + d) * dim + d] = 1;
        ReadOnlySpan<int> keys = [Config.Batch, Config.Tokens, Config.KvHeads, dim];
        return new(Config, ElementType, new(Tensor<double>.Of([Config.Batch, Config.Tokens, Config.Heads, dim], q), Tensor<double>.Of(keys, k), Tensor<double>.Of(keys, v), Valid)) { Grid = Grid };
    }

    private Place PlaceAt(int index, int heads) => new(index / heads / Config.Tokens, index / heads % Config.Tokens, index % heads);

    private static int Bit(uint code, int bit) => (int)(code >> bit) & 1;

    // Mixes as splitmix32 does, so that any two codes differ in about half of their bits.
    private static uint Mix(uint value)
    {
        value = (value ^ (value >> 16)) * 0x21f0aaad;
        value = (value ^ (value >> 15)) * 0x735a2d97;
        return BitOperations.RotateLeft(value ^ (value >> 15), 7);
    }
}
