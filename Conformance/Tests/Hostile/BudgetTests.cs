// Is the suite's own work bounded, whatever a port declares?
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;

namespace S2Attn.Tests.Hostile;

public sealed class BudgetTests
{
    [Fact]
    public void A_case_that_the_suite_cannot_compute_is_left_out_and_counted()
    {
        // What a port of another process may declare; one of this process may declare anything.
        PropertyResult row = Row(new() { Heads = 512, HeadDim = 256, Tokens = 1 << 14, GroupSize = 1 << 14 }, new SuiteOptions { Cases = 5 });
        Assert.Equal((Outcome.Unsupported, 0), (row.Outcome, row.Cases));
        Assert.Contains("suite:case too large", row.Unsupported.Keys);
    }

    [Fact]
    public void A_row_ends_when_the_suites_own_work_has_taken_its_time()
    {
        PropertyResult row = Row(FixedConfig.None, new SuiteOptions { Cases = 50, RowLimit = TimeSpan.Zero });
        Assert.Equal((Outcome.Unsupported, 0), (row.Outcome, row.Cases));
        Assert.Equal(50, row.Unsupported["suite:row limit"]);
    }

    /// <summary>Was under the budget with 2^27 products, and would have taken Reference hours: it asks of every pair whether it is visible.</summary>
    [Fact]
    public void Pairs_count_besides_products()
    {
        Assert.False(CaseBudget.Holds(1, 1 << 20, 16, 1, 4));
        PropertyResult row = Row(new() { Heads = 16, HeadDim = 1, Tokens = 1 << 20, GroupSize = 4 }, new SuiteOptions { Cases = 2 });
        Assert.Equal((Outcome.Unsupported, 2), (row.Outcome, row.Unsupported["suite:case too large"]));
    }

    /// <summary>A case may ask for many evaluations; the limit was looked at between cases alone.</summary>
    [Fact]
    public void A_row_ends_between_two_evaluations_of_one_case()
    {
        int evaluations = 0;
        Property endless = Named("Determinism") with { Check = probe => Enumerable.Range(0, 1000).SelectMany(_ => Evaluated(probe)) };
        using ReferencePort port = new();
        PropertyResult row = SuiteRunner.Results(new SuiteOptions { Cases = 3, RowLimit = TimeSpan.FromSeconds(2) }, [endless], "port", port).Single();
        Assert.InRange(evaluations, 1, 500);
        Assert.Equal(3, row.Unsupported["suite:row limit"]);

        IEnumerable<string> Evaluated(Probe probe)
        {
            evaluations++;
            Thread.Sleep(20);
            _ = probe.Bounds(probe.Config, probe.Input);
            return [];
        }
    }

    [Fact]
    public void Time_in_the_port_is_not_the_suites()
    {
        using SlowPort port = new(TimeSpan.FromSeconds(1));
        PropertyResult row = SuiteRunner.Results(new SuiteOptions { Cases = 4, RowLimit = TimeSpan.FromSeconds(3) }, [Named("Determinism")], "slow", port).Single();
        Assert.Equal((Outcome.Holds, 4), (row.Outcome, row.Cases));
    }

    [Theory]
    [InlineData(1, 48, 8, 64, 48, true)]
    [InlineData(1, 2048, 8, 128, 512, true)]
    [InlineData(1, 1 << 20, 32, 128, 1 << 18, false)]
    [InlineData(1024, 1 << 20, 1024, 4096, 1 << 20, false)]
    public void The_budget_takes_what_seconds_compute(int batch, int tokens, int heads, int dim, int group, bool holds) =>
        Assert.Equal(holds, CaseBudget.Holds(batch, tokens, heads, dim, group));

    private static Property Named(string name) => PropertyCatalogue.All.First(property => property.Name.StartsWith(name, StringComparison.Ordinal));

    private static PropertyResult Row(FixedConfig values, SuiteOptions options)
    {
        using SlowPort port = new(TimeSpan.Zero, values);
        return SuiteRunner.Results(options, [Named("Determinism")], "port", port).Single();
    }

    private sealed class SlowPort(TimeSpan time, FixedConfig values) : IAttentionPort
    {
        private readonly ReferencePort reference = new();

        public SlowPort(TimeSpan time)
            : this(time, FixedConfig.None)
        {
        }

        public PortDescription Description => reference.Description with { Capabilities = reference.Description.Capabilities with { Fixed = values } };

        public PortAnswer Run(PortCase portCase)
        {
            Thread.Sleep(time);
            return reference.Run(portCase);
        }

        public void Dispose() => reference.Dispose();
    }
}
