// Which real texts are read, and which of them for what?
using System.Text;

namespace S2Attn.Experiments.Data;

/// <summary>Six novels of Jane Austen as Debian's package r-cran-janeaustenr installs them. Nothing of them is kept in the repository.</summary>
internal static class Corpus
{
    /// <summary>The package.</summary>
    public const string Package = "r-cran-janeaustenr";

    private const string Folder = "/usr/lib/R/site-library/janeaustenr/data";

    private static readonly Dictionary<Portion, string[]> Novels = new()
    {
        [Portion.Train] = ["emma", "mansfieldpark", "northangerabbey", "prideprejudice"],
        [Portion.Validation] = ["persuasion"],
        [Portion.Test] = ["sensesensibility"],
    };

    private static readonly Lazy<TextTask> Read = new(() =>
    {
        var texts = RLazyData.ReadTexts(Folder);
        return new(Novels.ToDictionary(portion => portion.Key, portion => Encoding.UTF8.GetBytes(string.Join('\n', portion.Value.SelectMany(name => texts[name])))));
    });

    /// <summary>Whether the package is installed.</summary>
    public static bool IsInstalled => File.Exists(Path.Combine(Folder, "Rdata.rdb"));

    /// <summary>The next byte of a novel. One novel is for validation, one for the test alone.</summary>
    /// <exception cref="FileNotFoundException">The package is not installed.</exception>
    public static ITask Task() => IsInstalled ? Read.Value : throw new FileNotFoundException($"this experiment reads the novels of Debian's package {Package}, which is not installed");
}
