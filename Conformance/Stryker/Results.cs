// What is known of each mutant, and how is it told?
using System.Globalization;
using System.Text.Json;

namespace S2Attn.Stryker;

/// <summary>A mutant of dotnet-stryker's report that compiles and is not left out.</summary>
internal sealed record Mutant(int Id, string File, int Line, string Original, string Replacement)
{
    public static IReadOnlyList<Mutant> Of(string report)
    {
        using JsonDocument document = JsonDocument.Parse(System.IO.File.ReadAllBytes(report));
        return
        [
            .. from file in document.RootElement.GetProperty("files").EnumerateObject()
               let lines = file.Value.GetProperty("source").GetString()!.Split('\n')
               from mutant in file.Value.GetProperty("mutants").EnumerateArray()
               where mutant.GetProperty("status").GetString() is not ("Ignored" or "CompileError")
               let location = mutant.GetProperty("location")
               let start = location.GetProperty("start")
               let end = location.GetProperty("end")
               let line = start.GetProperty("line").GetInt32()
               let text = lines[line - 1]
               let last = line == end.GetProperty("line").GetInt32() ? end.GetProperty("column").GetInt32() - 1 : text.Length
               select new Mutant(
                   int.Parse(mutant.GetProperty("id").GetString()!, CultureInfo.InvariantCulture), Path.GetFileName(file.Name), line,
                   text[(start.GetProperty("column").GetInt32() - 1)..Math.Min(last, text.Length)].Trim(), mutant.GetProperty("replacement").GetString()!.ReplaceLineEndings(" ")),
        ];
    }
}

/// <summary>How far a mutant came.</summary>
internal enum OutcomeKind
{
    Begun,
    Killed,
    TimedOut,
    Crashed,
    Survived,
    SurvivedAlone,
}

/// <summary>One line of what is kept: the last one of a mutant counts.</summary>
/// <param name="Id">The mutant.</param>
/// <param name="Kind">How far it came.</param>
/// <param name="Text">What saw it; for a survivor, what it met: the seconds that a witness might take, the classes, and which build of them.</param>
internal sealed record Outcome(int Id, OutcomeKind Kind, string Text)
{
    public bool HasSurvived => Kind is OutcomeKind.Survived or OutcomeKind.SurvivedAlone;

    public static void Add(string results, Outcome outcome) => File.AppendAllText(results, $"{outcome.Id}\t{outcome.Kind}\t{outcome.Text}\n");

    public static Outcome? Last(string results) => All(results).LastOrDefault();

    public static IReadOnlyDictionary<int, Outcome> Of(string results) => All(results).GroupBy(outcome => outcome.Id).ToDictionary(group => group.Key, group => group.Last());

    private static IEnumerable<Outcome> All(string results) =>
        from line in File.Exists(results) ? File.ReadAllLines(results) : []
        let cells = line.Split('\t')
        select new Outcome(int.Parse(cells[0], CultureInfo.InvariantCulture), Enum.Parse<OutcomeKind>(cells[1]), cells[2]);
}

/// <summary>The score of each file, and below it what survived.</summary>
internal static class Table
{
    public static void Print(IReadOnlyList<Mutant> mutants, IReadOnlyDictionary<int, Outcome> outcomes)
    {
        foreach (IGrouping<string, Mutant> file in mutants.GroupBy(mutant => mutant.File))
        {
            Mutant[] survivors = [.. file.Where(mutant => outcomes[mutant.Id].HasSurvived)];
            Console.WriteLine($"| {file.Key} | {file.Count()} | {file.Count() - survivors.Length} |");
            foreach (Mutant survivor in survivors)
                Console.WriteLine($"    {survivor.Id} {survivor.File}:{survivor.Line} {survivor.Original} -> {survivor.Replacement}");
        }

        int killed = mutants.Count(mutant => !outcomes[mutant.Id].HasSurvived);
        int Of(OutcomeKind kind) => mutants.Count(mutant => outcomes[mutant.Id].Kind == kind);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{killed} of {mutants.Count}, {100.0 * killed / mutants.Count:f1} %, of which {Of(OutcomeKind.TimedOut)} hung and {Of(OutcomeKind.Crashed)} brought the process down"));
    }
}
