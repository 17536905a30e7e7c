// Which keys does a port's query really see? Read off its outputs.
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Conformance.Properties;

/// <summary>
/// With q = 0 every visible key has the same weight, so that with v[u] one-hot o[t] holds 1 / count exactly at the keys that t sees. D keys are observed by
/// one forward pass.
/// </summary>
internal sealed class ObservedVisibility
{
    private readonly bool[,,,] seen;

    private ObservedVisibility(bool[,,,] seen) => this.seen = seen;

    public bool this[int b, int h, int t, int u] => seen[b, h, t, u];

    public static ObservedVisibility Of(Probe probe) => Of(probe.Config, probe.Input, input => probe.Forward(probe.Config, input));

    /// <summary>What is seen in the answers to some input, but for its q and v.</summary>
    public static ObservedVisibility Of(S2Config config, AttentionInput<double> given, Func<AttentionInput<double>, PortAnswer.Forward> ask)
    {
        bool[,,,] seen = new bool[config.Batch, config.Heads, config.Tokens, config.Tokens];
        Tensor<double> query = given.Query.Map(_ => 0.0);
        for (int first = 0; first < config.Tokens; first += config.HeadDim)
        {
            int chunk = first;
            Tensor<double> oneHot = Rows.Change(given.Value, (_, u, _, d, _) => u == chunk + d ? 1 : 0);
            PortAnswer.Forward answer = ask(new(query, given.Key, oneHot, given.Valid));
            foreach (Row row in Rows.Of(config))
            {
                ReadOnlySpan<double> o = answer.Output.Row(row.B, row.T, row.H);
                for (int d = 0; d < o.Length && chunk + d < config.Tokens; d++)
                    seen[row.B, row.H, row.T, chunk + d] = o[d] > 0.5 / config.Tokens;
            }
        }

        return new(seen);
    }

    /// <summary>The pairs at which the observation is not what is expected, as sentences.</summary>
    public IEnumerable<string> Differences(S2Config config, Func<int, int, int, int, bool> expected) => Differences(config, expected, head => $"shift {config.ShiftOf(head)}");

    /// <summary>The same where a head is described otherwise than by its shift.</summary>
    public IEnumerable<string> Differences(S2Config config, Func<int, int, int, int, bool> expected, Func<int, string> ofHead) =>
        from row in Rows.Of(config)
        from u in Enumerable.Range(0, config.Tokens)
        let sees = this[row.B, row.H, row.T, u]
        where sees != expected(row.B, row.H, row.T, u)
        select $"batch {row.B}, head {row.H} ({ofHead(row.H)}): query {row.T} {(sees ? "sees" : "does not see")} key {u}, and should{(sees ? " not" : "")}";
}
