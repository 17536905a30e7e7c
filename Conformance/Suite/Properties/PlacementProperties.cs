// Do values come back at their own place: token, batch entry, head?
using System.Collections.Immutable;
using System.Numerics;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>Values that encode their own index, and scores that make every query attend to itself alone.</summary>
public static class PlacementProperties
{
    private const int Dim = 8;

    /// <summary>The properties of this file.</summary>
    public static ImmutableArray<Property> All { get; } =
    [
        new(
            "Shift.Inverts", "where every query attends to itself alone, o[b,t,h] is v[b,t,h / (H/K)]: what the shift moves, the un-shift moves back", "no padding, scale > 0, D >= 3 + log2 N", ["Invertible"],
            item => item with
            {
                Padding = PaddingPattern.None,
                Config = item.Config.With(request => request with { HeadDim = Dim + 2, Scale = item.Config.Scale > 0 ? request.Scale : null }),
            },
            item => !item.IsPadded && item.Config.Scale > 0 && item.Config.Tokens <= 1 << Math.Min(item.Config.HeadDim, Dim) && item.Config.HeadDim >= 3,
            [PortOperation.Forward], Inverts) { IsEvidence = true },
        new(
            "KvHead.Mapping", "query head h reads kv head h / (H/K): the same as with every kv head repeated for its query heads", "K < H", [],
            Grouped, item => item.Config.KvHeads < item.Config.Heads, [PortOperation.Forward], Mapping),
        new(
            "KvHead.Gradients", "dk, dv of a kv head are the sums over the query heads that share it", "K < H, ports with a backward pass", [],
            Grouped, item => item.Config.KvHeads < item.Config.Heads, [PortOperation.Backward], SharedGradients),
    ];

    private static AttentionCase Grouped(AttentionCase item) => item.Config.KvHeads < item.Config.Heads ? item : item with
    {
        Config = item.Config.With(request => item.Config.Heads == 1
            ? request with { Heads = 2, KvHeads = 1 }
            : request with { KvHeads = item.Config.Heads % 2 == 0 && item.Seed % 2 == 0 ? item.Config.Heads / 2 : 1 }),
    };

    private static IEnumerable<string> Inverts(Probe probe)
    {
        S2Config config = probe.Config;

        // Keys are the bits of their token as +-1. A token differs from every other in a bit, so that its score is at least 2 x scale x strength higher.
        const double Gap = 60;
        double strength = Math.ScaleB(1, Math.Max(0, Math.ILogB(Gap / config.Scale)));
        Tensor<double> key = Rows.Change(probe.Input.Key, (_, t, _, d, _) => d < BitOperations.Log2((uint)Math.Max(1, config.Tokens - 1)) + 1 ? Bit(t, d) : 0);
        Tensor<double> query = Rows.Change(probe.Input.Query, (_, t, _, d, _) => d < BitOperations.Log2((uint)Math.Max(1, config.Tokens - 1)) + 1 ? strength * Bit(t, d) : 0);
        Tensor<double> value = Rows.Change(probe.Input.Value, (b, t, kvHead, d, _) => d switch { 0 => t, 1 => kvHead, 2 => b, _ => 0 });
        Tensor<double> o = probe.Forward(config, new(query, key, value)).Output;
        foreach (Row row in Rows.Of(config))
        {
            (double token, double kvHead, double batch) = (o[row.B, row.T, row.H, 0], o[row.B, row.T, row.H, 1], o[row.B, row.T, row.H, 2]);
            if (!Near(token, row.T) || !Near(kvHead, config.KvHeadOf(row.H)) || !Near(batch, row.B))
                yield return FormattableString.Invariant(
                    $"o{row} of a head with shift {config.ShiftOf(row.H)} holds the value of token {token:0.##}, kv head {kvHead:0.##}, batch entry {batch:0.##}; its own is token {row.T}, kv head {config.KvHeadOf(row.H)}, batch entry {row.B}");
        }

        static double Bit(int t, int d) => ((t >> d) & 1) == 1 ? 1 : -1;
        static bool Near(double found, int place) => Math.Abs(found - place) < 0.25;
    }

    private static S2Config Repeated(S2Config config) => config.With(request => request with { KvHeads = config.Heads });

    private static AttentionInput<double> Repeated(Probe probe) => probe.Input with
    {
        Key = Repeat(probe.Config, probe.Input.Key),
        Value = Repeat(probe.Config, probe.Input.Value),
    };

    private static Tensor<double> Repeat(S2Config config, Tensor<double> tensor)
    {
        Tensor<double> shape = Tensor<double>.Build([config.Batch, config.Tokens, config.Heads, config.HeadDim], _ => 0);
        return Rows.Change(shape, (b, t, h, d, _) => tensor[b, t, config.KvHeadOf(h), d]);
    }

    private static IEnumerable<string> Mapping(Probe probe)
    {
        PortAnswer.Forward repeated = probe.Forward(Repeated(probe.Config), Repeated(probe));
        Tensor<double> bound = UnknownRowBound.Tensors(probe, probe.Config, probe.Input).Output;
        return Rows.Apart("o", probe.Answer.Output, repeated.Output, bound, bound, "with the kv heads repeated");
    }

    private static IEnumerable<string> SharedGradients(Probe probe)
    {
        UnknownGradientBound bound = probe.InTime(() => UnknownGradientBound.Of(probe.Config, probe.Input, probe.OutputGradient, probe.Model));
        return GradientsOfSharedHeads(probe).SelectMany(pair => Apart(pair.Name, pair.Shared, pair.Repeated, pair.Name == "dk" ? bound.Key : bound.Value));

        IEnumerable<string> Apart(string name, Tensor<double> shared, Tensor<double> repeated, double before) => Rows.Apart(
            name, shared, OverSharingHeads(probe.Config, repeated), UnknownGradientBound.OfStored(shared, before, probe.Model),
            OverSharingHeads(probe.Config, UnknownGradientBound.OfStored(repeated, before, probe.Model)), "as the sum over repeated kv heads");
    }

    /// <summary>dk and dv as a port gives them, and with a kv head [B,N,H,D] for every query head.</summary>
    internal static IEnumerable<(string Name, Tensor<double> Shared, Tensor<double> Repeated)> GradientsOfSharedHeads(Probe probe)
    {
        Gradients<double> shared = probe.Backward(probe.Config, probe.Input, probe.OutputGradient);
        Gradients<double> repeated = probe.Backward(Repeated(probe.Config), Repeated(probe), probe.OutputGradient);
        return [("dk", shared.Key, repeated.Key), ("dv", shared.Value, repeated.Value)];
    }

    /// <summary>[B,N,K,D] from [B,N,H,D]: the sum over the query heads that share a kv head.</summary>
    internal static Tensor<double> OverSharingHeads(S2Config config, Tensor<double> perQueryHead) =>
        Rows.Change(Tensor<double>.Build([config.Batch, config.Tokens, config.KvHeads, config.HeadDim], _ => 0), (b, t, kvHead, d, _) =>
            Enumerable.Range(0, config.Heads).Where(h => config.KvHeadOf(h) == kvHead).Sum(h => perQueryHead[b, t, h, d]));
}
