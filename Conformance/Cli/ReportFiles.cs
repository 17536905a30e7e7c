// Into which files does a run write its report?
using S2Attn.Conformance.Reports;

namespace S2Attn.Cli;

/// <summary>The files that were asked for, by form.</summary>
internal sealed record ReportFiles(FileInfo? Json, FileInfo? Junit, FileInfo? Html, FileInfo? Badge)
{
    /// <summary>A run of minutes must not end with a path that cannot be written.</summary>
    /// <exception cref="IOException">One cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">One may not be written.</exception>
    public void CheckWritable()
    {
        foreach (FileInfo file in new[] { Json, Junit, Html, Badge }.OfType<FileInfo>())
        {
            bool existed = file.Exists;
            using (file.Open(FileMode.OpenOrCreate, FileAccess.Write))
            {
            }

            if (!existed)
                File.Delete(file.FullName);
        }
    }

    /// <summary>Writes each.</summary>
    public void Write(Report report)
    {
        if (Json is not null)
            File.WriteAllText(Json.FullName, JsonReport.Write(report));
        if (Junit is not null)
            File.WriteAllText(Junit.FullName, JUnitReport.Write(report));
        if (Html is not null)
            File.WriteAllText(Html.FullName, HtmlReport.Write(report));
        if (Badge is not null)
            File.WriteAllText(Badge.FullName, Conformance.Reports.Badge.Write(report, DateOnly.FromDateTime(DateTime.UtcNow)));
    }
}
