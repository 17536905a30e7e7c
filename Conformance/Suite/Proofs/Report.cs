// What came out of a run?
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace S2Attn.Conformance.Proofs;

/// <summary>How a subject ended.</summary>
public enum Outcome
{
    /// <summary>Shown for all values, and not vacuous.</summary>
    Proved,

    /// <summary>A smallest counterexample was found and confirmed by Spec and Reference.</summary>
    Refuted,

    /// <summary>A solver found values at which a statement that should hold fails.</summary>
    Fails,

    /// <summary>The assumptions cannot be met, so that the proof says nothing.</summary>
    Vacuous,

    /// <summary>A false claim has no counterexample within the searched sizes.</summary>
    NotRefuted,

    /// <summary>Solver, Spec and Reference disagree.</summary>
    Disagreement,

    /// <summary>No solver decided.</summary>
    Undecided,
}

/// <summary>The outcome of one subject.</summary>
/// <param name="Subject">The statement.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Solvers">The solvers whose answers it rests on.</param>
/// <param name="Scripts">How many scripts they answered.</param>
/// <param name="Time">The time that solvers took for it.</param>
/// <param name="Detail">The counterexample, or what went wrong and where; empty for a proof.</param>
public sealed record SubjectResult(Subject Subject, Outcome Outcome, ImmutableArray<string> Solvers, int Scripts, TimeSpan Time, string Detail)
{
    /// <summary>Proved or refuted, as it should be.</summary>
    public bool IsGood => Outcome is Outcome.Proved or Outcome.Refuted;
}

/// <summary>Writes results.</summary>
public static class Report
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>One object for each subject, for other programs.</summary>
    public static string Json(IEnumerable<SubjectResult> results) => JsonSerializer.Serialize(
        results.Select(result => new
        {
            chapter = result.Subject.Chapter,
            name = result.Subject.Name,
            statement = result.Subject.Text,
            region = result.Subject.Region,
            outcome = result.Outcome.ToString(),
            solvers = result.Solvers,
            scripts = result.Scripts,
            seconds = Math.Round(result.Time.TotalSeconds, 3),
            detail = result.Detail,
        }),
        Indented);

    /// <summary>The tables of docs/trust.md. Times differ from run to run; the last column can be cut off to compare.</summary>
    public static string Markdown(IEnumerable<SubjectResult> results)
    {
        StringBuilder text = new();
        foreach (IGrouping<string, SubjectResult> chapter in results.GroupBy(result => result.Subject.Chapter))
        {
            bool refuted = chapter.Any(result => result.Subject is Subject.ToRefute);
            text.Append(text.Length > 0 ? "\n" : "").Append(CultureInfo.InvariantCulture, $"### {chapter.Key}\n\n");
            string[] heads = refuted
                ? ["name", "claim", "region", "smallest counterexample", "what happens there", "scripts", "s"]
                : ["name", "statement", "region", "outcome", "scripts", "s"];
            text.Append(CultureInfo.InvariantCulture, $"| {string.Join(" | ", heads)} |\n| {string.Join(" | ", heads.Select(_ => "---"))} |\n");
            foreach (SubjectResult result in chapter)
            {
                string[] cells = refuted
                    ? [result.Subject.Name, result.Subject.Text, result.Subject.Region, .. result.Detail.Split(": ", 2)]
                    : [result.Subject.Name, result.Subject.Text, result.Subject.Region, Word(result.Outcome)];
                string row = string.Join(
                    " | ", cells.Select(cell => cell.Replace("<", "&lt;", StringComparison.Ordinal).Replace("|", "\\|", StringComparison.Ordinal)));
                text.Append(CultureInfo.InvariantCulture, $"| {row} | {result.Scripts} | {result.Time.TotalSeconds:0.00} |\n");
            }
        }

        return text.ToString();
    }

    /// <summary>The outcome as a reader sees it.</summary>
    public static string Word(Outcome outcome) => outcome switch
    {
        Outcome.Proved => "proved",
        Outcome.Refuted => "refuted",
        Outcome.Fails => "FAILS",
        Outcome.Vacuous => "VACUOUS",
        Outcome.NotRefuted => "NOT REFUTED",
        Outcome.Disagreement => "DISAGREEMENT",
        _ => "UNDECIDED",
    };
}
