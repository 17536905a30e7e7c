// What does one process do with the mutants that are given to it?
using System.Diagnostics;
using System.Globalization;
using System.Reflection;

namespace S2Attn.Stryker;

/// <summary>Turns one mutant after the other on and runs the witnesses, the fastest first and before all the one that saw the mutant before, until one fails.</summary>
internal static class Runner
{
    public const string Argument = "--run";
    public const int TimedOut = 3;

    /// <summary>Processor seconds that a witness may take beyond ten times what it takes without a mutant.</summary>
    private const double Patience = 2;

    /// <summary>Seconds of the clock for each of these: a witness that waits for what never comes takes none of a processor. Others may use the machine too.</summary>
    private const double ClockPatience = 40;

    /// <summary>Processor seconds up to which a witness is run for a mutant alone in its process, where everything is compiled anew.</summary>
    private const double Quick = 0.1;

    public static int Run(string[] args)
    {
        (string folder, string classes, string results, string limit, string met, bool isAlone) = (args[0], args[1], args[2], args[3], args[4], args[5] == "alone");
        string costs = Path.ChangeExtension(results, $"{met[^8..]}.costs");
        Assembly tests = new TestFolder(Path.GetFullPath(folder)).LoadFromAssemblyPath(Path.GetFullPath(Path.Combine(folder, "S2Attn.Tests.dll")));
        FieldInfo active = Control(tests.GetReferencedAssemblies().Select(name => System.Runtime.Loader.AssemblyLoadContext.GetLoadContext(tests)!.LoadFromAssemblyName(name)));
        int[] ids = [.. args[6].Split(',').Select(id => int.Parse(id, CultureInfo.InvariantCulture))];
        if (isAlone)
            active.SetValue(null, ids[0]);
        double most = double.Parse(limit, CultureInfo.InvariantCulture);
        List<Witness> witnesses = [.. Witness.Of(tests, classes.Split(',').ToHashSet())];
        Dictionary<string, double> cost = Read(costs);
        if (isAlone)
            return Meet(ids[0], Within(Quick), cost, active, results, new(ids[0], OutcomeKind.SurvivedAlone, met)) ? 0 : TimedOut;

        // Without a mutant each passes. What it takes is measured once for each build of the tests: where a mutant hangs, the process after it need not do so again.
        active.SetValue(null, -1);
        foreach (Witness witness in witnesses.Where(witness => !cost.ContainsKey(witness.Name)).ToArray())
        {
            TimeSpan before = Now;
            try
            {
                witness.Run();
            }
            catch (Exception exception)
            {
                Console.Error.WriteLine($"{witness.Name} fails without a mutant, and is left out: {exception.InnerException?.Message}");
                witnesses.Remove(witness);
                continue;
            }

            cost[witness.Name] = (Now - before).TotalSeconds;
            File.AppendAllText(costs, string.Create(CultureInfo.InvariantCulture, $"{witness.Name}\t{cost[witness.Name]:f4}\n"));
        }

        witnesses = Within(most);
        foreach (int id in ids)
            if (!Meet(id, witnesses, cost, active, results, new(id, OutcomeKind.Survived, met)))
                return TimedOut;

        // No mutant may have left anything behind by which the next was judged.
        active.SetValue(null, -1);
        foreach (Witness witness in witnesses)
            witness.Run();
        return 0;

        List<Witness> Within(double seconds) => [.. witnesses.Where(witness => cost.TryGetValue(witness.Name, out double takes) && takes <= seconds).OrderBy(witness => cost[witness.Name])];
    }

    private static TimeSpan Now => Process.GetCurrentProcess().TotalProcessorTime;

    // The switch that dotnet-stryker compiles into the assembly that it mutates.
    private static FieldInfo Control(IEnumerable<Assembly> assemblies) =>
        assemblies.Where(assembly => assembly.GetName().Name!.StartsWith("S2Attn", StringComparison.Ordinal)).SelectMany(assembly => assembly.GetTypes())
            .Single(type => type.Name == "MutantControl").GetField("ActiveMutant")!;

    private static Dictionary<string, double> Read(string costs) =>
        (File.Exists(costs) ? File.ReadAllLines(costs) : []).Select(line => line.Split('\t')).GroupBy(cells => cells[0]).ToDictionary(lines => lines.Key, lines => double.Parse(lines.Last()[1], CultureInfo.InvariantCulture));

    // False where a witness does not come to an end: its thread cannot be stopped, so the process must end.
    private static bool Meet(int id, List<Witness> witnesses, Dictionary<string, double> cost, FieldInfo active, string results, Outcome otherwise)
    {
        Outcome.Add(results, new(id, OutcomeKind.Begun, ""));
        active.SetValue(null, id);
        for (int i = 0; i < witnesses.Count; i++)
        {
            Witness witness = witnesses[i];
            Exception? thrown = null;
            TimeSpan before = Now;
            Stopwatch clock = Stopwatch.StartNew();
            Thread thread = new(() =>
            {
                try
                {
                    witness.Run();
                }
                catch (Exception exception)
                {
                    thrown = exception is TargetInvocationException { InnerException: { } inner } ? inner : exception;
                }
            })
            { IsBackground = true };
            thread.Start();
            double patience = Patience + 10 * cost[witness.Name];
            while (!thread.Join(TimeSpan.FromSeconds(1)))
                if ((Now - before).TotalSeconds > patience || clock.Elapsed.TotalSeconds > ClockPatience * patience)
                {
                    Outcome.Add(results, new(id, OutcomeKind.TimedOut, witness.Name));
                    return false;
                }

            if (thrown is null)
                continue;
            Outcome.Add(results, new(id, OutcomeKind.Killed, $"{witness.Name}: {thrown.GetType().Name}"));
            witnesses.RemoveAt(i);
            witnesses.Insert(0, witness);
            return true;
        }

        Outcome.Add(results, otherwise);
        return true;
    }
}
