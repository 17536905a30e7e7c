// Is each mutant of dotnet-stryker's report seen by a witness? All in one process, which is begun anew only where a mutant hangs or brings it down.
using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Security.Cryptography;
using S2Attn.Stryker;

if (args is [Runner.Argument, .. var given])
    return Runner.Run(given);
if (args is not [var report, var folder, var classes, var results, var seconds] || !double.TryParse(seconds, CultureInfo.InvariantCulture, out _))
{
    Console.Error.WriteLine("REPORT.json FOLDER CLASS[,CLASS...] RESULTS.txt SECONDS: the tests of these classes of FOLDER/S2Attn.Tests.dll, which lies beside the mutated assembly, that take no longer. Goes on where RESULTS.txt ends, also with what survived fewer tests, and prints what it says.");
    return 2;
}

// What survived is met again by whatever it has not met so: by other classes, slower tests, or tests that were changed since.
string met = $"{seconds} {classes} {Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(Path.Combine(folder, "S2Attn.Tests.dll"))))[..8]}";
IReadOnlyList<Mutant> mutants = Mutant.Of(report);
for (; ; )
{
    // What is computed once in a process was computed there before a mutant began: each that survives is tried again in a process of its own.
    IReadOnlyDictionary<int, Outcome> known = Outcome.Of(results);
    int[] left = [.. mutants.Select(mutant => mutant.Id).Where(id => !known.TryGetValue(id, out Outcome? outcome) || outcome.Kind is OutcomeKind.Begun || (outcome.HasSurvived && outcome.Text != met))];
    bool isAlone = left.Length == 0;
    if (isAlone)
        left = [.. mutants.Select(mutant => mutant.Id).Where(id => known[id].Kind is OutcomeKind.Survived).Take(1)];
    if (left.Length == 0)
        break;
    ProcessStartInfo start = new(Environment.ProcessPath!, ["exec", Assembly.GetExecutingAssembly().Location, Runner.Argument, folder, classes, results, seconds, met, isAlone ? "alone" : "together", string.Join(',', left)]);
    start.Environment["DOTNET_GCHeapHardLimit"] = "80000000"; // 2 GiB, in hexadecimal digits
    using Process process = Process.Start(start)!;
    process.WaitForExit();
    if (Outcome.Last(results) is { Kind: OutcomeKind.Begun } begun)
        Outcome.Add(results, begun with { Kind = OutcomeKind.Crashed, Text = $"exit code {process.ExitCode}" });
    else if (process.ExitCode is not (0 or Runner.TimedOut))
        return process.ExitCode;
}

Table.Print(mutants, Outcome.Of(results));
return 0;
