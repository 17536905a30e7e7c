// Which known thing does a port compute?
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Reference.Upstream;

namespace S2Attn.Conformance.Xray;

/// <summary>What a port was found to be.</summary>
public abstract record Identification
{
    private Identification() { }

    /// <summary>At all probed sizes it answers as the definition that was asked for.</summary>
    public sealed record Definition : Identification;

    /// <summary>At all probed sizes it answers as these, the plainest first. Several are one and the same there.</summary>
    public sealed record Known(ImmutableArray<Suspect> Suspects) : Identification;

    /// <summary>It answers as nothing that is known.</summary>
    /// <param name="Nearest">What sees most nearly the same keys; none where nothing could be compared.</param>
    /// <param name="Cells">How many pairs of a query and a key differ over all probed sizes.</param>
    /// <param name="First">The first pair that differs, in words; empty where the same keys are seen.</param>
    public sealed record Unknown(ImmutableArray<Suspect> Nearest, int Cells, string First) : Identification;

    internal static Identification Of(IReadOnlyList<XrayFilm> films, IReadOnlyList<VisibilityMap> maps, IEnumerable<Suspect> suspects, CancellationToken cancellation)
    {
        using ReferencePort reference = new();
        if (films.All(film => film.IsSameAs(new(film.Probe, reference))))
            return new Definition();
        List<Suspect> same = [];
        (int Cells, string First, Suspect Suspect)? nearest = null;
        foreach (Suspect suspect in suspects)
        {
            cancellation.ThrowIfCancellationRequested();
            using IAttentionPort port = suspect.Open();
            try
            {
                XrayFilm[] own = [.. films.Select(film => new XrayFilm(film.Probe, port))];
                if (films.Zip(own).All(pair => pair.First.IsSameAs(pair.Second)))
                    same.Add(suspect);
                else if (same.Count == 0)
                {
                    (int cells, string first) = Compare(maps, [.. own.Select(VisibilityMap.Develop)]);
                    if (nearest is null || cells < nearest.Value.Cells)
                        nearest = (cells, first, suspect);
                }
            }
            catch (XrayFailedException)
            {
                // Not defined for these sizes, so not what the port computes.
            }
        }

        return same.Count > 0 ? new Known([.. same])
            : nearest is { } found ? new Unknown([found.Suspect], found.Cells, found.First)
            : new Unknown([], 0, "");
    }

    private static (int Cells, string First) Compare(IReadOnlyList<VisibilityMap> maps, ImmutableArray<VisibilityMap> others)
    {
        int cells = 0;
        string first = "";
        for (int i = 0; i < maps.Count; i++)
        {
            XrayProbe probe = maps[i].Probe;
            for (int row = 0; row < probe.Rows; row++)
                for (int source = 0; source < probe.Sources; source++)
                {
                    Place at = probe.RowAt(row), key = probe.SourceAt(source);
                    if (maps[i].Sees(at, key) == others[i].Sees(at, key))
                        continue;
                    cells++;
                    if (first.Length == 0)
                        first = $"at {probe}, row {at.Token} of head {at.Head}{(probe.Config.Batch > 1 ? $" of batch entry {at.Batch}" : "")} {(maps[i].Sees(at, key) ? "sees" : "does not see")} key {key.Token}{(probe.Config.KvHeads > 1 ? $" of kv head {key.Head}" : "")}{(key.Batch != at.Batch ? $" of batch entry {key.Batch}" : "")}";
                }
        }

        return (cells, first);
    }
}
