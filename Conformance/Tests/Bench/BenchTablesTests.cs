// Do README and docs/performance.md show what docs/benchmarks holds, and do verdicts say what figures say?
using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using S2Attn.Conformance.Bench;
using S2Attn.Tests.Docs;

namespace S2Attn.Tests.Bench;

public sealed class BenchTablesTests
{
    private static readonly BenchResult Row = new()
    {
        Pass = "forward",
        Dtype = "f32",
        Batch = 1,
        Heads = 8,
        KvHeads = 8,
        Bits = 256,
        Tokens = 8192,
        GroupSize = 2048,
        HeadDim = 128,
        Threads = 1,
        Gflops = 80,
        OfPeak = 0.8,
        AllocatedBytes = 0,
        BestSeconds = 0.43,
        Spread = 0.01,
    };

    private static ImmutableArray<BenchFile> Kept =>
        [.. Directory.EnumerateFiles(Path.Combine(Repository.Root, "docs", "benchmarks"), "*.json").Order(StringComparer.Ordinal).Select(path => BenchFile.Parse(File.ReadAllBytes(path)))];

    [Fact]
    public void The_readme_shows_the_machines_that_were_measured() => GeneratedBlock.AssertEqualOrUpdate("README.md", "bench", BenchTables.Short(Kept));

    [Fact]
    public void The_page_of_performance_shows_every_row_that_was_measured() => GeneratedBlock.AssertEqualOrUpdate("docs/performance.md", "bench", BenchTables.Full(Kept));

    [Fact]
    public void The_page_of_performance_shows_decode_steps_that_were_measured() => GeneratedBlock.AssertEqualOrUpdate("docs/performance.md", "decode", BenchTables.Decode(Kept));

    [Fact]
    public void A_file_that_is_kept_is_read_as_it_was_written()
    {
        BenchFile file = new() { Machine = BenchMachine.Describe(), Results = [Row with { VsEager = 2.5 }], FirstCalls = [new(256, "f32", 1.1, 1, 0.05, 30)], Decode = [new("f32", 256, 2, 8192, 2000, 67108864, 4e10, 0.8, 0.8, 0.98, 2.1)] };
        BenchFile read = BenchFile.Parse(file.ToUtf8());
        Assert.Equal(file.Machine, read.Machine);
        Assert.Equal<BenchResult>(file.Results, read.Results);
        Assert.Equal<FirstCallResult>(file.FirstCalls, read.FirstCalls);
        Assert.Equal<DecodeResult>(file.Decode, read.Decode);
        Assert.Matches("^[a-z0-9]+(-[a-z0-9]+)*\\.json$", read.Machine!.FileName);
    }

    /// <summary>Rows that were measured again stand where the old ones stood, all others are as they were, and the table says so.</summary>
    [Fact]
    public void What_is_measured_again_takes_the_place_of_the_kept_rows()
    {
        BenchMachine machine = BenchMachine.Describe() with { Commit = "0123456", Date = "2026-01-31", Remark = "A remark." };
        BenchFile kept = new()
        {
            Machine = machine,
            Results = [Row, Row with { Threads = 2, VsOneThread = 1.1 }, Row with { Pass = "forward+backward", Threads = 2 }],
            FirstCalls = [new(256, "f32", 1.1, 1, 0.05, 30)],
            Decode = [new("f32", 256, 2, 8192, 2000, 67108864, 4e10, 0.8, 0.8, 0.98, 2.1), new("bf16", 256, 2, 8192, 1000, 33554432, 4e10, 0.6, 0.6, 0.9, null)],
        };
        BenchResult again = Row with { Threads = 2, VsOneThread = 1.98 }, added = Row with { Threads = 2, Bits = 512 };
        DecodeResult step = kept.Decode[1] with { OfBandwidth = 0.75 };
        BenchFile both = kept.With(new() { Machine = machine with { Commit = "89abcde", Date = "2026-02-01", PeakGflops = 1 }, Results = [again, added], Decode = [step] });
        Assert.Equal<BenchResult>([Row, again, kept.Results[2], added], both.Results);
        Assert.Equal<DecodeResult>([kept.Decode[0], step], both.Decode);
        Assert.Equal<FirstCallResult>(kept.FirstCalls, both.FirstCalls);
        Assert.Equal(machine with { Remark = "A remark. On 2026-02-01 at commit 89abcde measured again: f32 N = 8192 G = 2048 D = 128, one token at a time." }, both.Machine);
        Assert.EndsWith(", one token at a time, one token at a time.", both.With(new() { Machine = machine with { Commit = "89abcde", Date = "2026-02-01" }, Results = [], Decode = [step] }).Machine!.Remark, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"results\": 3}")]
    [InlineData("{\"results\": null}")]
    [InlineData("{\"results\": [null]}")]
    [InlineData("{\"results\": [], \"decode\": [null]}")]
    [InlineData("null")]
    public void A_file_that_is_none_of_these_is_refused(string text) => Assert.Throws<JsonException>(() => BenchFile.Parse(Encoding.UTF8.GetBytes(text)));

