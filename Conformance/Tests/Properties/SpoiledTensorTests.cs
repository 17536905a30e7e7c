// At which tensors does each property look, and at which places of them? One number of one tensor is spoiled in the right answers.
using S2Attn.Conformance;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Properties;
using S2Attn.Conformance.Running;
using S2Attn.Reference;
using S2Attn.Tests.Docs;

namespace S2Attn.Tests.Properties;

/// <summary>
/// The matrix of defects says which bug each property sees; a bug spoils much at once, so that a property may stop looking at one of its tensors and still see every bug. The table here says what each
/// one sees of the least that can be wrong: NaN or another number, at the first token or at the last one of the longest text, in every answer, in every second one, or, as NaN, where a key or value is NaN.
/// </summary>
public sealed class SpoiledTensorTests
{
    // The longest text that is asked: its last token is token 5.
    private const int MaxTokens = 6;

    private static readonly ReferencePort Right = new();

    private enum Times
    {
        Always,
        EverySecond,
        Poisoned,
    }

    [Fact]
    public void What_each_property_sees_of_one_spoiled_number_is_exactly_what_is_recorded()
    {
        Dictionary<string, List<string>> seen = PropertyCatalogue.All.AsParallel().Select(property => (property.Name, Seen: Seen(property))).ToDictionary(row => row.Name, row => row.Seen);
        RecordedLines.AssertEqualOrUpdate(
            "Conformance/Tests/Properties/spoiled.txt", "Which spoiled number of which tensor does each property see?", PropertyCatalogue.All.Select(property => (property.Name, string.Join(", ", seen[property.Name]))));

        // These two ask whether one number changes or not, and not what it is.
        Assert.Equal(["Leak.Count", "Slice.HaloIsNeeded"], seen.Where(pair => pair.Value.Count == 0).Select(pair => pair.Key));
    }

    private static List<string> Seen(Property property)
    {
        SuiteOptions options = new() { Seed = 20230921, Cases = 24, StopAtFirstFailure = true, ShrinkLimit = TimeSpan.Zero };
        List<string> seen = [];
        foreach (string tensor in new[] { "o", "lse", "dq", "dk", "dv" })
            foreach (Times times in Enum.GetValues<Times>())
                foreach (bool isNaN in times is Times.Poisoned ? [true] : new[] { true, false })
                    foreach (int token in new[] { 0, MaxTokens - 1 })
                    {
                        string name = $"{tensor}[{token}]={(isNaN ? "NaN" : "x")}{times switch { Times.Always => "", Times.EverySecond => " again", _ => " poisoned" }}";

                        // Each its own, so that which answers are the second ones does not depend on other properties.
                        using MutantPort port = Spoiling(name, tensor, token, isNaN, times);
                        if (SuiteRunner.Results(options, [property], name, port).Single().IsBad)
                            seen.Add(name);
                    }

        return seen;
    }

    private static MutantPort Spoiling(string name, string tensor, int token, bool isNaN, Times times)
    {
        int calls = 0;
        return new(name, item =>
        {
            PortAnswer answer = Right.Run(item);
            bool spoils = times switch
            {
                Times.Always => true,
                Times.EverySecond => ++calls % 2 == 0,
                _ => item.Input.Key.Elements.ToArray().Concat(item.Input.Value.Elements.ToArray()).Any(double.IsNaN),
            };
            return !spoils ? answer : (answer, tensor) switch
            {
                (PortAnswer.Forward forward, "o") => forward with { Output = Spoiled(forward.Output, item.Part.Queries.Start) },
                (PortAnswer.Forward forward, "lse") => forward with { LogSumExp = [Spoiled(forward.LogSumExp[0], item.Part.Queries.Start)] },
                (PortAnswer.Backward { Gradients: var gradients }, "dq") => new PortAnswer.Backward(gradients with { Query = Spoiled(gradients.Query, item.Part.Queries.Start) }),
                (PortAnswer.Backward { Gradients: var gradients }, "dk") => new PortAnswer.Backward(gradients with { Key = Spoiled(gradients.Key, item.Part.Keys.Start) }),
                (PortAnswer.Backward { Gradients: var gradients }, "dv") => new PortAnswer.Backward(gradients with { Value = Spoiled(gradients.Value, item.Part.Keys.Start) }),
                _ => answer,
            };

            // The first element of the token in the first batch entry, where the part of the text has it.
            Tensor<double> Spoiled(Tensor<double> right, int firstToken)
            {
                int row = right.Elements.Length / right.Shape[0] / right.Shape[1], at = (token - firstToken) * row;
                bool isThere = token >= firstToken && token < firstToken + right.Shape[1];
                return Tensor<double>.Build(right.Shape.AsSpan(), i => isThere && i == at ? (isNaN ? double.NaN : 100) : right.Elements[i]);
            }
        })
        {
            Description = Right.Description with { Name = name, Capabilities = Right.Description.Capabilities with { MaxTokens = MaxTokens } },
        };
    }
}
