// Does the comparison of two reports see every change, and refuse what is no report?
using System.Text;
using System.Text.Json.Nodes;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Reports;
using S2Attn.Tests.Ports;

namespace S2Attn.Tests.Reports;

public sealed class ReportComparisonTests : IDisposable
{
    private static readonly string Cli = Path.Combine(AppContext.BaseDirectory, "s2attn.dll");
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("s2attn-compare-");

    public void Dispose() => folder.Delete(recursive: true);

    [Theory]
    [InlineData("holds", "fails", RowChange.NewlyFails, true)]
    [InlineData("holds", "portFailed", RowChange.NewlyFails, true)]
    [InlineData("unsupported", "fails", RowChange.NewlyFails, true)]
    [InlineData("interrupted", "fails", RowChange.NewlyFails, true)]
    [InlineData("", "fails", RowChange.NewlyFails, true)]
    [InlineData("holds", "unsupported", RowChange.NoLongerClaimed, true)]
    [InlineData("holds", "interrupted", RowChange.NoLongerFinished, true)]
    [InlineData("holds", "", RowChange.HeldAndVanished, true)]
    [InlineData("fails", "holds", RowChange.NewlyHolds, false)]
    [InlineData("unsupported", "holds", RowChange.NewlyHolds, false)]
    [InlineData("fails", "portFailed", RowChange.Other, false)]
    [InlineData("fails", "unsupported", RowChange.Other, false)]
    [InlineData("", "holds", RowChange.New, false)]
    [InlineData("", "unsupported", RowChange.New, false)]
    [InlineData("fails", "", RowChange.Vanished, false)]
    public void A_change_of_a_row_is_named_and_judged(string before, string after, RowChange change, bool worse)
    {
        ReportComparison comparison = ReportComparison.Of(Digest(before, [1]), Digest(after, [1]));
        RowDifference row = Assert.Single(comparison.Rows);
        Assert.Equal((new ReportRow("mine", "Agreement.Output"), change, worse), (row.Row, row.Change, comparison.IsWorse));
    }

    /// <summary>All pairs of outcomes, written out by hand: what changes for the worse is in capitals, and a point is no change.</summary>
    [Theory]
    [InlineData("", ". N N n n n n")]
    [InlineData("fails", "v . o h o o o")]
    [InlineData("portFailed", "v o . h o o o")]
    [InlineData("holds", "V N N . C L N")]
    [InlineData("unsupported", "v N N h . o o")]
    [InlineData("interrupted", "v N N h o . o")]
    [InlineData("lacks", "v N N h o o .")]
    public void Every_pair_of_outcomes_is_judged(string before, string expected)
    {
        string[] after = ["", "fails", "portFailed", "holds", "unsupported", "interrupted", "lacks"], signs = expected.Split(' ');
        for (int i = before.Length == 0 ? 1 : 0; i < after.Length; i++)
        {
            ReportComparison comparison = ReportComparison.Of(Digest(before, [1]), Digest(after[i], [1]));
            string found = comparison.Rows.IsEmpty ? "." : comparison.Rows.Single().Change switch
            {
                RowChange.NewlyFails => "N",
                RowChange.NoLongerClaimed => "C",
                RowChange.NoLongerFinished => "L",
                RowChange.HeldAndVanished => "V",
                RowChange.NewlyHolds => "h",
                RowChange.New => "n",
                RowChange.Vanished => "v",
                _ => "o",
            };
            Assert.True(signs[i] == found && comparison.IsWorse == char.IsUpper(found[0]), $"{before} to {after[i]}: {found}, worse: {comparison.IsWorse}");
        }
    }

