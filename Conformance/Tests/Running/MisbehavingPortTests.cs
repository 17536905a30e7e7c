// Is a port of this process that breaks its contract a result like any other, and never the end of the run?
using System.Collections.Immutable;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Running;

public sealed class MisbehavingPortTests
{
    private static readonly SuiteOptions Few = new() { Seed = 1, Cases = 5, ShrinkLimit = TimeSpan.FromSeconds(1) };

    [Fact]
    public void A_port_that_throws_has_crashed_in_every_row() =>
        FailsEverywhere(PortFailureKind.Crash, "InvalidOperationException: no device", (_, _) => throw new InvalidOperationException("no device"));

    [Fact]
    public void An_answer_of_the_other_operation_is_wrong_output() => FailsEverywhere(PortFailureKind.Output, "The answer to a", (portCase, answer) => answer is PortAnswer.Forward
        ? new PortAnswer.Backward(new(portCase.Input.Query, portCase.Input.Key, portCase.Input.Value))
        : new PortAnswer.Forward(portCase.Input.Query, []));

    [Fact]
    public void A_tensor_of_another_shape_is_wrong_output()
    {
        Tensor<double> one = Tensor<double>.Build([1, 1, 1, 1, 1], _ => 0);
        FailsEverywhere(PortFailureKind.Output, "[1,1,1,1,1]; the case asks for [", (_, answer) => answer is PortAnswer.Backward backward
            ? new PortAnswer.Backward(backward.Gradients with { Key = one })
            : new PortAnswer.Forward(one, []));
    }

    [Fact]
    public void A_second_logsumexp_is_wrong_output() => Fails(
        Named("Agreement.Output"), PortFailureKind.Output, "2 tensors lse",
        (_, answer) => answer is PortAnswer.Forward forward ? forward with { LogSumExp = [.. forward.LogSumExp, .. forward.LogSumExp] } : answer);

    [Fact]
    public void A_declared_capability_that_is_not_delivered_is_a_failure() => Fails(
        Named("EmptyRows"), PortFailureKind.Declaration, "not today", (portCase, answer) => portCase.IsPadded ? new PortAnswer.Unsupported("not today") : answer);

    [Fact]
    public void Gradients_that_are_NaN_break_the_adjoint_identities()
    {
        PropertyResult row = Run([Named("Gradients.Adjoint")], (_, answer) => answer is PortAnswer.Backward backward
            ? new PortAnswer.Backward(new(backward.Gradients.Query.Map(_ => double.NaN), backward.Gradients.Key, backward.Gradients.Value))
            : answer).Single();
        Assert.Equal(Outcome.Fails, row.Outcome);
        Assert.Contains("<q, dq> = <k, dk>", row.Counterexample[0].Reason, StringComparison.Ordinal);
    }

    /// <summary>A wrong answer whose smaller cases crash is shrunk among the wrong answers, and a crash among the crashes: the author is told of one thing, not of another.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_failure_is_shrunk_to_one_of_its_own_kind(bool longOnesCrash)
    {
        using ChangedPort port = new((portCase, answer) => portCase.Config.Tokens >= 4 == longOnesCrash ? throw new InvalidOperationException("too long, or too short")
            : answer is PortAnswer.Forward forward ? forward with { Output = forward.Output.Map(value => value + 1) } : answer);
        AttentionCase failing = Cases.Of(12, 6, MaskPolicy.Split, heads: 2);
        Verdict verdict = SuiteRunner.Check(Named("Agreement.Output"), port, failing);
        Shrunk shrunk = Shrinking.Shrink(TimeSpan.FromMinutes(1), Named("Agreement.Output"), port, failing, verdict);
        Assert.Equal(longOnesCrash, verdict is Verdict.PortFailed);
        Assert.IsType(verdict.GetType(), shrunk.Verdict);
        Assert.Equal(4, shrunk.Case.Config.Tokens);
    }

    private static Property Named(string name) => PropertyCatalogue.All.Single(property => property.Name == name);

    private static void FailsEverywhere(PortFailureKind kind, string message, Func<PortCase, PortAnswer, PortAnswer> change) =>
        Fails([.. PropertyCatalogue.All], kind, message, change);

    private static void Fails(Property property, PortFailureKind kind, string message, Func<PortCase, PortAnswer, PortAnswer> change) =>
        Fails([property], kind, message, change);

    private static void Fails(Property[] properties, PortFailureKind kind, string message, Func<PortCase, PortAnswer, PortAnswer> change)
    {
        ImmutableArray<PropertyResult> rows = Run(properties, change);
        Assert.Equal(properties.Length, rows.Length);
        Assert.All(rows, row =>
        {
            Assert.Equal(Outcome.PortFailed, row.Outcome);
            Assert.StartsWith($"{kind}: ", row.Counterexample[0].Reason, StringComparison.Ordinal);
            Assert.Contains(message, row.Counterexample[0].Reason, StringComparison.Ordinal);
        });
    }

    private static ImmutableArray<PropertyResult> Run(Property[] properties, Func<PortCase, PortAnswer, PortAnswer> change)
    {
        using ChangedPort port = new(change);
        return [.. SuiteRunner.Results(Few, properties, "changed", port)];
    }

    private sealed class ChangedPort(Func<PortCase, PortAnswer, PortAnswer> change) : IAttentionPort
    {
        private readonly ReferencePort reference = new();

        public PortDescription Description => reference.Description;

        public PortAnswer Run(PortCase portCase) => change(portCase, reference.Run(portCase));

        public void Dispose() => reference.Dispose();
    }
}
