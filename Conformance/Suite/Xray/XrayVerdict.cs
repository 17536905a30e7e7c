// What is a port's author told: what it is, what to change, and what cannot be told?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Xray;

internal static class XrayVerdict
{
    private const int MostAlternatives = 4;
    private const double Most = 0.75;

    /// <summary>What is wrong comes first: where only prefixes or grids are, what is said of them.</summary>
    public static IEnumerable<string> Of(XrayReport report)
    {
        string[] ofTexts = [What(report), .. Looks(report), .. Fixes(report), .. Alternatives(report.Explanation), .. Nearest(report), .. Failures(report)];
        ILookup<bool, string> ofParts = report.Parts.SelectMany(part => part.Sentences(report.Port.Name), (part, sentence) => (IsFirst: report.Explanation.IsDefinition && !part.IsDefinition, sentence))
            .ToLookup(said => said.IsFirst, said => said.sentence);
        return [.. ofParts[true], .. ofTexts, .. ofParts[false]];
    }

    private static string What(XrayReport report)
    {
        Explanation explanation = report.Explanation;
        string name = report.Port.Name, beside = Beside(report.Habits);
        if (Leading(report) is { } leading)
            return $"{name} {leading.Lead}{Unanswered(report)}: {leading.Clause}. What else it does can be told once that is changed.{Capital([.. report.Habits.Where(habit => habit != leading)])}";
        string differs = string.Join("; ", report.Differences.Select(difference => difference.What));
        if (!explanation.IsClaimed)
            return $"{name} is nothing that up to three known defects explain{Unanswered(report)}{(differs.Length > 0 ? $": {differs}" : "")}.{Capital(report.Habits)}";
        string at = explanation.Unexplained.IsEmpty ? Sizes(report) : $"at {explanation.ExplainedAt} of {report.Pictures.Length + report.Silent.Length} probed sizes{Unanswered(report)}";
        string elsewhere = explanation.Unexplained.IsEmpty || differs.Length == 0 ? "" : $" {char.ToUpperInvariant(differs[0])}{differs[1..]}.";
        string unseen = explanation.Unseen.IsEmpty ? "" : $"; {(differs.Length > 0 ? differs : $"{string.Join(" and ", explanation.Unseen)} cannot be explained")}", what = unseen.Length > 0 ? "o equals" : "it equals";
        return explanation.Composition.Defects.IsEmpty
            ? $"{name} is {Masks(report)}: {what} the definition {at}{unseen}{beside}.{elsewhere}"
            : $"{name} is {Is(report)} {at}{unseen}: {Defects(explanation.Composition, report)}{elsewhere}{Capital(report.Habits)}";
    }

    // Said first where no stage can be told before it is changed.
    private static HabitFinding? Leading(XrayReport report) =>
        !report.Explanation.IsClaimed || report.Explanation.HasMeasuredShift ? report.Habits.FirstOrDefault(habit => habit.Lead.Length > 0) : null;

    private static string Is(XrayReport report) => report.Explanation.Composition.Defects is { IsEmpty: false } defects ? string.Join(" + ", defects.Select(defect => defect.Name)) : Masks(report);

    private static string Masks(XrayReport report) => string.Join(", ", report.Pictures.Select(picture => picture.Probe.Config.Mask).Distinct());

    private static string Defects(Composition composition, XrayReport report)
    {
        MaskPolicy mask = report.Pictures[0].Probe.Config.Mask;
        bool several = composition.Defects.Length > 1;
        return string.Join(" ", composition.Defects.Select((defect, i) => $"{(several ? $"({i + 1}) " : "")}{defect.What}{Region(composition, defect, mask)}"));
    }

    // What one defect does at an ordinary size may show only beside another one: then nothing is said of where it shows alone.
    private static string Region(Composition composition, Defect defect, MaskPolicy mask) =>
        DefectCatalogue.All.Contains(defect) && !DefectRegion.ShowsBeside(composition, defect, mask) && DefectRegion.Of(Composition.Of(defect), mask) is { Length: > 0 } region ? $" It shows {region}." : "";