    /// <summary>All sets of three levels before and after, the empty ones among them; and a port that is gone, which has lost them all, or new.</summary>
    [Fact]
    public void A_port_is_worse_exactly_where_it_lost_a_level()
    {
        int[] levels = [1, 2, 5];
        int[][] sets = [.. Enumerable.Range(0, 8).Select(bits => levels.Where((_, i) => (bits >> i) % 2 == 1).ToArray())];
        foreach (int[] before in sets)
            foreach (int[] after in sets)
            {
                ReportComparison comparison = ReportComparison.Of(Digest("holds", before), Digest("holds", after));
                Assert.Equal(before.Except(after), comparison.Levels.Single().Lost.Select(level => (int)level));
                Assert.Equal(before.Except(after).Any(), comparison.IsWorse);
            }

        JsonNode report = JsonNode.Parse(Json("holds", [1, 5]))!;
        report["ports"]!.AsArray().Clear();
        ReportDigest without = ReportDigest.Parse(Encoding.UTF8.GetBytes(report.ToJsonString())), with = Digest("holds", [1, 5]);
        ReportComparison gone = ReportComparison.Of(with, without), come = ReportComparison.Of(without, with);
        Assert.Equal(("mine", true), (gone.Levels.Single().Subject, gone.IsWorse));
        Assert.Equal([1, 5], gone.Levels.Single().Lost.Select(level => (int)level));
        Assert.Equal(("mine", false), (come.Levels.Single().Subject, come.IsWorse));
    }

    [Theory]
    [InlineData("results", "results[1]: mine  Agreement.Output stands there twice")]
    [InlineData("ports", "ports[1]: the port mine stands there twice")]
    public void What_stands_in_a_report_twice_is_refused(string list, string expected)
    {
        JsonNode report = JsonNode.Parse(Json("holds", [1]))!;
        report[list]!.AsArray().Add(report[list]![0]!.DeepClone());
        Assert.Contains(expected, Assert.Throws<FormatException>(() => ReportDigest.Parse(Encoding.UTF8.GetBytes(report.ToJsonString()))).Message, StringComparison.Ordinal);
    }

    /// <summary>Rows of two runs tell of a change only where both drew the same cases: whatever decides these is told, and nothing else.</summary>
    [Fact]
    public void What_decides_the_cases_of_a_run_is_told()
    {
        Assert.Equal("seed 1, 100 cases", With("tool", "another").Draw);
        Assert.Equal("seed -7, 100 cases", With("seed", -7).Draw);
        Assert.Equal("seed 1, 8 cases", With("cases", 8).Draw);
        Assert.Equal("seed 1, 100 cases, filter Leakage", With("filter", "Leakage").Draw);

        static ReportDigest With(string field, JsonNode value)
        {
            JsonNode report = JsonNode.Parse(Json("holds", [1]))!;
            report[field] = value;
            return ReportDigest.Parse(Encoding.UTF8.GetBytes(report.ToJsonString()));
        }
    }

    [Fact]
    public void Equal_rows_are_no_change_and_a_lost_level_is_worse()
    {
        Assert.Empty(ReportComparison.Of(Digest("fails", [1]), Digest("fails", [1])).Rows);
        ReportComparison lost = ReportComparison.Of(Digest("holds", [1, 5]), Digest("holds", [1, 2]));
        Assert.True(lost.IsWorse);
        Assert.Equal(PortLevel.Gradients, Assert.Single(Assert.Single(lost.Levels).Lost));
        Assert.False(ReportComparison.Of(Digest("holds", [1]), Digest("holds", [1, 2])).IsWorse);
    }

    [Fact]
    public void The_command_compares_reports_of_real_runs()
    {
        string right = Check("right.json", "--port", "reference"), wrong = Check("wrong.json", "--port", "mutant:plus-direction-odd");
        string renamed = Path.Combine(folder.FullName, "renamed.json");

        // As if the same port had been checked before and after its author broke it.
        JsonNode report = JsonNode.Parse(File.ReadAllText(wrong))!;
        foreach (JsonNode? item in report["ports"]!.AsArray().Concat(report["results"]!.AsArray()))
            item!["subject"] = "reference";
        File.WriteAllText(renamed, report.ToJsonString());

        (int code, string output) = Compare(right, right);
        Assert.True(code == 0 && output.Contains("no row changed", StringComparison.Ordinal), $"exit code {code}:\n{output}");
        (code, output) = Compare(right, renamed);
        Assert.True(code == 1 && output.Contains("newly fails:\n  reference  Agreement.", StringComparison.Ordinal) && output.Contains("LOST 1", StringComparison.Ordinal), $"exit code {code}:\n{output}");
        (code, output) = Compare(renamed, right);
        Assert.True(code == 0 && output.Contains("newly holds:\n  reference  Agreement.", StringComparison.Ordinal), $"exit code {code}:\n{output}");
        (code, output) = Compare(right, wrong);
        Assert.True(code == 1 && output.Contains("held, and is no longer in the report", StringComparison.Ordinal), $"exit code {code}:\n{output}");
    }

