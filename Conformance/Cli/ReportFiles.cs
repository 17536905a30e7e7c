// Into which files does a run write its report, so that none is lost for another?
using S2Attn.Conformance.Reports;
using S2Attn.Conformance.Validation;

namespace S2Attn.Cli;

/// <summary>The files that were asked for, by form.</summary>
internal sealed record ReportFiles(FileInfo? Json, FileInfo? Junit, FileInfo? Html, FileInfo? Badge)
{
    private IEnumerable<(string Option, string Path, Func<Report, string> Form)> Asked =>
        new (string Option, FileInfo? File, Func<Report, string> Form)[]
        {
            ("--json", Json, JsonReport.Write),
            ("--junit", Junit, JUnitReport.Write),
            ("--html", Html, HtmlReport.Write),
            ("--badge", Badge, report => Conformance.Reports.Badge.Write(report, DateOnly.FromDateTime(DateTime.UtcNow))),
        }.SelectMany(item => item.File is { } file ? [(item.Option, file.FullName, item.Form)] : Array.Empty<(string, string, Func<Report, string>)>());

    /// <summary>A run of minutes must not end with a path that cannot be written, nor with one report that replaced another.</summary>
    /// <exception cref="IOException">One cannot be written.</exception>
    /// <exception cref="FormatException">Two lead to one file.</exception>
    public void CheckWritable()
    {
        (string Option, string Path, Func<Report, string> Form)[] asked = [.. Asked];
        for (int i = 0; i < asked.Length; i++)
            for (int j = 0; j < i; j++)
                if (WholeFile.AreOne(asked[i].Path, asked[j].Path))
                    throw new FormatException($"{asked[j].Option} and {asked[i].Option} both name {asked[i].Path}; each report needs a file of its own");
        foreach ((string option, string path, _) in asked)
            Try(option, path, WholeFile.CheckWritable);
    }

    /// <summary>Tries whether something can be written, and names the option where it cannot.</summary>
    /// <exception cref="IOException">It cannot.</exception>
    public static void Try(string option, string path, Action<string> check)
    {
        try
        {
            check(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"{option} {path}: cannot be written: {error.Message}", error);
        }
    }

    /// <summary>Writes each, whatever becomes of the others.</summary>
    /// <returns>What could not be written, and why.</returns>
    public IReadOnlyList<string> Write(Report report)
    {
        List<string> failures = [];
        foreach ((string option, string path, Func<Report, string> form) in Asked)
        {
            try
            {
                WholeFile.Write(path, form(report));
            }
            catch (Exception error)
            {
                failures.Add($"{option} {path} was not written: {error.Message}");
            }
        }

        return failures;
    }
}
