// Where do the tensors of a plan's calls stand? Strides as given or by default, checked once.
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>The places of every tensor of a forward and a backward call.</summary>
internal sealed class Places
{
    /// <exception cref="ArgumentOutOfRangeException">A layout is undefined, strides reach too far, or rows that are written share elements.</exception>
    public Places(S2Config config, S2AttentionOptions options, int batch, int tokens)
    {
        if (!Enum.IsDefined(options.Layout))
            throw new ArgumentOutOfRangeException("options.Layout", (int)options.Layout, "must be one of " + string.Join(", ", Enum.GetNames<TensorLayout>()));
        int heads = config.Heads, kvHeads = config.KvHeads, dim = config.HeadDim;
        Query = Read("query", options.Query ?? Dense(heads), heads, dim);
        Key = Read("key", options.Key ?? Dense(kvHeads), kvHeads, dim);
        Value = Read("value", options.Value ?? Dense(kvHeads), kvHeads, dim);
        Output = Written("output", options.Output ?? Dense(heads), heads, dim);
        LogSumExp = Written("logSumExp", options.LogSumExp ?? new((long)tokens * heads, heads, 1), heads, 1);
        Valid = Read("valid", new(tokens, 1, 0), 1, 1);
        OutputGradient = Read("outputGradient", options.OutputGradient ?? Output.Strides, heads, dim);
        LogSumExpGradient = Read("logSumExpGradient", options.LogSumExpGradient ?? LogSumExp.Strides, heads, 1);
        QueryGradient = Gradient("queryGradient", options.QueryGradient, Query);
        KeyGradient = Gradient("keyGradient", options.KeyGradient, Key);
        ValueGradient = Gradient("valueGradient", options.ValueGradient, Value);
        KeySums = TensorStrides.Dense(TensorLayout.TokenMajor, tokens, kvHeads, dim);

        TensorStrides Dense(int heads) => TensorStrides.Dense(options.Layout, tokens, heads, dim);

        Place Read(string name, TensorStrides strides, int heads, int width) => Place.Of(name, OptionOf(name), strides, batch, tokens, heads, width);

        Place Written(string name, TensorStrides strides, int heads, int width)
        {
            Place place = Read(name, strides, heads, width);
            return place.SharedRows() is not { } reason ? place : throw new ArgumentOutOfRangeException(OptionOf(name), strides, reason);
        }

        Place Gradient(string name, TensorStrides? given, Place tensor) =>
            Written(name, given ?? (tensor.SharedRows() is null ? tensor.Strides : Dense(tensor.Heads)), tensor.Heads, dim);

        static string OptionOf(string name) => $"options.{char.ToUpperInvariant(name[0])}{name[1..]}";
    }

    public Place Query { get; }

    public Place Key { get; }

    public Place Value { get; }

    public Place Output { get; }

    public Place LogSumExp { get; }

    public Place Valid { get; }

    public Place OutputGradient { get; }

    public Place LogSumExpGradient { get; }

    public Place QueryGradient { get; }

    public Place KeyGradient { get; }

    public Place ValueGradient { get; }

    /// <summary>Strides of the f32 sums behind dk and dv where those are stored in fewer bits.</summary>
    public TensorStrides KeySums { get; }
}
