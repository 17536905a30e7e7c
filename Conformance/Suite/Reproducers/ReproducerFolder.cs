// Where do the reproducers of a run go, and what are they called?
using System.Collections.Immutable;
using System.Globalization;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Safetensors;
using S2Attn.Conformance.Validation;

namespace S2Attn.Conformance.Reproducers;

/// <summary>A port of a run, and the command-line arguments that name it again.</summary>
public sealed record ReproducedPort(string Subject, IAttentionPort Port, string Arguments);

/// <summary>Writes PROPERTY-N.md for each failing row of a port, and PROPERTY-N.safetensors and test_PROPERTY_N.py where one answer alone is wrong.</summary>
public static class ReproducerFolder
{
    /// <summary>Creates the folder and sees that files can be written there: a run of minutes must not end with a path that cannot be written.</summary>
    /// <exception cref="IOException">It cannot be created or written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public static void Prepare(string folder)
    {
        Directory.CreateDirectory(folder);
        string probe = Path.Combine(folder, $".{Guid.NewGuid():N}.tmp");
        File.WriteAllBytes(probe, []);
        File.Delete(probe);
    }

    /// <summary>Asks the ports of the failing rows again, and writes what was found. Files of the same names are replaced.</summary>
    /// <param name="folder">The folder, prepared.</param>
    /// <param name="options">The options of the run; the search for plainer tensors may take as long as the shrinking of one failure.</param>
    /// <param name="results">The rows.</param>
    /// <param name="ports">The ports, still open.</param>
    /// <param name="cancellation">Ends the search: of the rows that are left only what is known is written.</param>
    /// <returns>The files, as they are written.</returns>
    public static IEnumerable<string> Write(
        string folder, SuiteOptions options, IEnumerable<PropertyResult> results, ImmutableArray<ReproducedPort> ports, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        foreach (IGrouping<string, PropertyResult> rows in results.Where(result => result.IsBad && !result.Counterexample[0].Shrunk.IsEmpty).GroupBy(result => result.Name))
            foreach ((int i, PropertyResult result) in rows.Index())
            {
                ReproducedPort port = ports.Single(candidate => candidate.Subject == result.Subject);
                foreach (string file in WriteOne(folder, options, result, port, i + 1, cancellation))
                    yield return file;
            }
    }

    private static string[] WriteOne(string folder, SuiteOptions options, PropertyResult result, ReproducedPort port, int number, CancellationToken cancellation)
    {
        Property property = PropertyCatalogue.All.Single(candidate => candidate.Name == result.Name);
        string name = string.Create(CultureInfo.InvariantCulture, $"{result.Name}-{number}");
        string repeat = string.Create(CultureInfo.InvariantCulture, $"s2attn check {port.Arguments} --filter {result.Name} --seed {options.Seed} --cases {options.Cases}");
        string head = ReproducerText.Head(result, port.Port.Description, repeat);
        if (cancellation.IsCancellationRequested)
            return [Text(name + ".md", head + ReproducerText.Stopped)];
        SearchResult search = ReproducerSearch.Find(options.ShrinkLimit, property, port.Port, result.Counterexample[0].Shrunk[0], cancellation);
        if (cancellation.IsCancellationRequested)
            return [Text(name + ".md", head + ReproducerText.Stopped)];
        if (search is not SearchResult.Wrong wrong)
            return [Text(name + ".md", head + ReproducerText.None(search))];

        ReproducerOrigin origin = new(result.Name, port.Port.Description.Name, options.Seed, options.Cases);
        Reproducer reproducer = new(origin, wrong.Case, Reproducer.Expect(wrong.Case, Agreement.ModelOf(port.Port, wrong.Case.Config, wrong.Case.ElementType)));
        string tensors = name + ".safetensors", test = $"test_{name.Replace('.', '_').Replace('-', '_')}.py";
        SafetensorsWriter.Write(Path.Combine(folder, tensors), ReproducerFile.Of(reproducer));
        return
        [
            Path.Combine(folder, tensors),
            Text(name + ".md", head + ReproducerText.Wrong(reproducer, wrong, tensors, test, port.Arguments)),
            Text(test, PythonTest.Write(reproducer, wrong.Difference.Tensor, tensors, repeat)),
        ];

        string Text(string file, string text)
        {
            string path = Path.Combine(folder, file);
            WholeFile.Write(path, text);
            return path;
        }
    }
}
