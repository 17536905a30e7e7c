// What does a whole check consist of? Theorems, then every property of every port, as one stream of events.
using System.Collections.Concurrent;
using System.Collections.Immutable;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Text;
using S2Attn.Conformance.Validation;
using S2Attn.Spec;

namespace S2Attn.Conformance.Running;

/// <summary>One part of a check whose rows have the same subject.</summary>
/// <param name="Subject">The subject.</param>
/// <param name="Rows">How many rows it gives.</param>
/// <param name="Run">Its events.</param>
public sealed record CheckPart(string Subject, int Rows, Func<CancellationToken, IEnumerable<SuiteEvent>> Run);

/// <summary>Puts checks together.</summary>
public static class CheckRun
{
    /// <summary>The theorems of a catalogue whose name contains the filter.</summary>
    public static CheckPart Theorems(SuiteOptions options, string filter, IEnumerable<Theorem> catalogue)
    {
        Theorem[] chosen = [.. catalogue.Where(theorem => Matches(filter, theorem.Name))];
        return new(TheoremRunner.Subject, chosen.Length, cancellation => TheoremRunner.Run(options, chosen, cancellation));
    }

    /// <summary>The properties whose name contains the filter, for a port.</summary>
    public static CheckPart Properties(SuiteOptions options, string filter, string subject, IAttentionPort port)
    {
        Property[] chosen = [.. PropertyCatalogue.All.Where(property => Matches(filter, property.Name))];
        return new(subject, chosen.Length, cancellation => SuiteRunner.Run(options, chosen, subject, port, cancellation));
    }

    /// <summary>Whether a name is asked for.</summary>
    public static bool Matches(string filter, string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return name.Contains(filter, StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>Names for rows of ports: their own, numbered where one is taken.</summary>
    public static ImmutableArray<string> Subjects(IEnumerable<string> names)
    {
        ArgumentNullException.ThrowIfNull(names);
        HashSet<string> taken = new(StringComparer.Ordinal) { TheoremRunner.Subject, "golden" };
        List<string> subjects = [];
        foreach (string name in names)
        {
            string label = ForeignText.Name(name), subject = label;
            for (int i = 2; !taken.Add(subject); i++)
                subject = $"{label} #{i}";
            subjects.Add(subject);
        }

        return [.. subjects];
    }

    /// <summary>Runs parts, several at a time; events of one part come in order. Each part must use a port of its own.</summary>
    public static IEnumerable<SuiteEvent> Run(IReadOnlyList<CheckPart> parts, int atOnce, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(parts);
        BlockingCollection<SuiteEvent> events = [];

        // Neither the work nor what shows it waits for a thread of the pool: properties may hold all that it has.
        Task work = Task.Factory.StartNew(
            () =>
            {
                try
                {
                    Parallel.ForEach(parts, new ParallelOptions { MaxDegreeOfParallelism = atOnce }, part =>
                    {
                        try
                        {
                            foreach (SuiteEvent step in part.Run(cancellation))
                                events.Add(step);
                        }
                        catch (TroubleException trouble)
                        {
                            events.Add(new SuiteEvent.Troubled(part.Subject, trouble.Message));
                        }
                        catch (Exception fault)
                        {
                            // Rows that are through, here and elsewhere, are worth more than this one.
                            events.Add(new SuiteEvent.Troubled(part.Subject, $"this is a fault of s2attn itself, please report it: {fault}"));
                        }
                    });
                }
                finally
                {
                    events.CompleteAdding();
                }
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
        foreach (SuiteEvent step in events.GetConsumingEnumerable(CancellationToken.None))
            yield return step;
        work.GetAwaiter().GetResult();
    }
}
