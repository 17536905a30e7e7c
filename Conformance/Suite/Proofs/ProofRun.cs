// How does a plan become results? Solvers in parallel, one process for each script.
using System.Collections.Concurrent;
using System.Collections.Immutable;
using S2Attn.Spec;

namespace S2Attn.Conformance.Proofs;

/// <summary>How a plan is run.</summary>
/// <param name="Solvers">The first is asked alone for a moment, then all at once, until one decides.</param>
/// <param name="Folder">Where the scripts are written.</param>
/// <param name="Timeout">For one question to one solver.</param>
/// <param name="Jobs">How many processes at once.</param>
public sealed record ProofOptions(ImmutableArray<Solver> Solvers, string Folder, TimeSpan Timeout, int Jobs);

/// <summary>Runs plans.</summary>
public static class ProofRun
{
    // Every known counterexample has at most 6 tokens.
    private const int MaxTokens = 16;

    // Nearly every script is decided within this time by the solver that is asked first.
    private static readonly TimeSpan Brief = TimeSpan.FromSeconds(2);

    private sealed record Asked(Obligation Obligation, Answer Answer, string Solver);

    /// <summary>Proves and refutes; results come in the order of the subjects, those alone that were through where it was stopped.</summary>
    /// <param name="subjects">What to prove and refute.</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Is told of each subject that ended.</param>
    /// <param name="cancellation">Stops the solvers.</param>
    public static async Task<ImmutableArray<SubjectResult>> RunAsync(
        IReadOnlyList<Subject> subjects, ProofOptions options, Action<SubjectResult> progress, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(subjects);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(progress);
        Directory.CreateDirectory(options.Folder);
        ConcurrentDictionary<int, SubjectResult> results = [];
        ParallelOptions parallel = new() { MaxDegreeOfParallelism = options.Jobs, CancellationToken = cancellation };
        try
        {
            await Parallel.ForEachAsync(Enumerable.Range(0, subjects.Count), parallel, async (index, token) =>
            {
                SubjectResult result = subjects[index] switch
                {
                    Subject.ToProve proof => await ProveAsync(proof, options, token),
                    Subject.ToRefute claim => await RefuteAsync(claim, options, token),
                    _ => throw new InvalidOperationException($"Unknown subject {subjects[index]}."),
                };
                // The signal that stops this run ends a solver too, which then decides nothing.
                if (!result.IsGood)
                    token.ThrowIfCancellationRequested();
                results[index] = result;
                progress(result);
            });
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // What is through is worth keeping.
        }

        return [.. results.OrderBy(result => result.Key).Select(result => result.Value)];
    }

    private static async Task<SubjectResult> ProveAsync(Subject.ToProve proof, ProofOptions options, CancellationToken cancellation)
    {
        List<Asked> asked = [];
        foreach (Obligation obligation in proof.Obligations)
        {
            Asked answer = await AskAsync(obligation, options, cancellation);
            asked.Add(answer);
            if (answer.Answer.Verdict == obligation.Expected)
                continue;
            return answer.Answer.Verdict switch
            {
                Verdict.Unknown => Result(proof, Outcome.Undecided, asked, $"{obligation.Name}: {answer.Answer.Reason}"),
                Verdict.Unsat => Result(proof, Outcome.Vacuous, asked, $"{obligation.Name}: no values meet the assumptions"),
                _ => Result(proof, Outcome.Fails, asked, $"{obligation.Name}: {await ModelAsync(obligation, options, asked, cancellation)}"),
            };
        }

        return Result(proof, Outcome.Proved, asked, "");
    }

    private static async Task<string> ModelAsync(Obligation obligation, ProofOptions options, List<Asked> asked, CancellationToken cancellation)
    {
        Asked again = await AskAsync(obligation with { Name = obligation.Name + ".model", Script = obligation.ScriptWithModel }, options, cancellation);
        asked.Add(again);
        string values = string.Join(' ', again.Answer.Values.Select(value => FormattableString.Invariant($"{value.Key}={value.Value}")));
        return values.Length > 0 ? $"fails at {values}" : "fails, but no solver gave values";
    }