    private static IEnumerable<string> Fixes(XrayReport report)
    {
        ImmutableArray<string> fixes = !report.Explanation.IsClaimed || Leading(report) is not null ? [] : [.. report.Explanation.Composition.Defects.Select(defect => defect.Fix)];
        if (fixes.Length > 0)
            yield return $"To fix: {string.Join(" ", fixes.Select((fix, i) => fixes.Length > 1 ? $"({i + 1}) {fix}" : fix))}";
        if (!report.Silent.IsEmpty)
            yield return $"{(fixes.Length > 0 ? "And let" : "To fix: let")} it answer {SilentSizes.Where(report)}, or declare that it does not (docs/port-protocol.md, Capabilities): {SilentSizes.Reason(report)}.";
        foreach (HabitFinding habit in report.Faults.Where(habit => habit.Fix.Length > 0))
            yield return fixes.Length > 0 || report.Faults.Length > 1 ? $"To fix that {habit.Clause.Split(',', ';', ':')[0]}: {habit.Fix}" : $"To fix: {habit.Fix}";
    }

    // Nothing is advised where it is not known what is wrong: but where that shows, and which steps would make it.
    private static IEnumerable<string> Looks(XrayReport report) => Leading(report) is not null ? [] :
        report.Differences.Select(difference => $"Look at {difference.Look}.{(difference.Example.Length > 0 ? $" {difference.Example}" : "")}");

    // What comes near without being it: said last, and without advice.
    private static IEnumerable<string> Nearest(XrayReport report)
    {
        Explanation explanation = report.Explanation;
        if (explanation.IsClaimed || Leading(report) is not null)
            yield break;
        if (explanation.ExplainedAt > 0)
            yield return string.Create(CultureInfo.InvariantCulture, $"At {explanation.ExplainedAt} of {report.Pictures.Length} sizes it answers as {Is(report)} would, and at the others not, so that this may be chance.");
        else if (explanation.Composition.Defects.IsEmpty || explanation.Rows - explanation.RowsOfDefinition < Most * (1 - explanation.RowsOfDefinition))
            yield return string.Create(CultureInfo.InvariantCulture, $"Right are {100 * explanation.RowsOfDefinition:0} % of its rows at equal scores.");
        else
            yield return string.Create(CultureInfo.InvariantCulture, $"At equal scores {Is(report)} answers alike in {100 * explanation.Rows:0} % of its rows, and the definition in {100 * explanation.RowsOfDefinition:0} %.");
    }

    private static IEnumerable<string> Alternatives(Explanation explanation)
    {
        ImmutableArray<Composition> others = explanation.Compositions[1..];
        if (explanation.IsClaimed && !others.IsEmpty)
            yield return $"Not to be told apart at {(explanation.ExplainedAt == 1 ? "this size" : "these sizes")}: {string.Join("; ", others.Take(MostAlternatives))}{(others.Length > MostAlternatives ? string.Create(CultureInfo.InvariantCulture, $"; and {others.Length - MostAlternatives} more") : "")}.";
    }

    private static IEnumerable<string> Failures(XrayReport report)
    {
        foreach (var same in report.Failures.GroupBy(failure => failure.Reason))
            yield return $"Not looked at: {string.Join("; ", same.Select(failure => failure.Probe))} ({same.Key}).";
    }

    private static string Sizes(XrayReport report) => (report.Pictures.Length, report.Silent.Length) switch
    {
        (1, 0) => "at the probed size",
        (var count, 0) => string.Create(CultureInfo.InvariantCulture, $"at all {count} probed sizes"),
        (var count, var silent) => string.Create(CultureInfo.InvariantCulture, $"at {count} of {count + silent} probed sizes{Unanswered(report)}"),
    };

    private static string Unanswered(XrayReport report) => report.Silent.IsEmpty ? "" : $", and gives no answer {SilentSizes.Where(report)}";

    private static string Beside(ImmutableArray<HabitFinding> habits) => string.Concat(habits.Select(habit => $", and {habit.Clause}"));

    private static string Capital(ImmutableArray<HabitFinding> habits) => string.Concat(habits.Select(habit => $" {char.ToUpperInvariant(habit.Clause[0])}{habit.Clause[1..]}."));
}
