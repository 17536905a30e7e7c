// How are the runs of an experiment done one after the other, and taken up again after a stop?
using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using S2Attn.Conformance.Validation;
using S2Attn.Experiments.Data;
using S2Attn.Experiments.Model;
using S2Attn.Experiments.Training;

namespace S2Attn.Experiments.Grid;

/// <summary>How far an experiment is.</summary>
/// <param name="Run">What is under way.</param>
/// <param name="Number">Its number, from 1.</param>
/// <param name="Count">How many runs there are.</param>
/// <param name="Share">The share of the whole experiment's work that is done.</param>
/// <param name="Left">Time that is left at the pace of this session; zero where nothing is known.</param>
/// <param name="Loss">The last training loss.</param>
internal sealed record RunProgress(string Run, int Number, int Count, double Share, TimeSpan Left, double Loss);

/// <summary>Does what is missing of an experiment. One thread; a stop is answered between two steps, and what was begun is kept in the folder of work.</summary>
internal sealed class Runner
{
    private const int CurvePoints = 16, StepsBetweenSaves = 100, DigestDigits = 16;

    private readonly Experiment experiment;
    private readonly ITask task;
    private readonly string work, bases, resultsPath, commit;
    private readonly Action<RunProgress> report;
    private readonly Stopwatch watch = Stopwatch.StartNew();
    private double cost, done, doneHere;

    /// <param name="experiment">The experiment.</param>
    /// <param name="resultsFolder">Where its CSV is.</param>
    /// <param name="workFolder">Where checkpoints are; another machine does not need them.</param>
    /// <param name="commit">The commit of the program, for the results.</param>
    /// <param name="report">Called after each step.</param>
    public Runner(Experiment experiment, string resultsFolder, string workFolder, string commit, Action<RunProgress> report)
    {
        this.experiment = experiment.WithoutRefused();
        this.commit = commit;
        this.report = report;
        task = this.experiment.Task();
        work = Path.Combine(workFolder, experiment.Name);
        bases = Path.Combine(workFolder, experiment.Package.Length > 0 ? experiment.Package : experiment.Name);
        resultsPath = Results.PathOf(resultsFolder, experiment.Name);
    }

    /// <summary>The processor and the operating system.</summary>
    public static string Machine { get; } = $"{Processor()} {RuntimeInformation.OSArchitecture} {(OperatingSystem.IsLinux() ? "Linux" : RuntimeInformation.OSDescription)}";

    /// <summary>Whether checkpoints of the experiment are there, or results.</summary>
    public static bool HasBegun(Experiment experiment, string resultsFolder, string workFolder) =>
        File.Exists(Results.PathOf(resultsFolder, experiment.Name))
        || Path.Combine(workFolder, experiment.Name) is var folder && Directory.Exists(folder) && Directory.EnumerateFiles(folder).Any();

    /// <summary>The learning rate of each cell that has the best validation loss among those that are done.</summary>
    public static double RateOf(Experiment experiment, Cell cell, IEnumerable<Result> results) => results
        .Where(result => result.Run.Cell == cell && (result.Run.Checkpoint, result.Run.Seed) == (1, 1))
        .OrderBy(result => result.Validation)
        .Select(result => result.Run.LearningRate)
        .FirstOrDefault(experiment.RatesOf(cell)[0]);

    /// <summary>The results that stand for their cells: those at the chosen rates.</summary>
    public static ImmutableArray<Result> Chosen(Experiment experiment, IReadOnlyCollection<Result> results) =>
        [.. results.Where(result => result.Run.LearningRate == RateOf(experiment, result.Run.Cell, results))];

