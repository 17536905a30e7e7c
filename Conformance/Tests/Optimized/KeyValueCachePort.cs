// Does the cache of keys and values pass the suite, as any port that declares slice?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Protocol;
using S2Attn.Conformance.Running;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

/// <summary>
/// KeyValueCache behind the interface of a port. The keys that a slice does not have are NaN in the cache, so that one that is read is seen; the same cache serves one question after
/// another, so that a row that it kept from the one before is seen too.
/// </summary>
public sealed class KeyValueCachePort : IAttentionPort
{
    private readonly Dictionary<string, IDisposable> caches = [];

    public PortDescription Description { get; } = new(
        "cache", "0", "C#", new PortCapabilities(
            [PortOperation.Forward], [ElementType.F32, ElementType.F16, ElementType.BF16], [MaskPolicy.Split], GroupedQuery: true, Padding: false, OddGroup: true, Ragged: true, MaxTokens: int.MaxValue)
        {
            Slices = true,
        });

    public PortAnswer Run(PortCase portCase) => portCase.ElementType switch
    {
        ElementType.F32 => Run(portCase, value => (float)value, value => value),
        ElementType.F16 => Run(portCase, value => (Half)value, value => (double)value),
        ElementType.BF16 => Run(portCase, value => (BFloat16)(float)value, value => (float)value),
        _ => new PortAnswer.Unsupported($"dtypes:{portCase.ElementType}"),
    };

    public void Dispose()
    {
        foreach (IDisposable cache in caches.Values)
            cache.Dispose();
    }

    private PortAnswer.Forward Run<T>(PortCase portCase, Func<double, T> narrow, Func<T, double> widen)
        where T : unmanaged
    {
        S2Config config = portCase.Config;
        S2Slice part = portCase.Part;
        const int Chunk = 64;
        string name = $"{config} {typeof(T)}";
        if (!caches.TryGetValue(name, out IDisposable? known))
            caches[name] = known = new KeyValueCache<T>(config, new() { Sequences = config.Batch, MaxChunk = Chunk, Threads = 1 });
        KeyValueCache<T> cache = (KeyValueCache<T>)known;
        T[] o = new T[portCase.Input.Query.Elements.Length];
        float[] lse = new float[o.Length / config.HeadDim];
        for (int b = 0; b < config.Batch; b++)
        {
            cache.Reset(b);
            Append(b, Enumerable.Repeat(narrow(double.NaN), part.Keys.Start * config.KvHeads * config.HeadDim).ToArray(), null);

            // A cache attends the newest tokens: keys behind a query are appended afterwards.
            int at = part.Keys.Start;
            for (int t = part.Queries.Start, count; t < part.Queries.End; t += count)
            {
                count = Math.Min(Chunk, part.Queries.End - t);
                Append(b, Rows(portCase.Input.Key, b, at - part.Keys.Start, t + count - at), Rows(portCase.Input.Value, b, at - part.Keys.Start, t + count - at));
                at = t + count;
                int row = (b * part.QueryCount + t - part.Queries.Start) * config.Heads, rows = count * config.Heads;
                cache.Attend(Rows(portCase.Input.Query, b, t - part.Queries.Start, count), o.AsSpan(row * config.HeadDim, rows * config.HeadDim), lse.AsSpan(row, rows), b);
            }
        }

        return new PortAnswer.Forward(
            Tensor<double>.Build(portCase.Input.Query.Shape.AsSpan(), i => widen(o[i])), [Tensor<double>.Build(portCase.Input.Query.Shape.AsSpan()[..3], i => lse[i])]);

        void Append(int b, T[] keys, T[]? values) => cache.Append(keys, values ?? keys, b);

        T[] Rows(Tensor<double> tensor, int b, int first, int count)
        {
            int row = tensor.Shape[2] * tensor.Shape[3];
            return [.. tensor.Elements.Slice((b * tensor.Shape[1] + first) * row, count * row).ToArray().Select(narrow)];
        }
    }
}

public sealed class KeyValueCacheConformanceTests
{
    [Fact]
    public void A_cache_passes_the_suite_as_a_port_that_declares_slice()
    {
        using KeyValueCachePort port = new();
        ImmutableArray<Property> asked = [.. SliceProperties.All.Where(property => property.Name is not ("Slice.SharesAddUp" or "LogSumExp.Gradient")), .. PropertyCatalogue.All.Where(property => property.Name is "Agreement.Output" or "NoLeakage.Future")];
        PropertyResult[] rows = [.. SuiteRunner.Results(new() { Seed = 9, Cases = 25 }, asked, "cache", port)];
        Assert.All(rows, row => Assert.True(row.Outcome is Outcome.Holds && row.Cases > 8, $"{row.Name}: {row.Outcome} of {row.Cases} cases {row.Counterexample.FirstOrDefault()}"));
    }
}
