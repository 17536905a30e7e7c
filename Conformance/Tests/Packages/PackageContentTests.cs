// Does every package carry what a package should?
using System.IO.Compression;
using System.Reflection.Metadata;
using System.Runtime.Intrinsics.X86;
using System.Xml.Linq;
using S2Attn.Tests.Tools;

namespace S2Attn.Tests.Packages;

[Collection(PackageTestGroup.Name)]
public sealed class PackageContentTests(PackageFeed feed)
{
    private static readonly string[] Libraries = ["S2Attn.Spec", "S2Attn.Reference", "S2Attn.Optimized", "S2Attn.Conformance"];

    [RequiresToolFact("gcc", "clang", "aarch64-linux-gnu-gcc")]
    public void Every_package_has_readme_icon_and_licence()
    {
        string[] packages = [.. Directory.GetFiles(feed.Path, "*.nupkg")];
        Assert.Equal(
            ["S2Attn.Cli", $"S2Attn.Cli.{(X86Base.IsSupported ? "linux-x64" : "linux-arm64")}", "S2Attn.Conformance", "S2Attn.Native", "S2Attn.Optimized", "S2Attn.Reference", "S2Attn.Spec"],
            packages.Select(path => Id(Nuspec(path))).Order(StringComparer.Ordinal));
        Assert.All(packages, path =>
        {
            XElement metadata = Nuspec(path);
            using ZipArchive package = ZipFile.OpenRead(path);
            Assert.Contains(Id(metadata).Split(".linux-")[0], Text(package.GetEntry(Value(metadata, "readme"))), StringComparison.Ordinal);
            Assert.Equal([0x89, (byte)'P', (byte)'N', (byte)'G'], Bytes(package.GetEntry(Value(metadata, "icon")))[..4]);
            Assert.Equal("Apache-2.0", Value(metadata, "license"));
            Assert.NotEmpty(Value(metadata, "description"));
        });
    }

    /// <summary>It had 60 MB, most of it libraries of other platforms.</summary>
    [RequiresToolFact("gcc", "clang", "aarch64-linux-gnu-gcc")]
    public void The_tool_has_the_libraries_of_its_platform_alone_and_less_than_35_MB()
    {
        string path = Directory.GetFiles(feed.Path, "S2Attn.Cli.linux-*.nupkg").Single();
        using ZipArchive package = ZipFile.OpenRead(path);
        string[] libraries = [.. package.Entries.Select(entry => entry.Name).Where(name => name.StartsWith("lib", StringComparison.Ordinal) || name.Contains("onnxruntime", StringComparison.Ordinal))];
        Assert.Equal(["libHarfBuzzSharp.so", "libSkiaSharp.so", "libonnxruntime.so", "libonnxruntime_providers_shared.so"], libraries.Order(StringComparer.Ordinal));
        Assert.InRange(new FileInfo(path).Length, 10_000_000, 35_000_000);
    }

    [RequiresToolFact("gcc", "clang", "aarch64-linux-gnu-gcc")]
    public void Libraries_carry_documentation_and_symbols_with_their_sources() => Assert.All(Libraries, id =>
    {
        using ZipArchive package = ZipFile.OpenRead(Path.Combine(feed.Path, $"{id}.{Version}.nupkg")), symbols = ZipFile.OpenRead(Path.Combine(feed.Path, $"{id}.{Version}.snupkg"));
        Assert.Contains("<summary>", Text(package.GetEntry($"lib/net10.0/{id}.xml")), StringComparison.Ordinal);
        using MetadataReaderProvider provider = MetadataReaderProvider.FromPortablePdbStream(new MemoryStream(Bytes(symbols.GetEntry($"lib/net10.0/{id}.pdb"))));
        MetadataReader reader = provider.GetMetadataReader();
        Guid embeddedSource = new("0E8A571B-6926-466E-B4AD-8AB04611F5FE");
        string[] documents = [.. reader.Documents.Select(handle => reader.GetString(reader.GetDocument(handle).Name))];
        Assert.NotEmpty(documents);
        Assert.DoesNotContain(documents, name => name.StartsWith(Repository.Root, StringComparison.Ordinal));
        int embedded = reader.CustomDebugInformation.Count(handle => reader.GetGuid(reader.GetCustomDebugInformation(handle).Kind) == embeddedSource);
        Assert.Equal(documents.Length, embedded);
    });

    [RequiresToolFact("gcc", "clang", "aarch64-linux-gnu-gcc")]
    public void The_native_package_has_every_level_for_both_kinds_of_processor()
    {
        using ZipArchive package = ZipFile.OpenRead(Path.Combine(feed.Path, $"S2Attn.Native.{Version}.nupkg"));
        string[] names = [.. package.Entries.Select(entry => entry.FullName)];
        string[] expected =
        [
            "runtimes/linux-x64/native/libs2attn.so", "runtimes/linux-x64/native/libs2attn-x86-64-v2.so", "runtimes/linux-x64/native/libs2attn-x86-64-v3.so",
            "runtimes/linux-x64/native/libs2attn-x86-64-v4.so", "runtimes/linux-arm64/native/libs2attn.so", "runtimes/linux-arm64/native/libs2attn-arm64.so",
            "build/native/include/s2attn.h", "buildTransitive/S2Attn.Native.targets",
        ];
        Assert.Empty(expected.Except(names));
        Assert.Equal(6, names.Count(name => name.StartsWith("runtimes/", StringComparison.Ordinal)));
    }

    private static string Version { get; } = XDocument.Load(Path.Combine(Repository.Root, "Directory.Build.props")).Descendants("Version").Single().Value;

    private static XElement Nuspec(string path)
    {
        using ZipArchive package = ZipFile.OpenRead(path);
        using Stream stream = package.Entries.Single(entry => entry.FullName.EndsWith(".nuspec", StringComparison.Ordinal)).Open();
        return XDocument.Load(stream).Root!.Elements().Single();
    }

    private static string Id(XElement metadata) => Value(metadata, "id");

    private static string Value(XElement metadata, string name) => metadata.Elements().Single(element => element.Name.LocalName == name).Value;

    private static string Text(ZipArchiveEntry? entry) => System.Text.Encoding.UTF8.GetString(Bytes(entry));

    private static byte[] Bytes(ZipArchiveEntry? entry)
    {
        Assert.NotNull(entry);
        using Stream stream = entry.Open();
        using MemoryStream copy = new();
        stream.CopyTo(copy);
        return copy.ToArray();
    }
}