    /// <summary>Does all runs that have no result yet and whose name contains <paramref name="only"/>.</summary>
    /// <exception cref="OperationCanceledException">It was stopped; the next call goes on.</exception>
    public void GoOn(string only, CancellationToken cancellation)
    {
        Directory.CreateDirectory(work);

        // Tried first: when a run is done, nothing is kept of it but its result.
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(resultsPath))!);
        WholeFile.CheckWritable(resultsPath);
        List<Result> results = [.. Results.Read(resultsPath)];
        for (int checkpoint = 1; checkpoint <= experiment.Checkpoints; checkpoint++)
            if (experiment.PretrainingSteps > 0 && File.Exists(BasePath(checkpoint)))
                done += experiment.PretrainingSteps;
        int choices = experiment.Choices.Count(), meant = experiment.Runs(_ => experiment.LearningRates[0]).Count(IsMeant);
        if (meant == 0)
            throw new ArgumentException($"{only}: no run of {experiment.Name} has this in its name, as has \"{experiment.Choices.Last()}\"", nameof(only));
        cost = experiment.Checkpoints * (double)experiment.PretrainingSteps + meant * (double)experiment.Steps;
        done += results.Count(result => IsMeant(result.Run)) * (double)experiment.Steps;
        for (int number = 0; number < experiment.Count; number++)
        {
            // A rate is chosen when all of its cell's choices are done, which the order of the runs gives.
            Run run = experiment.Runs(cell => RateOf(experiment, cell, results)).ElementAt(number);
            if (results.Any(result => result.Run == run) || !IsMeant(run))
                continue;
            if (number >= choices && experiment.Choices.Any(choice => choice.Cell == run.Cell && !results.Any(result => result.Run == choice)))
                throw new ArgumentException($"{only}: {run.Cell} has not chosen its learning rate yet; do all of \"{run.Cell}\" first", nameof(only));
            results.Add(Do(run, number + 1, cancellation));
            Results.Write(resultsPath, results);
        }

        bool IsMeant(Run run) => run.ToString().Contains(only, StringComparison.Ordinal);
    }

    /// <summary>Does one run from nothing, without touching results or what is kept of others.</summary>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public Result Repeat(Run run, CancellationToken cancellation)
    {
        Directory.CreateDirectory(work);
        cost = experiment.PretrainingSteps + experiment.Steps;
        return Do(run, 1, cancellation);
    }

    // Experiments on the same texts begin with the same checkpoints where their decoders are of the same depth; what a file is of stands in it.
    private string BasePath(int checkpoint) => Path.Combine(bases, string.Create(CultureInfo.InvariantCulture, $"base-L{experiment.Shape.Layers}-{checkpoint}.safetensors"));

    private Result Do(Run run, int number, CancellationToken cancellation)
    {
        DecoderParameters parameters = Base(run.Checkpoint, number, cancellation);
        TrainingSetup setup = experiment.Setup(run);
        TimeSpan before = Process.GetCurrentProcess().TotalProcessorTime;
        using Trainer trainer = new(setup, task, parameters);
        Train(trainer, Path.Combine(work, "run.safetensors"), run.ToString(), number, cancellation);
        Evaluation At(Arm arm, Portion portion) => Evaluation.Of(setup, arm, task, parameters, portion, Math.Max(1, experiment.EvaluationBatches));
        Evaluation Fully(Portion portion) => experiment.EvaluatedTokens > 0
            ? Evaluation.InSlices(setup, experiment.EvaluatedTokens, task, parameters, portion, experiment.EvaluationBatches * experiment.BatchTokens / experiment.EvaluatedTokens)
            : At(Arm.Full, portion);
        Evaluation full = Fully(Portion.Test), own = At(setup.Arm, Portion.Test);
        double validation = Fully(Portion.Validation).Loss;
        return new(
            run, validation, new(full.Loss, full.LossOf), new(own.Loss, own.LossOf), full.AccuracyOf, Curve(trainer.Losses), Digest(parameters), commit, Machine,
            (Process.GetCurrentProcess().TotalProcessorTime - before).TotalMinutes);
    }

    // The parameters that runs of a checkpoint begin with; pretrained once.
    private DecoderParameters Base(int checkpoint, int number, CancellationToken cancellation)
    {
        DecoderParameters parameters = DecoderParameters.Drawn(experiment.Shape, checkpoint);
        if (experiment.PretrainingSteps == 0)
            return parameters;
        TrainingSetup setup = experiment.PretrainingSetup(checkpoint);
        if (File.Exists(BasePath(checkpoint)))
        {
            Checkpoint.ReadParameters(BasePath(checkpoint), parameters, setup.Describe());
            return parameters;
        }

        using Trainer trainer = new(setup, task, parameters);
        Train(trainer, Path.Combine(work, "pretraining.safetensors"), $"pretraining, checkpoint {checkpoint}", number, cancellation);
        Directory.CreateDirectory(bases);
        Checkpoint.WriteParameters(BasePath(checkpoint), parameters, setup.Describe());
        return parameters;
    }

    private static ImmutableArray<double> Curve(List<double> losses) => losses.Count == 0
        ? []
        : [.. Enumerable.Range(0, CurvePoints).Select(i => losses.Skip(i * losses.Count / CurvePoints).Take(Math.Max(1, losses.Count / CurvePoints)).Average())];

    private static string Digest(DecoderParameters parameters)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (Parameter parameter in parameters.All)
            hash.AppendData(MemoryMarshal.AsBytes(parameter.Values.AsSpan()));
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..DigestDigits];
    }

    private static string Processor()
    {
        const string Information = "/proc/cpuinfo", Key = "model name";
        string? line = File.Exists(Information) ? File.ReadLines(Information).FirstOrDefault(candidate => candidate.StartsWith(Key, StringComparison.Ordinal)) : null;
        return line is null ? "unknown processor" : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
    }

    private void Train(Trainer trainer, string path, string name, int number, CancellationToken cancellation)
    {
        if (File.Exists(path) && Checkpoint.IsOf(path, trainer))
            Checkpoint.ReadRun(path, trainer);
        done += trainer.Done;
        while (trainer.Done < trainer.Setup.Steps)
        {
            if (trainer.Done > 0 && (cancellation.IsCancellationRequested || trainer.Done % StepsBetweenSaves == 0))
                Checkpoint.WriteRun(path, trainer);
            cancellation.ThrowIfCancellationRequested();
            double loss = trainer.Step();
            done++;
            doneHere++;
            report(new(name, number, experiment.Count, Math.Min(1, done / cost), (cost - done) / doneHere * watch.Elapsed, loss));
        }

        File.Delete(path);
    }
}
