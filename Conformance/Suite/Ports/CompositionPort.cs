// What does a port compute in which named stages are wrong?
using System.Collections.Immutable;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Conformance.Ports;

/// <summary>
/// A composition of defects, and perhaps a numerical habit, behind the interface of a port. It claims everything that Reference claims but how tensors lie in memory and slices; grids of
/// tokens, and prefixes, where one of its defects is about them.
/// </summary>
public sealed class CompositionPort : IAttentionPort
{
    private readonly Stages stages;
    private readonly ImmutableArray<NumericalHabit> habits;
    private readonly Random noise = new(1);
    private double[] last = [];
    private ImmutableArray<(S2Config Config, Tensor<bool> Valid, ElementType Type, PipelineAttention Attention)> prepared = [];
    private ImmutableArray<(S2Grid Grid, GridPipeline Pipeline)> preparedGrid = [];

    /// <summary>Makes the port.</summary>
    public CompositionPort(string name, Composition composition, params ImmutableArray<NumericalHabit> habits)
    {
        ArgumentNullException.ThrowIfNull(composition);
        using ReferencePort reference = new();
        (stages, this.habits) = (composition.Build(), habits);
        Description = new(name, typeof(Composition).Assembly.GetName().Version!.ToString(3), "C#", reference.Description.Capabilities with { HeadMajor = false, Packed = false, Strides = [], Slices = false, LogSumExpGradient = false, Grids = composition.Defects.Any(defect => defect.IsOfGrids), Prefixes = composition.Defects.Any(defect => defect.IsOfPrefixes) });
    }

    /// <inheritdoc/>
    public PortDescription Description { get; init; }

    /// <inheritdoc/>
    public PortAnswer Run(PortCase portCase)
    {
        ArgumentNullException.ThrowIfNull(portCase);
        ElementType type = portCase.ElementType;
        if (portCase.Operation is PortOperation.Backward)
        {
            Gradients<double> gradients = portCase.Grid is { } axes
                ? Prepared(axes).Backward(portCase.Input, portCase.OutputGradient[0])
                : Prepared(portCase).Backward(portCase.Input, portCase.OutputGradient[0]);
            return new PortAnswer.Backward(new(Round(gradients.Query, type), Round(gradients.Key, type), Round(gradients.Value, type)));
        }

        AttentionInput<double> input = habits.Any(habit => habit.IsOfHalves)
            ? portCase.Input with { Query = Round(portCase.Input.Query, ElementType.F16), Key = Round(portCase.Input.Key, ElementType.F16), Value = Round(portCase.Input.Value, ElementType.F16) }
            : portCase.Input;
        AttentionOutput<double> output = portCase.Grid is { } grid ? Prepared(grid).Forward(input) : Prepared(portCase).Forward(input);
        Tensor<double> o = output.Output;
        if (habits.Any(habit => habit.IsStale))
            o = Stale(o, output.LogSumExp);
        if (habits.Any(habit => habit.IsNoisy))
            o = o.Map(value => value * (1 + noise.Next(-1, 2) * 2 * type.UnitRoundoff()));
        last = [.. o.Elements];
        return new PortAnswer.Forward(Round(o, type), [Round(output.LogSumExp, type is ElementType.F64 ? type : ElementType.F32)]);
    }

    // An X-ray asks hundreds of questions of one shape; what is read where is the same for all of them.
    private PipelineAttention Prepared(PortCase portCase)
    {
        (S2Config config, Tensor<bool> valid, ElementType type) = (portCase.Config, portCase.Input.Valid, portCase.ElementType);
        foreach (var known in prepared)
            if (known.Config == config && known.Type == type && known.Valid.Elements.SequenceEqual(valid.Elements))
                return known.Attention;
        PipelineAttention attention = new(config, new Pipeline(config, valid, stages), habits.Select(habit => habit.Arithmetic(type)).FirstOrDefault(Arithmetic.Exact));
        prepared = [(config, valid, type, attention)];
        return attention;
    }

    private GridPipeline Prepared(S2Grid grid)
    {
        if (preparedGrid is [var known] && known.Grid == grid)
            return known.Pipeline;
        GridPipeline pipeline = new(grid, stages.Grid);
        preparedGrid = [(grid, pipeline)];
        return pipeline;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private Tensor<double> Stale(Tensor<double> output, Tensor<double> logSumExp)
    {
        double[] now = [.. output.Elements], lse = [.. logSumExp.Elements];
        return last.Length == now.Length ? Tensor<double>.Build(output.Shape.AsSpan(), i => double.IsNegativeInfinity(lse[i / output.Shape[3]]) ? last[i] : now[i]) : output;
    }

    private static Tensor<double> Round(Tensor<double> tensor, ElementType type) => tensor.Map(value => type.Round(value));
}
