// Are golden cases verified, and is every kind of damage to a folder told with file and rule?
using System.Text.Json;
using System.Text.Json.Nodes;
using S2Attn.Conformance.Golden;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;

namespace S2Attn.Tests.Golden;

public sealed class GoldenSuiteTests : IDisposable
{
    private const int LongestInTests = 1024;

    private static readonly string Folder = Path.Combine(Repository.Root, "golden");

    private readonly string copy = Directory.CreateTempSubdirectory("s2attn-golden-").FullName;

    public static TheoryData<string> Cases => [.. GoldenFolder.Read(Folder).Where(golden => golden.Config.Tokens <= LongestInTests).Select(golden => golden.Name)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Reference_equals_upstream_in_the_profile_of_the_case(string name)
    {
        PropertyResult result = GoldenSuite.Verify(GoldenFolder.Read(Folder).Single(golden => golden.Name == name));
        Assert.True(result.Outcome is Outcome.Holds, result.Counterexample.FirstOrDefault()?.Reason);
    }

    /// <summary>The longest may take longer than a stopped program has to say what it found.</summary>
    [Fact]
    public void A_stop_does_not_wait_for_a_long_case()
    {
        using CancellationTokenSource stop = new();

        // By a thread of its own: a timer waits for one of the pool, which other tests may hold.
        Thread stopping = new(() =>
        {
            Thread.Sleep(50);
            stop.Cancel();
        });
        stopping.Start();
        SuiteEvent.Finished finished = Assert.Single(GoldenSuite.Part(Folder, "sft-flash-n4096-g1024-f64").Run(stop.Token).OfType<SuiteEvent.Finished>());
        stopping.Join();
        Assert.Equal(Outcome.Interrupted, finished.Result.Outcome);
    }

    [Fact]
    public void Every_defect_profile_fails_where_the_definition_is_claimed()
    {
        GoldenCase[] defects = [.. GoldenFolder.Read(Folder).Where(golden => !golden.Defects.IsEmpty && golden.Family == "core")];
        Assert.NotEmpty(defects);
        Assert.All(defects, golden => Assert.Equal(Outcome.Fails, GoldenSuite.Verify(golden with { Defects = [] }).Outcome));
    }

    public static TheoryData<string> Layers => [.. GoldenFolder.Read(Folder).Where(golden => golden.Family == "layer").Select(golden => golden.Name)];

    /// <summary>Two of them held with nothing compared. The bounds are sharp enough for an element that is off by a thousandth of the largest, or by four times the largest in narrow types.</summary>
    [Theory]
    [MemberData(nameof(Layers))]
    public void A_layer_with_a_wrong_element_of_y_does_not_hold(string name)
    {
        GoldenCase golden = GoldenFolder.Read(Folder).Single(item => item.Name == name);
        SafetensorsFile file = GoldenFolder.Load(golden);
        Tensor<double> y = GoldenSuite.Values(golden, file, "y");
        double largest = y.Elements.ToArray().Max(Math.Abs) * (golden.ElementType is ElementType.BF16 or ElementType.F16 ? 4000 : 1);
        foreach (int at in new[] { 0, y.Elements.Length / 2, y.Elements.Length - 1 })
        {
            Tensor<double> wrong = Tensor<double>.Build(y.Shape.AsSpan(), i => y.Elements[i] + (i == at ? largest / 1000 : 0));
            SafetensorsFile tampered = file with { Tensors = [.. file.Tensors.Select(tensor => tensor.Name == "y" ? tensor with { Values = wrong } : tensor)] };
            Assert.Contains(GoldenSuite.Failures(golden, tampered), failure => failure.StartsWith("y[", StringComparison.Ordinal));
        }
    }

    public static TheoryData<string> ExactCores =>
        [.. GoldenFolder.Read(Folder).Where(golden => golden.Family == "core" && golden.ToleranceClass == "f64" && (golden.Config.Tokens <= 8 || (golden.Config.Tokens <= 16 && golden.Config.KvHeads < golden.Config.Heads))).Select(golden => golden.Name)];

    /// <summary>Every tensor of small f64 cases, some with GQA: one element that is off by 10^-10 of the tensor's largest number, or of 1, is told by the tensor's name.</summary>
    [Theory]
    [MemberData(nameof(ExactCores))]
    public void An_f64_number_that_is_off_by_a_ten_billionth_does_not_hold(string name)
    {
        GoldenCase golden = GoldenFolder.Read(Folder).Single(item => item.Name == name);
        SafetensorsFile file = GoldenFolder.Load(golden);
        string[] compared = ["o", "dq", "dk", "dv"];
        SafetensorsFile tampered = file with { Tensors = [.. file.Tensors.Select(tensor => compared.Contains(tensor.Name) ? tensor with { Values = OffByOne(tensor.Values) } : tensor)] };
        Assert.Equal(compared, GoldenSuite.Failures(golden, tampered).Select(failure => failure.Split('[')[0]).Where(compared.Contains));

        static Tensor<double> OffByOne(Tensor<double> tensor)
        {
            double largest = Math.Max(1, tensor.Elements.ToArray().Max(Math.Abs));
            return Tensor<double>.Build(tensor.Shape.AsSpan(), i => tensor.Elements[i] + (i == tensor.Elements.Length - 1 ? 1e-10 * largest : 0));
        }
    }

    /// <summary>The manifest says in how many rows a defect differs from the definition: one more and one less are wrong, whichever way.</summary>
    [Fact]
    public void A_wrong_number_of_rows_that_differ_does_not_hold()
    {
        GoldenCase[] defects = [.. GoldenFolder.Read(Folder).Where(golden => !golden.Defects.IsEmpty && golden.Family == "core" && golden.ToleranceClass == "f64" && golden.Config.Tokens <= 16).Take(4)];
        Assert.Equal(4, defects.Length);
        foreach (GoldenCase golden in defects)
        {
            SafetensorsFile file = GoldenFolder.Load(golden);
            Assert.Empty(GoldenSuite.Failures(golden, file));
            foreach (int rows in new[] { 0, golden.RowsDiffering - 1, golden.RowsDiffering + 1, int.MaxValue })
                Assert.Equal([$"the definition differs in {golden.RowsDiffering} rows of o; the manifest says {rows}"], GoldenSuite.Failures(golden with { RowsDiffering = rows }, file));
        }
    }

    [Fact]
    public void A_missing_byte_is_told_with_the_file()
    {
        GoldenCase golden = CopyOfFirst();
        byte[] bytes = File.ReadAllBytes(golden.Path);
        File.WriteAllBytes(golden.Path, bytes[..^1]);
        AssertFails(golden, $"the file has {bytes.Length - 1} bytes, the manifest says {bytes.Length}");
    }

    [Fact]
    public void A_changed_byte_is_told_with_the_file()
    {
        GoldenCase golden = CopyOfFirst();
        byte[] bytes = File.ReadAllBytes(golden.Path);
        bytes[^1] ^= 1;
        File.WriteAllBytes(golden.Path, bytes);
        AssertFails(golden, "sha256 is");
    }

    [Fact]
    public void A_changed_claim_is_told_with_the_key()
    {
        GoldenCase golden = CopyOfFirst(manifest => manifest.Replace("The smallest group with a shift", "Another reason", StringComparison.Ordinal));
        AssertFails(golden, "why in __metadata__ is not what the manifest says");
    }

    /// <summary>The manifest's hash is wrong in one digit, the first, one in the middle or the last.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(31)]
    [InlineData(63)]
    public void One_wrong_digit_of_a_hash_is_told(int digit)
    {
        string hash = GoldenFolder.Read(Folder)[0].Sha256, wrong = hash[..digit] + (hash[digit] == '0' ? '1' : '0') + hash[(digit + 1)..];
        AssertFails(CopyOfFirst(manifest => manifest.Replace(hash, wrong, StringComparison.Ordinal)), $"sha256 is {hash}, the manifest says {wrong}");
    }

    /// <summary>A claim that stands in the file alone, or in the manifest alone.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_claim_that_stands_in_one_place_alone_is_told_with_the_key(bool inFile)
    {
        GoldenCase golden = CopyOfFirst(manifest => inFile
            ? manifest.Replace("\"why\":", "\"wherefore\":", StringComparison.Ordinal)
            : manifest.Replace("\"why\":", "\"more\": 1, \"why\":", StringComparison.Ordinal));
        PropertyResult result = GoldenSuite.Verify(golden);
        Assert.Equal(Outcome.Fails, result.Outcome);
        Assert.Contains(" in __metadata__ is not what the manifest says", result.Counterexample[0].Reason, StringComparison.Ordinal);
        if (inFile)
            Assert.Contains("why in __metadata__", Assert.Throws<GoldenException>(() => GoldenFolder.Load(golden with { Record = Without(golden.Record, "wherefore") })).Message, StringComparison.Ordinal);

        static JsonElement Without(JsonElement record, string field)
        {
            JsonObject copy = JsonNode.Parse(record.GetRawText())!.AsObject();
            Assert.True(copy.Remove(field));
            return JsonDocument.Parse(copy.ToJsonString()).RootElement;
        }
    }

    [Theory]
    [InlineData("{}", "schemaVersion must be 1")]
    [InlineData("{\"schemaVersion\":2}", "schemaVersion must be 1")]
    [InlineData("{\"schemaVersion\":1", "manifest.json")]
    [InlineData("{\"schemaVersion\":1,\"cases\":[{}]}", "manifest.json")]
    public void A_broken_manifest_is_told(string text, string rule)
    {
        File.WriteAllText(Path.Combine(copy, "manifest.json"), text);
        GoldenException error = Assert.Throws<GoldenException>(() => GoldenFolder.Read(copy));
        Assert.Contains(rule, error.Message, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(copy, recursive: true);

    private GoldenCase CopyOfFirst(Func<string, string>? edit = null)
    {
        string manifest = File.ReadAllText(Path.Combine(Folder, "manifest.json"));
        File.WriteAllText(Path.Combine(copy, "manifest.json"), edit is null ? manifest : edit(manifest));
        GoldenCase golden = GoldenFolder.Read(copy)[0];
        File.Copy(Path.Combine(Folder, Path.GetFileName(golden.Path)), golden.Path);
        return golden;
    }

    private static void AssertFails(GoldenCase golden, string rule)
    {
        PropertyResult result = GoldenSuite.Verify(golden);
        Assert.Equal(Outcome.Fails, result.Outcome);
        Assert.Contains(golden.Path, result.Counterexample[0].Reason, StringComparison.Ordinal);
        Assert.Contains(rule, result.Counterexample[0].Reason, StringComparison.Ordinal);
    }
}
