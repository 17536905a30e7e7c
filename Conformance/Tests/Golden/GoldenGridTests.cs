// Is BidirectionalSplit over two axes what Swin's own block computes?
using S2Attn.Conformance.Golden;
using S2Attn.Conformance.Running;
using S2Attn.Conformance.Safetensors;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Golden;

public sealed class GoldenGridTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "golden");

    public static TheoryData<string> Cases => [.. GoldenFolder.ReadAll(Folder).Where(golden => golden.Grid is not null).Select(golden => golden.Name)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Reference_over_a_grid_equals_Swin(string name)
    {
        GoldenCase golden = Named(name);
        PropertyResult result = GoldenSuite.Verify(golden);
        Assert.True(result.Outcome is Outcome.Holds, result.Counterexample.FirstOrDefault()?.Reason);
        Assert.Equal(MaskPolicy.BidirectionalSplit, golden.Config.Mask);
    }

    /// <summary>A comparison that sees nothing would hold too.</summary>
    [Fact]
    public void A_wrong_element_another_shift_and_another_mask_do_not_hold()
    {
        GoldenCase golden = Named("swin-12x8-w4-s1-f64");
        SafetensorsFile file = GoldenFolder.Load(golden);
        foreach (string tensor in new[] { "o", "dq", "dk", "dv" })
        {
            Tensor<double> right = GoldenSuite.Values(golden, file, tensor);
            Tensor<double> wrong = Tensor<double>.Build(right.Shape.AsSpan(), i => right.Elements[i] + (i == right.Elements.Length / 2 ? 1e-9 : 0));
            SafetensorsFile tampered = file with { Tensors = [.. file.Tensors.Select(item => item.Name == tensor ? item with { Values = wrong } : item)] };
            Assert.StartsWith(tensor + "[", Assert.Single(GoldenSuite.Failures(golden, tampered)), StringComparison.Ordinal);
        }

        S2Grid grid = golden.Grid!;
        Assert.NotEmpty(GoldenSuite.Failures(golden with { Grid = S2Grid.Create(grid.Tokens, grid.Axes.Select(axis => axis with { Shift = 2 })) }, file));
        Assert.NotEmpty(GoldenSuite.Failures(golden with { Grid = S2Grid.Create(grid.Tokens, grid.Axes.Select((axis, i) => axis with { Shift = i })) }, file));
        Assert.NotEmpty(GoldenSuite.Failures(golden with { Grid = S2Grid.Create(S2Config.Create(grid.Tokens.ToRequest() with { Mask = MaskPolicy.Bidirectional }), grid.Axes) }, file));
    }

    private static GoldenCase Named(string name) => GoldenFolder.ReadAll(Folder).Single(golden => golden.Name == name);
}