    [Fact]
    public void A_truncated_report_is_refused_wherever_it_is_cut()
    {
        byte[] whole = Encoding.UTF8.GetBytes(Json("holds", [1, 2]));
        ReportDigest.Parse(whole);
        for (int length = 0; length < whole.Length; length++)
            Assert.Throws<FormatException>(() => ReportDigest.Parse(whole.AsMemory(0, length)));
    }

    [Theory]
    [InlineData("\"version\":1", "\"version\":2", "version is 2; this program reads version 1")]
    [InlineData("\"version\":1", "\"version\":1e99", "version must be an integer from 0 to 2147483647, not 1e99")]
    [InlineData("s2attn-report", "other", "\"schema\": \"s2attn-report\"")]
    [InlineData("\"outcome\":\"holds\"", "\"outcome\":\"\\u001b[2J\"", "results[0]: outcome must be one of holds,")]
    [InlineData("\"outcome\":\"holds\"", "\"outcome\":\"\\ud800\"", "must be valid Unicode")]
    [InlineData("\"outcome\":\"holds\"", "\"outcome\":7", "results[0]: outcome must be a string, not 7")]
    [InlineData("\"outcome\"", "\"oucome\"", "results[0] has no outcome")]
    [InlineData("[1,2]", "[1,7]", "levels from 1 to 6")]
    [InlineData("\"complete\":true", "\"complete\":1", "complete must be true or false, not 1")]
    [InlineData("\"results\":[{", "\"results\":[7,{", "results[0] must be an object, not 7")]
    public void What_is_no_report_is_refused_with_the_place(string text, string replacement, string expected)
    {
        string json = Json("holds", [1, 2]);
        Assert.Contains(text, json, StringComparison.Ordinal);
        FormatException error = Assert.Throws<FormatException>(() => ReportDigest.Parse(Encoding.UTF8.GetBytes(json.Replace(text, replacement, StringComparison.Ordinal))));
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_command_names_the_file_that_it_cannot_use()
    {
        string good = Path.Combine(folder.FullName, "good.json"), cut = Path.Combine(folder.FullName, "cut.json");
        File.WriteAllText(good, Json("holds", [1]));
        File.WriteAllText(cut, Json("holds", [1])[..40]);
        Assert.All(
            [(Compare(good, cut), "cut.json: must be JSON"), (Compare(folder.FullName, good), "must be a regular file"), (Compare(good, good + "x"), "good.jsonx"), (Compare(good), "Required argument 'after.json' missing")],
            expectation => Assert.True(
                expectation.Item1.ExitCode == 2 && expectation.Item1.Output.Contains(expectation.Item2, StringComparison.Ordinal) && !expectation.Item1.Output.Contains("   at ", StringComparison.Ordinal),
                $"exit code {expectation.Item1.ExitCode}:\n{expectation.Item1.Output}"));
    }

    private static ReportDigest Digest(string outcome, int[] levels) => ReportDigest.Parse(Encoding.UTF8.GetBytes(Json(outcome, levels)));

    private static string Json(string outcome, int[] levels) => new JsonObject
    {
        ["schema"] = "s2attn-report",
        ["version"] = 1,
        ["tool"] = "s2attn 0.1.0",
        ["seed"] = 1,
        ["cases"] = 100,
        ["filter"] = "",
        ["complete"] = true,
        ["ports"] = new JsonArray(new JsonObject { ["subject"] = "mine", ["levelsEarned"] = new JsonArray([.. levels.Select(level => JsonValue.Create(level))]) }),
        ["results"] = outcome.Length == 0 ? [] : new JsonArray(new JsonObject { ["subject"] = "mine", ["name"] = "Agreement.Output", ["outcome"] = outcome }),
    }.ToJsonString();

    private string Check(string name, params string[] arguments)
    {
        string json = Path.Combine(folder.FullName, name);
        PortTool.Run("dotnet", [Cli, "check", .. arguments, "--seed", "5", "--cases", "10", "--json", json]);
        return json;
    }

    private static (int ExitCode, string Output) Compare(params string[] files) => PortTool.Run("dotnet", [Cli, "compare", .. files]);
}
