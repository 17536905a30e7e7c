// Where do the tensors of a plan's calls stand? Strides as given or by default, checked once.
using S2Attn.Spec;

namespace S2Attn.Optimized.Kernels;

/// <summary>The places of every tensor of a forward and a backward call.</summary>
internal sealed class Places
{
    /// <exception cref="ArgumentOutOfRangeException">A layout is undefined, strides reach too far, or rows that are written share elements.</exception>
    public Places(S2Config config, S2AttentionOptions options, int batch, TokenRange<int> queries, TokenRange<int> keys, GridWindows? windows)
    {
        if (!Enum.IsDefined(options.Layout))
            throw new ArgumentOutOfRangeException("options.Layout", (int)options.Layout, "must be one of " + string.Join(", ", Enum.GetNames<TensorLayout>()));
        int heads = config.Heads, kvHeads = config.KvHeads, dim = config.HeadDim;
        int queryCount = queries.End - queries.Start, keyCount = keys.End - keys.Start;
        Query = Read("query", options.Query ?? Dense(queryCount, heads), queries, heads, dim);
        Key = Read("key", options.Key ?? Dense(keyCount, kvHeads), keys, kvHeads, dim);
        Value = Read("value", options.Value ?? Dense(keyCount, kvHeads), keys, kvHeads, dim);
        Output = Written("output", options.Output ?? Dense(queryCount, heads), queries, heads, dim);
        LogSumExp = Written("logSumExp", options.LogSumExp ?? new((long)queryCount * heads, heads, 1), queries, heads, 1);
        Valid = Place.Of("valid", "valid", new(keyCount, 1, 0), batch, keys, 1, 1);
        OrderedValid = windows is null ? Valid : Place.Of("valid", "valid", new(windows.Count, 1, 0), batch, new(0, windows.Count), 1, 1);
        OutputGradient = Read("outputGradient", options.OutputGradient ?? Output.Strides, queries, heads, dim);
        LogSumExpGradient = Read("logSumExpGradient", options.LogSumExpGradient ?? LogSumExp.Strides, queries, heads, 1);
        QueryGradient = Gradient("queryGradient", options.QueryGradient, Query, queries);
        KeyGradient = Gradient("keyGradient", options.KeyGradient, Key, keys);
        ValueGradient = Gradient("valueGradient", options.ValueGradient, Value, keys);
        KeySums = Read("keySums", TensorStrides.Dense(TensorLayout.TokenMajor, keyCount, kvHeads, dim), keys, kvHeads, dim);

        TensorStrides Dense(int tokens, int heads) => TensorStrides.Dense(options.Layout, tokens, heads, dim);

        Place Read(string name, TensorStrides strides, TokenRange<int> tokens, int heads, int width) => Place.Of(name, OptionOf(name), strides, batch, tokens, heads, width, windows);

        Place Written(string name, TensorStrides strides, TokenRange<int> tokens, int heads, int width)
        {
            Place place = Read(name, strides, tokens, heads, width);
            return place.SharedRows() is not { } reason ? place : throw new ArgumentOutOfRangeException(OptionOf(name), strides, reason);
        }

        Place Gradient(string name, TensorStrides? given, Place tensor, TokenRange<int> tokens) =>
            Written(name, given ?? (tensor.SharedRows() is null ? tensor.Strides : Dense(tensor.Tokens, tensor.Heads)), tokens, tensor.Heads, dim);

        static string OptionOf(string name) => $"options.{char.ToUpperInvariant(name[0])}{name[1..]}";
    }

    public Place Query { get; }

    public Place Key { get; }

    public Place Value { get; }

    public Place Output { get; }

    public Place LogSumExp { get; }

    public Place Valid { get; }

    /// <summary>valid in the order by which kernels count the tokens: they read it many keys at a time.</summary>
    public Place OrderedValid { get; }

    public Place OutputGradient { get; }

    public Place LogSumExpGradient { get; }

    public Place QueryGradient { get; }

    public Place KeyGradient { get; }

    public Place ValueGradient { get; }

    /// <summary>The f32 sums behind dk, and behind dv, where those are stored in fewer bits.</summary>
    public Place KeySums { get; }
}
