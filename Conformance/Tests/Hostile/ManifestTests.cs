// Is a folder of golden tensors that somebody else wrote verified or refused, whatever stands in it?
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using S2Attn.Conformance.Golden;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;

namespace S2Attn.Tests.Hostile;

public sealed class ManifestTests : IDisposable
{
    private const string Name = "llama-eager-n8-g2-f64";
    private static readonly string Golden = Path.Combine(Repository.Root, "golden");
    private readonly string folder = Directory.CreateTempSubdirectory("s2attn-manifest-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData("name", "\"a\\u0000b\"", "name must be a name")]
    [InlineData("name", "\"\\u001b[2Jholds\"", "name must be a name")]
    [InlineData("name", "7", "name must be a string")]
    [InlineData("file", "\"a\\u0000b.safetensors\"", "file must be a name")]
    [InlineData("file", "\"../manifest.json\"", "file must be a name")]
    [InlineData("file", "\"..\"", "file must be a name")]
    [InlineData("file", "\"\"", "file must be a name")]
    [InlineData("bytes", "-1", "bytes must be an integer from 0 to")]
    [InlineData("bytes", "1e999", "bytes must be an integer from 0 to")]
    [InlineData("sha256", "\"xyz\"", "sha256 must be 64 digits")]
    [InlineData("family", "\"other\"", "family must be core or layer")]
    [InlineData("config", "[]", "config must be an object")]
    [InlineData("expected", "7", "expected must be an object")]
    [InlineData("arithmetic", "null", "arithmetic must be an object")]
    [InlineData("upstream", "\"x\"", "upstream must be an object")]
    [InlineData("rowsDifferingFromDefinition", "-3", "rowsDifferingFromDefinition must be an integer from 0")]
    public void A_field_of_the_manifest_is_refused_with_its_rule(string field, string value, string rule)
    {
        JsonObject manifest = Manifest();
        manifest["cases"]![0]![field] = JsonNode.Parse(value);
        Assert.Contains(rule, Refusal(manifest), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"schemaVersion\":1,\"cases\":{}}", "cases must be an array")]
    [InlineData("{\"schemaVersion\":1,\"cases\":[7]}", "cases[0] must be an object")]
    [InlineData("{\"schemaVersion\":1,\"schemaVersion\":1,\"cases\":[]}", "must be JSON")]
    [InlineData("[]", "must be an object")]
    [InlineData("\0", "must be JSON")]
    public void A_manifest_of_another_shape_is_refused(string text, string rule)
    {
        File.WriteAllText(Path.Combine(folder, "manifest.json"), text);
        Assert.Contains(rule, Assert.Throws<GoldenException>(() => GoldenFolder.Read(folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_that_stands_there_twice_is_refused()
    {
        JsonObject manifest = Manifest();
        manifest["cases"]!.AsArray().Add(manifest["cases"]![0]!.DeepClone());
        Assert.Contains("stands there 2 times", Refusal(manifest), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("7")]
    [InlineData("\"text\"")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("{\"name\":\"llama-eager-n8-g2-f64\"}")]
    [InlineData("\ud800")]
    public void A_case_whose_record_is_not_the_manifests_does_not_hold(string record)
    {
        SafetensorsFile file = Tensors();
        AssertFails(file with { Metadata = file.Metadata.SetItem("s2attn", record) }, "__metadata__");
    }

    [Fact]
    public void A_case_without_its_record_does_not_hold()
    {
        SafetensorsFile file = Tensors();
        AssertFails(file with { Metadata = file.Metadata.Clear() }, "__metadata__ has no s2attn record");
    }

    [Theory]
    [InlineData("k", "[1,8,2,5]")]
    [InlineData("k", "[1,8,3,4]")]
    [InlineData("do", "[1,8,2,5]")]
    [InlineData("do", "[1,4,2,8]")]
    [InlineData("do", "[128]")]
    [InlineData("dq", "[0,8,2,4]")]
    [InlineData("v", "[]")]
    [InlineData("o", "[1,8,2,4,1]")]
    public void A_tensor_of_another_shape_fails_the_case_in_words(string name, string shape)
    {
        int[] lengths = [.. JsonNode.Parse(shape)!.AsArray().Select(length => (int)length!)];
        SafetensorsFile file = Tensors();
        AssertFails(
            file with { Tensors = [.. file.Tensors.Select(tensor => tensor.Name == name ? tensor with { Values = Tensor<double>.Build(lengths, _ => 1) } : tensor)] },
            $"tensor {name} is F64 {shape}");
    }

    [Theory]
    [InlineData("q")]
    [InlineData("do")]
    [InlineData("dv")]
    public void A_case_that_lacks_a_tensor_does_not_hold(string name)
    {
        SafetensorsFile file = Tensors();
        AssertFails(file with { Tensors = [.. file.Tensors.Where(tensor => tensor.Name != name)] }, $"tensor {name} is missing");
    }

    [Fact]
    public void A_tensor_that_nobody_knows_fails_the_case_and_its_name_is_cleaned()
    {
        SafetensorsFile file = Tensors();
        AssertFails(file with { Tensors = [.. file.Tensors, new("\u001b[2J", SafetensorsType.F64, Tensor<double>.Build([1], _ => 1))] }, "tensor \uFFFD[2J is F64 [1]");
    }

    [Fact]
    public void The_case_itself_holds() => Assert.Equal(Outcome.Holds, Verify(Tensors()).Outcome);

    private static JsonObject Manifest()
    {
        JsonObject manifest = JsonNode.Parse(File.ReadAllText(Path.Combine(Golden, "manifest.json")))!.AsObject();
        JsonNode first = manifest["cases"]!.AsArray().Single(item => (string)item!["name"]! == Name)!.DeepClone();
        manifest["cases"] = new JsonArray(first);
        return manifest;
    }

    private static SafetensorsFile Tensors() => SafetensorsReader.Read(Path.Combine(Golden, Name + ".safetensors"));

    private string Refusal(JsonObject manifest)
    {
        File.WriteAllText(Path.Combine(folder, "manifest.json"), manifest.ToJsonString());
        return Assert.Throws<GoldenException>(() => GoldenFolder.Read(folder)).Message;
    }

    private static void AssertFails(SafetensorsFile file, string rule)
    {
        PropertyResult row = Verify(file);
        Assert.Equal(Outcome.Fails, row.Outcome);
        Assert.Contains(rule, row.Counterexample[0].Reason, StringComparison.Ordinal);
    }

    private static PropertyResult Verify(SafetensorsFile file)
    {
        string place = Directory.CreateTempSubdirectory("s2attn-golden-").FullName;
        try
        {
            byte[] bytes = SafetensorsWriter.Encode(file);
            File.WriteAllBytes(Path.Combine(place, Name + ".safetensors"), bytes);
            JsonObject manifest = Manifest();
            manifest["cases"]![0]!["bytes"] = bytes.Length;
            manifest["cases"]![0]!["sha256"] = Convert.ToHexStringLower(SHA256.HashData(bytes));
            return GoldenSuite.Verify(GoldenFolder.Parse(place, Encoding.UTF8.GetBytes(manifest.ToJsonString()))[0]);
        }
        finally
        {
            Directory.Delete(place, recursive: true);
        }
    }
}
