// How is one number of one golden tensor made wrong, so that no hash tells?
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using S2Attn.Conformance.Golden;
using S2Attn.Conformance.Ports;

namespace S2Attn.Tests.Golden;

/// <summary>Golden cases with a wrong number.</summary>
internal static class BrokenGolden
{
    private static string Original => Path.Combine(Repository.Root, "golden");

    /// <summary>A case for each tensor and format: o, dq, dk, dv of attention in f64 and f32, and y of a layer.</summary>
    public static TheoryData<string, string> Tensors()
    {
        TheoryData<string, string> data = [];
        GoldenCase[] cases = [.. GoldenFolder.Read(Original).Where(golden => golden.Config.Tokens <= 64)];
        foreach (string tensor in new[] { "o", "dq", "dk", "dv" })
            foreach (ElementType type in new[] { ElementType.F64, ElementType.F32 })
                data.Add(cases.First(golden => golden.Family == "core" && golden.ElementType == type && golden.Defects.IsEmpty).Name, tensor);
        data.Add(cases.First(golden => golden.Family == "layer" && golden.ElementType is ElementType.F64 or ElementType.F32).Name, "y");
        return data;
    }

    /// <summary>The case with the last number of a tensor wrong, in a file in a folder.</summary>
    public static GoldenCase Write(string folder, GoldenCase golden, string tensor)
    {
        byte[] bytes = File.ReadAllBytes(golden.Path);
        int header = checked((int)BinaryPrimitives.ReadInt64LittleEndian(bytes));
        using JsonDocument fields = JsonDocument.Parse(bytes.AsMemory(8, header));
        JsonElement entry = fields.RootElement.GetProperty(tensor);
        int end = 8 + header + entry.GetProperty("data_offsets")[1].GetInt32();
        if (entry.GetProperty("dtype").GetString() == "F64")
            BinaryPrimitives.WriteDoubleLittleEndian(bytes.AsSpan(end - 8), BinaryPrimitives.ReadDoubleLittleEndian(bytes.AsSpan(end - 8)) + 0.01);
        else
            BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(end - 4), BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(end - 4)) + 0.01f);
        string path = Path.Combine(folder, Path.GetFileName(golden.Path));
        File.WriteAllBytes(path, bytes);
        return golden with { Path = path, Sha256 = Convert.ToHexStringLower(SHA256.HashData(bytes)) };
    }

    /// <summary>A folder of golden tensors that holds this case alone, as it is or with a wrong number; the manifest's hash is that of the file.</summary>
    /// <param name="folder">The folder, empty.</param>
    /// <param name="name">The case.</param>
    /// <param name="tensor">The tensor to break; none where empty.</param>
    public static void WriteFolder(string folder, string name, string tensor)
    {
        GoldenCase golden = GoldenFolder.Read(Original).Single(golden => golden.Name == name);
        JsonNode manifest = JsonNode.Parse(File.ReadAllBytes(Path.Combine(Original, "manifest.json")))!;
        JsonNode record = manifest["cases"]!.AsArray().Single(record => record!["name"]!.GetValue<string>() == name)!.DeepClone();
        if (tensor.Length > 0)
            record["sha256"] = Write(folder, golden, tensor).Sha256;
        else
            File.Copy(golden.Path, Path.Combine(folder, Path.GetFileName(golden.Path)));
        manifest["cases"] = new JsonArray(record);
        File.WriteAllText(Path.Combine(folder, "manifest.json"), manifest.ToJsonString(), new UTF8Encoding(false));
    }
}