    [Theory]
    [InlineData(256, 0.80, "met: 0.80 of 0.80 of peak")]
    [InlineData(256, 0.794, "missed: 0.79 of 0.80 of peak")]
    [InlineData(512, 0.80, "missed: 0.80 of 0.85 of peak")]
    [InlineData(128, 0.9, "-")]
    public void A_verdict_compares_with_the_target_of_the_width(int bits, double ofPeak, string verdict) =>
        Assert.Equal(verdict, BenchTarget.Verdict(Row with { Bits = bits, OfPeak = ofPeak }, []));

    [Theory]
    [InlineData(8192, 2048, 1.95, "met")]
    [InlineData(8192, 2048, 1.94, "missed")]
    [InlineData(8192, 512, 1.9, "met")]
    [InlineData(256, 64, 1.59, "missed")]
    [InlineData(64, 16, 1, "met")]
    public void Two_threads_are_judged_by_what_they_gain(int tokens, int groupSize, double gain, string verdict) =>
        Assert.StartsWith(verdict, BenchTarget.Verdict(Row with { Threads = 2, Tokens = tokens, GroupSize = groupSize, VsOneThread = gain }, []), StringComparison.Ordinal);

    /// <summary>Two products forward and five more backward, over a text and over windows alike; of windows the pairs are counted here by hand.</summary>
    [Fact]
    public void The_operations_of_a_case_are_those_of_its_visible_pairs()
    {
        BenchCase text = BenchCase.Targets(1, withBackward: false)[0], windows = BenchCase.Small(1).First(item => item.Sides == (56, 7));
        foreach (BenchCase item in new[] { text, windows })
            Assert.Equal(3.5, (item with { WithBackward = true }).Flops / item.Flops);

        // On each axis 56 tokens make seven whole windows, and one that is cut at 3.
        double pairsOfAxis = (7 * 49) + 9 + 16;
        Assert.Equal(4.0 * 32 * 8 * 4 * pairsOfAxis * pairsOfAxis, windows.Flops);
    }

    [Fact]
    public void A_half_format_is_judged_by_the_rate_of_f32()
    {
        BenchResult half = Row with { Dtype = "bf16", OfPeak = 0.76 };
        Assert.Equal("missed: 0.95 of 1.00 x the rate of f32", BenchTarget.Verdict(half, [Row, half]));
        Assert.Equal("met: 1.02 of 1.00 x the rate of f32", BenchTarget.Verdict(half with { VsSingle = 1.02 }, [Row, half]));
    }

    [Fact]
    public void A_first_call_is_judged_by_a_warm_one()
    {
        Assert.StartsWith("met", BenchTarget.Verdict(new FirstCallResult(256, "", 1.2, 1, 0, 0)), StringComparison.Ordinal);
        Assert.StartsWith("missed", BenchTarget.Verdict(new FirstCallResult(256, "", 1.21, 1, 0, 0)), StringComparison.Ordinal);
    }
}
