// Does a whole run of s2attn check say what is wrong, in its exit code and in every file that it leaves behind?
using System.Collections.Immutable;
using System.Diagnostics;
using System.Text.Json;
using System.Xml.Linq;
using S2Attn.Cli;
using S2Attn.Conformance.Ports;
using S2Attn.Reference;
using S2Attn.Spec;
using S2Attn.Tests.Golden;
using S2Attn.Tests.Properties;
using S2Attn.Tests.Spec;

namespace S2Attn.Tests.Cli;

public sealed class BrokenInputTests : IDisposable
{
    private static readonly ReferencePort Right = new();

    private readonly string folder = Directory.CreateTempSubdirectory("s2attn-broken-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    /// <summary>The process, in a folder whose golden tensors hold one wrong number behind a right hash.</summary>
    [Theory]
    [MemberData(nameof(BrokenGolden.Tensors), MemberType = typeof(BrokenGolden))]
    public void A_wrong_golden_number_ends_the_process_with_1_and_stands_in_every_report(string name, string tensor)
    {
        Assert.Equal(0, InFolder("", name));
        Expect("golden 1 0 0 0", conforms: true);
        Assert.Equal(1, InFolder(tensor, name));
        Expect("golden 1 1 0 0", conforms: false);
        Assert.StartsWith(tensor + "[", Json().GetProperty("results")[0].GetProperty("counterexample").GetProperty("reason").GetString(), StringComparison.Ordinal);
        Assert.Contains(tensor + "[", JUnit().Descendants("failure").Single().Attribute("message")!.Value, StringComparison.Ordinal);

        int InFolder(string broken, string filter)
        {
            string golden = Path.Combine(folder, "golden");
            if (Directory.Exists(golden))
                Directory.Delete(golden, recursive: true);
            BrokenGolden.WriteFolder(Directory.CreateDirectory(golden).FullName, name, broken);
            return Process("check", "--filter", filter);
        }
    }

    [Fact]
    public void A_false_theorem_speaks_against_the_project()
    {
        Theorem holds = RefutationTests.Of(new RefutationTests.Everywhere(true)) with { Name = "Agreement.True" }, fails = RefutationTests.FalseAt(new(5, 2, 1, 4, 3)) with { Name = "Agreement.Planted" };
        Assert.Equal(0, Within("Agreement.", [holds], Right));
        Expect("Spec 1 0 0 0|reference 5 0 0 0", conforms: true);
        Assert.Equal(1, Within("Agreement.", [holds, fails], Right));
        Expect("Spec 2 1 0 0|reference 5 0 0 0", conforms: false);
        Assert.Equal("N=5 G=2 S=1 x=4 y=3", Json().GetProperty("results")[1].GetProperty("counterexample").GetProperty("case").GetString());
    }

    /// <summary>A claim that the catalogue calls false, and that holds, is as wrong.</summary>
    [Fact]
    public void A_true_theorem_that_is_called_false_speaks_against_the_project()
    {
        Assert.Equal(1, Within("Agreement.", [RefutationTests.Of(new RefutationTests.Everywhere(true)) with { Name = "Agreement.Wrongly", IsTrue = false }], Right));
        Expect("Spec 1 1 0 0|reference 5 0 0 0", conforms: false);
    }

    [Fact]
    public void A_port_that_is_wrong_backwards_only_fails_its_row_of_gradients_alone()
    {
        // A mistake that has a name: to search for one that has none takes most of a minute.
        using IAttentionPort wrong = PortFactory.Create(new(), "mutant:dq-without-scale");
        using MutantPort port = new("backwards", wrong.Run);
        Assert.Equal(1, Within("Agreement.", [], Right, port));
        Expect("reference 5 0 0 0|backwards 5 1 0 0", conforms: false);
        Assert.Equal(["Agreement.Gradients"], Json().GetProperty("results").EnumerateArray().Where(row => row.GetProperty("outcome").GetString() == "fails").Select(row => row.GetProperty("name").GetString()));
    }

    [Fact]
    public void A_port_that_throws_is_an_error_in_every_row_and_one_that_throws_backwards_in_one()
    {
        using MutantPort all = new("throws", _ => throw new InvalidOperationException("no answer")), one = new("throws-backwards", item => item.Operation is PortOperation.Backward ? throw new InvalidOperationException("no answer") : Right.Run(item));
        Assert.Equal(1, Within("Agreement.", [], all, one));
        Expect("throws 5 0 5 0|throws-backwards 5 0 1 0", conforms: false);
        Assert.All(JUnit().Descendants("error"), error => Assert.Contains("no answer", error.Attribute("message")!.Value, StringComparison.Ordinal));
    }

    /// <summary>A run that lost a report on its way has not said all, whatever it found: 2 comes before 1. The port puts a folder where the report belongs.</summary>
    [Theory]
    [InlineData(false, false, 0)]
    [InlineData(true, false, 1)]
    [InlineData(false, true, 2)]
    [InlineData(true, true, 2)]
    public void Trouble_is_told_before_what_a_port_does(bool isWrong, bool isTrouble, int code)
    {
        string report = Path.Combine(folder, "taken.xml");
        using MutantPort port = new("port", item =>
        {
            if (isTrouble)
                Directory.CreateDirectory(report);
            return isWrong ? throw new InvalidOperationException("no answer") : Right.Run(item);
        });
        CheckSources sources = new([], () => [], new Dictionary<string, Func<IAttentionPort>> { ["port"] = () => port });
        Assert.Equal(code, CheckCommand.Create(sources).Parse(["--filter", "Agreement.Output", "--junit", report, .. Files.Except(["--junit", Path.Combine(folder, "report.xml")])]).Invoke());
        Assert.Equal(!isWrong, Json().GetProperty("conforms").GetBoolean());
    }

    /// <summary>The process and its badge: a right port, one that is wrong, and one that is wrong backwards only.</summary>
    [Theory]
    [InlineData("reference", 0, "checked in part")]
    [InlineData("mutant:no-mask", 1, "does not conform")]
    [InlineData("mutant:dq-without-scale", 1, "does not conform")]
    public void A_badge_says_what_the_run_says(string port, int code, string verdict)
    {
        string badge = Path.Combine(folder, "badge.svg");
        Assert.Equal(code, Process("check", "--port", port, "--filter", "Agreement.", "--badge", badge));
        Assert.Contains($": {verdict} | ", XDocument.Load(badge).Descendants().Single(element => element.Name.LocalName == "title").Value, StringComparison.Ordinal);
        Assert.Equal(code == 0, Json().GetProperty("conforms").GetBoolean());
    }

    private string[] Files => ["--json", Path.Combine(folder, "report.json"), "--junit", Path.Combine(folder, "report.xml"), "--html", Path.Combine(folder, "report.html"), "--cases", "6", "--seed", "11"];

    private JsonElement Json() => JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "report.json"))).RootElement;

    private XElement JUnit() => XDocument.Load(Path.Combine(folder, "report.xml")).Root!;

    // The command as Program runs it, with other things to look at.
    private int Within(string filter, ImmutableArray<Theorem> theorems, params ImmutableArray<IAttentionPort> ports)
    {
        CheckSources sources = new(theorems, () => [], ports.ToDictionary(port => port.Description.Name, port => (Func<IAttentionPort>)(() => port)));
        return CheckCommand.Create(sources).Parse(["--filter", filter, .. Files]).Invoke();
    }

    private int Process(params string[] args)
    {
        using Process process = System.Diagnostics.Process.Start(new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "s2attn.dll"), .. args, .. Files])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder,
        })!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.Equal("", error.Result);
        return process.ExitCode;
    }

    /// <summary>Subject, tests, failures, errors and skipped of each suite, in JUnit's attributes and elements, in JSON and in HTML alike.</summary>
    private void Expect(string suites, bool conforms)
    {
        XElement junit = JUnit();
        string[] kinds = ["testcase", "failure", "error", "skipped"], names = ["tests", "failures", "errors", "skipped"];
        Assert.Equal(suites, string.Join('|', junit.Elements("testsuite").Select(suite => $"{suite.Attribute("name")!.Value} {string.Join(' ', names.Select(name => suite.Attribute(name)!.Value))}")));
        Assert.Equal(suites, string.Join('|', junit.Elements("testsuite").Select(suite => $"{suite.Attribute("name")!.Value} {string.Join(' ', kinds.Select(kind => suite.Descendants(kind).Count()))}")));
        JsonElement json = Json();
        Assert.Equal(conforms, json.GetProperty("conforms").GetBoolean());
        var rows = json.GetProperty("results").EnumerateArray().Select(row => (Subject: row.GetProperty("subject").GetString(), Outcome: row.GetProperty("outcome").GetString())).ToArray();
        Assert.Equal(suites, string.Join('|', rows.GroupBy(row => row.Subject).Select(suite =>
            $"{suite.Key} {suite.Count()} {suite.Count(row => row.Outcome == "fails")} {suite.Count(row => row.Outcome == "portFailed")} {suite.Count(row => row.Outcome is "unsupported" or "lacks" or "interrupted")}")));
        string html = File.ReadAllText(Path.Combine(folder, "report.html"));
        Assert.Equal(conforms, !html.Contains("does NOT conform", StringComparison.Ordinal));
        Assert.Equal(rows.Count(row => row.Outcome == "fails"), html.Split(">fails</td>").Length - 1);
        Assert.Equal(rows.Count(row => row.Outcome == "portFailed"), html.Split(">port failed</td>").Length - 1);
    }
}
