// Do reports of failures say what failed, whatever a port answered?
using System.Collections.Immutable;
using System.Text.Json;
using System.Xml.Linq;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Running;

namespace S2Attn.Tests.Properties;

public sealed class ReportTests
{
    private static Report Of(IAttentionPort port, SuiteOptions options, CancellationToken cancellation = default)
    {
        ImmutableArray<PropertyResult> results = [.. SuiteRunner.Results(options, PropertyCatalogue.All, port.Description.Name, port, cancellation)];
        bool complete = !cancellation.IsCancellationRequested;
        return new("test", options.Seed, options.Cases, "", complete, TimeSpan.Zero, results, [ReportPort.Of(port.Description.Name, port.Description, results, whole: complete)], []);
    }

    [Fact]
    public void A_level_is_denied_by_the_cases_that_need_it_alone()
    {
        using IAttentionPort port = Defects.Named("dk-doubled");
        Report report = Of(port, new() { Seed = 3, Cases = 30 });
        Assert.False(report.Conforms);
        Assert.DoesNotContain(PortLevel.Gradients, report.Ports[0].Earned);
        Assert.Contains(PortLevel.Forward, report.Ports[0].Earned);
        Assert.Contains(PortLevel.Gradients, report.Ports[0].Claimed);
    }

    [Fact]
    public void A_port_whose_plain_cases_fail_earns_no_level()
    {
        using IAttentionPort port = Defects.Named("unnormalised");
        Assert.Empty(Of(port, new() { Seed = 3, Cases = 30 }).Ports[0].Earned);
    }

    [Fact]
    public void A_message_that_XML_cannot_hold_is_cleaned_and_a_port_that_fails_is_an_error()
    {
        using ReferencePort right = new();
        using MutantPort port = new("broken\u0001", _ => new PortAnswer.Failed(PortFailureKind.Crash, "ended with \u0000 and \u001b[31m")) { Description = right.Description with { Name = "broken\u0001" } };
        Report report = Of(port, new() { Seed = 3, Cases = 5 });
        Assert.All(report.Results, result => Assert.Equal(Outcome.PortFailed, result.Outcome));
        XElement suite = XDocument.Parse(JUnitReport.Write(report)).Root!.Elements("testsuite").Single();
        Assert.Equal(report.Results.Length.ToString(System.Globalization.CultureInfo.InvariantCulture), suite.Attribute("errors")!.Value);
        using JsonDocument json = JsonDocument.Parse(JsonReport.Write(report));
        Assert.All(json.RootElement.GetProperty("results").EnumerateArray(), row => Assert.Equal("portFailed", row.GetProperty("outcome").GetString()));
    }

    [Fact]
    public void A_stopped_run_reports_the_row_under_way_and_begins_no_other()
    {
        using CancellationTokenSource cancel = new();
        int asked = 0;
        using ReferencePort right = new();
        using MutantPort port = new("stopped", item =>
        {
            if (++asked == 7)
                cancel.Cancel();
            return right.Run(item);
        });
        Report report = Of(port, new() { Seed = 3, Cases = 20 }, cancel.Token);
        // The stop breaks off the case that is under way: the six before it count.
        Assert.Equal((Outcome.Interrupted, 6), (Assert.Single(report.Results).Outcome, report.Results[0].Cases));
        Assert.False(report.Conforms);
        Assert.Empty(report.Ports[0].Earned);
    }

    [Fact]
    public void Ports_of_one_name_are_told_apart() =>
        Assert.Equal("a, a #2, Spec #2, a #3, golden #2, golden #3", string.Join(", ", CheckRun.Subjects(["a", "a", "Spec", "a", "golden", "golden"])));
}