    // The least N that has a counterexample, then the least G for it, and so on: the first in the order in which Spec enumerates them. The scripts
    // for smaller values, all unsat, show that it is the smallest.
    private static async Task<SubjectResult> RefuteAsync(Subject.ToRefute claim, ProofOptions options, CancellationToken cancellation)
    {
        Goal goal = Goal.Of(claim.Theorem);
        List<Asked> asked = [];
        Witness witness = default;
        ImmutableArray<Prop> bounds = [];
        string suffix = "";
        for (int i = 0; i < goal.Variables.Length; i++)
        {
            Term.Variable variable = goal.Variables[i];
            int least = i < 2 ? 1 : 0;
            for (; i == 0 || least < ValueOf(witness, i); least++)
            {
                if (least > MaxTokens)
                    return Result(claim, Outcome.NotRefuted, asked, FormattableString.Invariant($"no counterexample up to N = {MaxTokens}"));
                asked.Add(await AskAsync(
                    Obligation.Refutation(goal, FormattableString.Invariant($"{suffix}.{variable.Name}{least}"), bounds.Add(Term.Equal(variable, least))), options, cancellation));
                Answer answer = asked[^1].Answer;
                if (answer.Verdict is Verdict.Unknown)
                    return Result(claim, Outcome.Undecided, asked, $"{asked[^1].Obligation.Name}: {answer.Reason}");
                if (answer.Verdict is Verdict.Unsat)
                    continue;
                if (!Counterexamples.TryRead(answer.Values, out witness))
                    return Result(claim, Outcome.Undecided, asked, $"{asked[^1].Obligation.Name}: sat, but without values that could be read");
                break;
            }

            bounds = bounds.Add(Term.Equal(variable, least));
            suffix += FormattableString.Invariant($".{variable.Name}{least}");
        }

        Confirmation confirmation = Counterexamples.Confirm(claim.Theorem, witness);
        return Result(claim, confirmation.IsConfirmed ? Outcome.Refuted : Outcome.Disagreement, asked, $"{witness}: {confirmation.Text}");
    }

    private static int ValueOf(Witness witness, int variable) => variable switch
    {
        0 => witness.N,
        1 => witness.G,
        2 => witness.S,
        3 => witness.X,
        _ => witness.Y,
    };

    private static async Task<Asked> AskAsync(Obligation obligation, ProofOptions options, CancellationToken cancellation)
    {
        string file = ScriptOf(options, obligation.Name);
        await File.WriteAllTextAsync(file, obligation.Script, cancellation);
        TimeSpan elapsed = TimeSpan.Zero;
        if (options.Solvers.Length > 1 && Brief < options.Timeout)
        {
            Asked alone = await FirstAsync(obligation, file, options.Solvers[..1], Brief, cancellation);
            if (alone.Answer.Verdict is not Verdict.Unknown)
                return alone;
            elapsed = alone.Answer.Elapsed;
        }

        // What one solver decides in seconds another may not in minutes, and which is which differs from script to script: the hard ones go to all at once.
        Asked raced = await FirstAsync(obligation, file, options.Solvers, options.Timeout, cancellation);
        return raced with { Answer = raced.Answer with { Elapsed = elapsed + raced.Answer.Elapsed } };
    }

    // Asks all of some solvers at once; the first verdict ends the others.
    private static async Task<Asked> FirstAsync(Obligation obligation, string file, ImmutableArray<Solver> solvers, TimeSpan timeout, CancellationToken cancellation)
    {
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Dictionary<Task<Answer>, Solver> running = solvers.ToDictionary(solver => solver.AskAsync(file, timeout, over.Token), solver => solver);
        TimeSpan elapsed = TimeSpan.Zero;
        List<string> reasons = [];
        try
        {
            while (running.Count > 0)
            {
                Task<Answer> ended = await Task.WhenAny(running.Keys);
                Solver solver = running[ended];
                running.Remove(ended);
                Answer answer = await ended;
                elapsed += answer.Elapsed;
                if (answer.Verdict is not Verdict.Unknown)
                    return new(obligation, answer with { Elapsed = elapsed }, solver.Name);
                reasons.Add($"{solver.Name}: {answer.Reason}");
            }

            return Undecided(obligation, reasons, elapsed);
        }
        finally
        {
            await over.CancelAsync();
            await Task.WhenAll(running.Keys).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }

    private static Asked Undecided(Obligation obligation, List<string> reasons, TimeSpan elapsed) =>
        new(obligation, new(Verdict.Unknown, new Dictionary<string, long>(), string.Join("; ", reasons), elapsed), "");

    private static string ScriptOf(ProofOptions options, string name) => Path.Combine(options.Folder, name + ".smt2");

    private static SubjectResult Result(Subject subject, Outcome outcome, List<Asked> asked, string detail) => new(
        subject,
        outcome,
        [.. asked.Select(answer => answer.Solver).Where(solver => solver.Length > 0).Distinct().Order(StringComparer.Ordinal)],
        asked.Count,
        asked.Aggregate(TimeSpan.Zero, (sum, answer) => sum + answer.Answer.Elapsed),
        detail);
}
