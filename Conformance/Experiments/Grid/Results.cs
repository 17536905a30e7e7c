// What is kept of each run, as a line of CSV?
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using S2Attn.Conformance.Validation;
using S2Attn.Experiments.Model;

namespace S2Attn.Experiments.Grid;

/// <summary>A run that is done, and where and when it was. Losses are in nats.</summary>
/// <param name="Run">The run.</param>
/// <param name="Validation">Loss with full attention on the texts for choices.</param>
/// <param name="Full">Losses with full attention on the test texts: over all targets, and by bucket.</param>
/// <param name="Own">The same under the arm's own attention.</param>
/// <param name="Accuracy">With full attention, by bucket.</param>
/// <param name="Curve">The mean training loss of each sixteenth of the steps.</param>
/// <param name="Digest">The first 16 hex digits of the SHA-256 of the parameters, by which another machine tells that it has the same bits.</param>
/// <param name="Commit">The commit of the program.</param>
/// <param name="Machine">Processor and operating system.</param>
/// <param name="Minutes">Minutes of one core.</param>
internal sealed record Result(
    Run Run,
    double Validation,
    Measured Full,
    Measured Own,
    ImmutableArray<double> Accuracy,
    ImmutableArray<double> Curve,
    string Digest,
    string Commit,
    string Machine,
    double Minutes);

/// <summary>A loss over all targets, and by bucket.</summary>
internal sealed record Measured(double All, ImmutableArray<double> ByBucket)
{
    /// <summary>The loss of a bucket; over all where negative.</summary>
    /// <exception cref="FormatException">There is no such bucket.</exception>
    public double Of(int bucket) => bucket < 0 ? All
        : bucket < ByBucket.Length ? ByBucket[bucket]
        : throw new FormatException($"a result has figures of {ByBucket.Length} buckets, and that of bucket {bucket} is missing");
}

/// <summary>The results of an experiment, one a line, written whole after each run.</summary>
internal static class Results
{
    private const string Header =
        "arm,tokens,group,scaling,tuning,checkpoint,seed,rate,validation,full,full_by_bucket,own,own_by_bucket,accuracy_by_bucket,curve,digest,commit,machine,minutes";

    // Far more than all runs of the largest experiment have.
    private const long MaxBytes = 64 << 20;

    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    /// <summary>Where an experiment's results are.</summary>
    public static string PathOf(string folder, string experiment) => Path.Combine(folder, experiment + ".csv");

    /// <summary>Reads results; none where there is no file.</summary>
    /// <exception cref="FormatException">A line is no result; the message names file and line.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static ImmutableArray<Result> Read(string path)
    {
        if (!Path.Exists(path))
            return [];
        string[] lines = Encoding.UTF8.GetString(RegularFile.ReadAllBytes(MaxBytes, path)).ReplaceLineEndings("\n").TrimEnd('\n').Split('\n');
        if (lines[0] != Header)
            throw new FormatException($"{path}: its first line must be {Header}");
        ImmutableArray<Result> results = [.. lines.Skip(1).Select((line, i) => Parse(path, i + 2, line))];
        HashSet<Run> known = [];
        for (int i = 0; i < results.Length; i++)
            if (!known.Add(results[i].Run))
                throw new FormatException($"{path}, line {i + 2}: {results[i].Run} stands there twice");
        return results;
    }

    /// <summary>Writes all results, so that a reader sees the old file or the whole new one.</summary>
    public static void Write(string path, IEnumerable<Result> results)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path)) ?? ".");
        WholeFile.Write(path, string.Concat(results.Select(Line).Prepend(Header).Select(line => line + "\n")));
    }

    private static string Line(Result result)
    {
        (Run run, Cell cell) = (result.Run, result.Run.Cell);
        string[] fields =
        [
            cell.Arm.Name, Text(cell.Tokens), Text(cell.Group), cell.Scaling.ToString(), cell.Tuning.ToString(), Text(run.Checkpoint), Text(run.Seed), run.LearningRate.ToString("R", Invariant),
            Number(result.Validation), Number(result.Full.All), List(result.Full.ByBucket), Number(result.Own.All), List(result.Own.ByBucket), List(result.Accuracy), List(result.Curve),
            result.Digest, result.Commit, result.Machine.Replace(',', ';'), result.Minutes.ToString("0.00", Invariant),
        ];
        return string.Join(',', fields);
    }

    private static string Text(int value) => value.ToString(Invariant);

    private static string Number(double value) => value.ToString("0.00000", Invariant);

    private static string List(ImmutableArray<double> values) => string.Join(' ', values.Select(Number));

    private static Result Parse(string path, int number, string line)
    {
        string[] fields = line.Split(',');
        try
        {
            if (fields.Length != Header.Split(',').Length)
                throw new FormatException($"it has {fields.Length} fields");
            Arm arm = Arm.All.FirstOrDefault(candidate => candidate.Name == fields[0]) ?? throw new FormatException($"arm {fields[0]} is not known");
            Cell cell = new(arm, Count(fields[1]), Count(fields[2]), Named<RopeScaling>(fields[3]), Named<Tuning>(fields[4]));
            Run run = new(cell, Count(fields[5]), Count(fields[6]), Value(fields[7]));
            Measured full = new(Value(fields[9]), Values(fields[10])), own = new(Value(fields[11]), Values(fields[12]));
            ImmutableArray<double> accuracy = Values(fields[13]);
            if (full.ByBucket.IsEmpty || own.ByBucket.Length != full.ByBucket.Length || accuracy.Length != full.ByBucket.Length)
                throw new FormatException($"there must be as many figures in full_by_bucket, own_by_bucket and accuracy_by_bucket, but there are {full.ByBucket.Length}, {own.ByBucket.Length} and {accuracy.Length}");
            return new(run, Value(fields[8]), full, own, accuracy, Values(fields[14]), fields[15], fields[16], fields[17], Value(fields[18]));
        }
        catch (Exception error) when (error is FormatException or ArgumentException or OverflowException)
        {
            throw new FormatException($"{path}, line {number}: {error.Message}", error);
        }
    }

    private static double Value(string text) => double.Parse(text, Invariant);

    private static int Count(string text) => int.Parse(text, NumberStyles.None, Invariant) is > 0 and var count ? count : throw new FormatException($"{text} must be at least 1");

    // A number would be taken for a name too.
    private static T Named<T>(string text)
        where T : struct, Enum => Enum.GetNames<T>().Contains(text) ? Enum.Parse<T>(text) : throw new FormatException($"{text} must be one of {string.Join(", ", Enum.GetNames<T>())}");

    private static ImmutableArray<double> Values(string text) => text.Length == 0 ? [] : [.. text.Split(' ').Select(Value)];
}
