// Do PyTorch ports as people write them earn what they claim, and are they told why not level 6? Is a wrong one denied what its bug breaks?
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;

namespace S2Attn.Tests.Ports;

public sealed class UsualPortTests
{
    [RequiresPythonFact("torch")]
    public void A_port_that_adds_its_mask_earns_all_that_it_claims_but_isolation() =>
        Earns("added", PortLevel.Forward, PortLevel.MasksAndPadding, PortLevel.GroupedAndOddSizes, PortLevel.Gradients);

    [RequiresPythonFact("torch")]
    public void A_port_over_cu_seqlens_earns_all_that_it_claims_but_isolation() => Earns("varlen", PortLevel.Forward, PortLevel.GroupedAndOddSizes, PortLevel.Gradients);

    [RequiresPythonFact("torch")]
    public void A_port_that_chunks_and_joins_the_halves_of_its_heads_earns_all_that_it_claims_but_isolation() =>
        Earns("halves", PortLevel.Forward, PortLevel.GroupedAndOddSizes, PortLevel.Gradients);

    [RequiresPythonFact("torch")]
    public void A_port_that_floors_a_negative_shift_keeps_level_1_and_loses_odd_sizes_and_gradients()
    {
        (ReportPort port, PropertyResult[] rows) = Judge("floored");
        Assert.Equal([PortLevel.Forward], port.Earned.ToArray());
        Assert.Contains(rows, row => row is { Name: "Visibility", IsBad: true });
        Assert.All(rows.Where(row => row.IsBad), row => Assert.DoesNotContain(PortLevel.Forward, row.Denied));
    }

    private static void Earns(string name, params PortLevel[] levels)
    {
        (ReportPort port, PropertyResult[] rows) = Judge(name);
        Assert.Empty(rows.Where(row => row.IsBad).Select(row => $"{row.Name}: {row.Counterexample[0].Case}: {row.Counterexample[0].Reason}"));
        Assert.Equal(levels, port.Earned.ToArray());
        Assert.Equal(levels, port.Claimed.ToArray());
        Assert.Contains("wherever a mask is added", port.Levels[^1].Reason, StringComparison.Ordinal);
        Assert.Contains(rows, row => row is { Name: "NoLeakage.Poison", Outcome: Outcome.Lacks });
    }

    private static (ReportPort Port, PropertyResult[] Rows) Judge(string name)
    {
        string script = Path.Combine(Repository.Root, "Conformance", "Tests", "Ports", "usual_ports.py");
        using ProcessPort port = ProcessPort.Start(PortTool.TorchPort($"'{script}' '{SamplePortTests.Sample("pytorch", "pytorch_port.py")}' {name}"), new());
        PropertyResult[] rows = [.. SuiteRunner.Results(new() { Seed = 1, Cases = 16, MaxBorder = 48, ShrinkLimit = TimeSpan.FromSeconds(0.2) }, PropertyCatalogue.All, name, port)];
        return (ReportPort.Of(name, port.Description, rows, whole: true), rows);
    }
}
