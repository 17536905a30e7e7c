// s2attn new: writes a sample port to start from.
using System.Collections.Immutable;
using System.CommandLine;
using System.Reflection;

namespace S2Attn.Cli;

internal static class NewCommand
{
    private const string Prefix = "ports/";

    /// <summary>The folders of Conformance/Ports, which are embedded file by file.</summary>
    private static readonly ImmutableArray<string> Names =
    [
        .. Assembly.GetExecutingAssembly().GetManifestResourceNames().Where(name => name.StartsWith(Prefix, StringComparison.Ordinal))
            .Select(name => name.Split('/')[1]).Distinct().Order(StringComparer.Ordinal),
    ];

    public static Command Create()
    {
        Argument<string> language = new("language") { Description = $"One of {string.Join(", ", Names)}." };
        Option<DirectoryInfo> output = new("--output")
        {
            Description = "The folder to write into; the current one where not given.",
            DefaultValueFactory = _ => new DirectoryInfo(Environment.CurrentDirectory),
        };
        language.AcceptOnlyFromAmong([.. Names]);
        Command command = new("new", "Write a sample port to start from.") { language, output };
        command.SetAction(result => Write(result.GetValue(language)!, result.GetValue(output)!));
        return command;
    }

    private static int Write(string language, DirectoryInfo directory)
    {
        Assembly assembly = Assembly.GetExecutingAssembly();
        string prefix = $"{Prefix}{language}/";
        (string Resource, string Path)[] files =
        [
            .. assembly.GetManifestResourceNames().Where(name => name.StartsWith(prefix, StringComparison.Ordinal))
                .Select(name => (name, Path.Combine(directory.FullName, name[prefix.Length..]))),
        ];
        try
        {
            ReportFiles.Try("--output", directory.FullName, _ => NewFiles.Write([.. files.Select(file => (file.Path, (Func<Stream>)(() => assembly.GetManifestResourceStream(file.Resource)!)))]));
            foreach ((_, string path) in files)
                Console.WriteLine(Path.GetRelativePath(Environment.CurrentDirectory, path));
            return 0;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"s2attn: {error.Message}");
            return 2;
        }
    }
}
