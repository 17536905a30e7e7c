// Does every way into Spec and Reference name the argument that is null?
using System.Reflection;
using System.Runtime.CompilerServices;
using S2Attn.Reference;
using S2Attn.Reference.Upstream;
using S2Attn.Spec;

namespace S2Attn.Tests.Reference;

public sealed class NullArgumentTests
{
    private static readonly S2Config Config = S2Config.Create(new() { Tokens = 4, Heads = 2, HeadDim = 3, GroupSize = GroupSizeRule.Of(2), Mask = MaskPolicy.Split });

    private static readonly Tensor<double> Rows = Tensor<double>.Build([1, 4, 2, 3], i => i);

    private static readonly AttentionInput<double> Input = new(Rows, Rows, Rows);

    private static readonly AttentionOutput<double> Output = Attention.Forward(Config, Input);

    private static readonly S2Grid Grid = S2Grid.Create(Config, new GridAxis<int>(4, 2, 1));

    private static readonly PipelineAttention Slots = new(Config, Pipeline.Definition(Config, Input.Valid));

    /// <summary>What is given for the arguments that are not null. Their ranks and shapes do not matter: what is null is refused first.</summary>
    private static readonly object[] Given =
    [
        Config, Config.ToRequest(), new SliceRequest { FirstQuery = 0, EndQuery = 1 }, S2Slice.Whole(Config), Grid, Grid.Axes, Grid.Windows(0).First(), Rows, Input, Input.Valid, Output, Attention.Row(Config, Input, 0, 0, 0),
        new OutputGradient<double>(Output.Output, Output.LogSumExp), new double[Rows.Elements.Length], RoundingModel.Double, StorageFormat.Binary32, Pipeline.Definition(Config, Input.Valid), Stages.Definition, new GridStages(),
        Arithmetic.Exact, Slots, Slots.Reads(0, 0, 0), new GridPipeline(Grid, new GridStages()), UpstreamProfiles.LongLoraFlashPadding, (Func<int, int, double>)((_, _) => 0), (Func<double, object>)(x => x), Array.Empty<Defect>(),
    ];

    private static readonly Type[] Types =
    [
        typeof(S2Config), typeof(S2Slice), typeof(S2Grid), typeof(Costs), typeof(Visibility), typeof(Segments), typeof(Slices),
        typeof(Attention), typeof(AttentionGradients), typeof(AttentionMerge), typeof(AttentionInput<double>), typeof(Tensor<double>), typeof(ErrorBound), typeof(GradientErrorBound), typeof(GridAttention), typeof(GridErrorBound),
        typeof(RoundingModel), typeof(Pipeline), typeof(PipelineAttention), typeof(GridPipeline), typeof(UpstreamProfile), typeof(ReadRow), typeof(Composition),
    ];

    /// <summary>Method, or constructor where it is not a record's, and the argument that is null in turn.</summary>
    public static TheoryData<string, string> Arguments
    {
        get
        {
            TheoryData<string, string> data = [];
            foreach ((MethodBase method, ParameterInfo parameter) in All())
                data.Add(Text(method), parameter.Name!);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Arguments))]
    public void An_argument_that_is_null_is_named(string of, string name)
    {
        (MethodBase method, ParameterInfo parameter) = All().Single(one => Text(one.Method) == of && one.Parameter.Name == name);
        object?[] arguments = [.. method.GetParameters().Select(other => other == parameter || other.IsOut ? null : Sample(other.ParameterType))];
        TargetInvocationException thrown = Assert.Throws<TargetInvocationException>(() => method is ConstructorInfo constructor ? constructor.Invoke(arguments) : method.Invoke(method.IsStatic ? null : Sample(method.DeclaringType!), arguments));
        Assert.Equal(name, Assert.IsType<ArgumentNullException>(thrown.InnerException).ParamName);
    }

    /// <summary>What takes a span is not called by reflection.</summary>
    [Fact]
    public void An_argument_beside_a_span_is_named()
    {
        Assert.Equal("element", Assert.Throws<ArgumentNullException>(() => Tensor<double>.Build([1], null!)).ParamName);
        Assert.Equal("asked", Assert.Throws<ArgumentNullException>(() => Slots.RowWeights(0, null!, new double[4])).ParamName);
    }

    private static IEnumerable<(MethodBase Method, ParameterInfo Parameter)> All() =>
        from type in Types
        let isRecord = type.GetMethod("<Clone>$") is not null
        from method in type.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly).Cast<MethodBase>().Concat(isRecord ? [] : type.GetConstructors())
        where !method.IsDefined(typeof(CompilerGeneratedAttribute)) && method.Name is not (nameof(Equals) or "get_Item")
        let called = method is MethodInfo { IsGenericMethodDefinition: true } open ? Closed(open) : method
        where called is not null && called.GetParameters().All(parameter => !parameter.ParameterType.IsByRefLike)
        from parameter in called.GetParameters()
        where !parameter.IsOut && !parameter.ParameterType.IsValueType && new NullabilityInfoContext().Create(parameter).WriteState != NullabilityState.Nullable
        select (called, parameter);

    // Over double where one kind of numbers is asked for; what is written over the algebra takes no references.
    private static MethodInfo? Closed(MethodInfo open) => open.GetGenericArguments().Length == 1 ? open.MakeGenericMethod(open.Name == nameof(Tensor<double>.Map) ? typeof(object) : typeof(double)) : null;

    private static string Text(MethodBase method) => $"{method.DeclaringType!.Name}.{method.Name}({string.Join(", ", method.GetParameters().Select(parameter => parameter.ParameterType.Name))})";

    private static object Sample(Type type) =>
        type.IsValueType && Array.Find(Given, type.IsInstanceOfType) is null ? Activator.CreateInstance(type)! : Array.Find(Given, type.IsInstanceOfType) ?? throw new InvalidOperationException($"{nameof(Given)} has no {type}.");
}
