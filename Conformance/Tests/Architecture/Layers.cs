// Which folders of Conformance/Suite may use which, and what of the sources breaks that?
using System.Text.RegularExpressions;

namespace S2Attn.Tests.Architecture;

/// <summary>A source file: its path below Conformance/Suite, and its text.</summary>
internal sealed record SuiteSource(string Path, string Text);

/// <summary>The layers of Conformance/Suite, read off its sources: using directives and names that begin with a folder.</summary>
internal static partial class Layers
{
    /// <summary>From the bottom to the top. A folder uses those of layers below its own, and of its own layer those that stand before it.</summary>
    public static readonly string[][] All =
    [
        ["Text", "Validation"],
        ["Protocol"],
        ["Safetensors", "Cases"],
        ["Ports"],
        ["Properties"],
        ["Running"],
        ["Onnx", "Xray", "Golden", "Reproducers", "Mutants", "Proofs", "Bench"],
        ["Reports"],
        ["Campaigns"],
    ];

    private static readonly string[] Order = [.. All.SelectMany(layer => layer)];

    /// <summary>The sources of the suite.</summary>
    public static IEnumerable<SuiteSource> Sources()
    {
        string root = Path.Combine(Repository.Root, "Conformance", "Suite");
        return from path in Directory.EnumerateFiles(root, "*.cs", SearchOption.AllDirectories)
               let relative = Path.GetRelativePath(root, path).Replace('\\', '/')
               where !relative.StartsWith("obj/", StringComparison.Ordinal) && !relative.StartsWith("bin/", StringComparison.Ordinal)
               select new SuiteSource(relative, File.ReadAllText(path));
    }

    /// <summary>The folders that a folder's files name, each with a file that does.</summary>
    public static IEnumerable<(string From, string To, string File)> Uses(IEnumerable<SuiteSource> sources) =>
        (from source in sources
         let folder = source.Path.Split('/')[0]
         where source.Path.Contains('/', StringComparison.Ordinal)
         from used in Named().Matches(Comments().Replace(source.Text, "")).Select(match => match.Groups[1].Value).Where(Order.Contains)
         where used != folder
         select (folder, used, source.Path)).DistinctBy(use => (use.folder, use.used));

    /// <summary>What breaks the order, as sentences.</summary>
    public static IEnumerable<string> Violations(IReadOnlyCollection<SuiteSource> sources)
    {
        foreach (SuiteSource source in sources.Where(source => source.Path.Contains('/', StringComparison.Ordinal)))
        {
            string folder = source.Path.Split('/')[0];
            if (!Order.Contains(folder))
                yield return $"{folder} stands in no layer";
            if (Namespace().Match(source.Text) is { Success: true } match && match.Groups[1].Value.Split('.')[0] != folder)
                yield return $"{source.Path} is of namespace {match.Groups[1].Value}, not {folder}";
        }

        foreach ((string from, string to, string file) in Uses(sources))
            if (Array.IndexOf(Order, to) > Array.IndexOf(Order, from))
                yield return $"{from} uses {to}, which stands above it: {file}";
    }

    // A using directive, or a name that begins with a folder, as Xray.Diagnosis.Of or Conformance.Ports.IAttentionPort.
    [GeneratedRegex(@"(?:S2Attn\.Conformance\.|Conformance\.|(?<![\w.""]))(\w+)(?:;|\.[A-Z]\w*)")]
    private static partial Regex Named();

    [GeneratedRegex(@"//[^\n]*|^namespace [^\n]*", RegexOptions.Multiline)]
    private static partial Regex Comments();

    [GeneratedRegex(@"^namespace S2Attn\.Conformance\.([\w.]+);", RegexOptions.Multiline)]
    private static partial Regex Namespace();
}
