// Do the kernels compute attention over a grid of tokens: within the bound, in the same bits wherever the rows lie and whoever computes them, and as Swin does?
using FsCheck;
using FsCheck.Fluent;
using S2Attn.Conformance;
using S2Attn.Conformance.Cases;
using S2Attn.Conformance.Golden;
using S2Attn.Conformance.Ports;
using S2Attn.Conformance.Safetensors;
using S2Attn.Optimized;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

public sealed class KernelGridTests
{
    private static readonly Gen<AttentionCase> Drawn = CaseGenerator.Kernels(60, 40, ElementType.F32, ElementType.F16, ElementType.BF16);

    // Both kinds of heads on one kv head, windows of four sizes, and a last one that is short on each axis.
    private static readonly AttentionCase Example = Cases.Of(24, 8, MaskPolicy.Split, batch: 2, heads: 6, kvHeads: 2, headDim: 20, padding: PaddingPattern.Sparse, seed: 4);
    private static readonly GridAxis<int>[] Axes = [new(3, 2, 1), new(8, 4, 2), new(10, 5, 3)];

    private static readonly string Folder = Path.Combine(Repository.Root, "golden");

    public static TheoryData<MaskPolicy> Masks => [.. MaskPolicies.All];

    public static TheoryData<string> SwinCases => [.. GoldenFolder.ReadAll(Folder).Where(golden => golden is { Grid: not null, ElementType: ElementType.F32 }).Select(golden => golden.Name)];

    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void Grids_of_any_axes_stay_within_the_bound(VectorWidth width)
    {
        using OptimizedPort port = new(new S2AttentionOptions { VectorWidth = width, Threads = 2 });
        Prop.ForAll(Arb.From(Drawn, CaseShrinker.Simpler), item =>
        {
            S2Grid grid = GridCases.Of(port.Description.Capabilities, item);
            AttentionCase whole = item with { Config = grid.Tokens };
            Random choices = new(item.Seed);
            PortCase forward = whole.Forward() with { Grid = grid, Memory = MemoryOf(PortOperation.Forward) };
            PortCase backward = whole.Backward() with
            {
                Grid = grid,
                Memory = MemoryOf(PortOperation.Backward),
                LogSumExpGradient = choices.Next(2) == 0 ? [] : [Tensor<double>.Build([grid.Tokens.Batch, grid.Tokens.Tokens, grid.Tokens.Heads], _ => item.Type.Round(choices.NextDouble() - 0.5))],
            };
            string[] wrong =
            [
                .. new[] { Read(forward), Read(backward) }
                    .SelectMany(asked => Agreement.Compare(asked, port.Run(asked), OptimizedPort.ModelOf(asked.Config, asked.ElementType)))
                    .Where(agreement => !agreement.Agrees).Select(agreement => $"{agreement}"),
            ];
            return (wrong.Length == 0).Label($"{grid}: {string.Join("; ", wrong)}");

            CaseMemory MemoryOf(PortOperation operation) => choices.Next(2) == 0 ? CaseMemory.Dense : MemoryCases.Strided(port.Description.Capabilities, grid.Tokens, operation, choices);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(80));
    }

    // Where one row stands for all of an axis, the tensors hold it everywhere.
    private static PortCase Read(PortCase asked) => asked with
    {
        Input = asked.Input with
        {
            Query = MemoryCases.Repeated(asked.Memory, "q", asked.Input.Query),
            Key = MemoryCases.Repeated(asked.Memory, "k", asked.Input.Key),
            Value = MemoryCases.Repeated(asked.Memory, "v", asked.Input.Value),
        },
        OutputGradient = [.. asked.OutputGradient.Select(gradient => MemoryCases.Repeated(asked.Memory, "do", gradient))],
    };

    [Theory]
    [MemberData(nameof(Masks))]
    public void Threads_guard_pages_layouts_and_strides_change_no_bit(MaskPolicy mask)
    {
        S2Grid grid = GridOf(mask);
        AttentionCase item = Example with { Config = grid.Tokens };
        KernelBits one = KernelRun.Run(item, new() { Threads = 1 }, grid: grid);
        one.AssertSame(KernelRun.Run(item, new() { Threads = 1 }, GuardSide.Before, grid), "the other guard page");
        one.AssertSame(KernelRun.Run(item, new() { Threads = 2, Layout = TensorLayout.HeadMajor }, grid: grid), "[B,H,N,D]");
        Random random = new(7);
        S2AttentionOptions strided = new()
        {
            Threads = 3,
            Query = KernelRun.RandomStrides(random, grid.Tokens, 6),
            Key = KernelRun.RandomStrides(random, grid.Tokens, 2),
            Value = KernelRun.RandomStrides(random, grid.Tokens, 2),
            Output = KernelRun.RandomStrides(random, grid.Tokens, 6),
        };
        one.AssertSame(KernelRun.Run(item, strided, grid: grid), "strides");
        for (int threads = 2; threads <= 8; threads++)
            one.AssertSame(KernelRun.Run(item, new() { Threads = threads }, grid: grid), $"{threads} threads");
    }

    /// <summary>A window is attended as a sequence alone: on one axis that is what a plan of the text does too, but where the wrap joins two runs, which it visits one after the other.</summary>
    [Fact]
    public void One_axis_has_the_bits_of_a_text() => Prop.ForAll(Arb.From(Drawn.Where(item => item.Config.Mask.CutsWrappedRun() || item.Config.Shift == 0)), item =>
    {
        S2Config text = item.Config;
        S2Grid grid = GridCases.Of(text, new GridAxis<int>(text.Tokens, text.GroupSize, text.Shift));
        KernelRun.Run(item, new() { Threads = 2 }).AssertSame(KernelRun.Run(item with { Config = grid.Tokens }, new() { Threads = 2 }, grid: grid), $"{item}");
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(60));

    [Theory]
    [MemberData(nameof(SwinCases))]
    public void The_kernels_stay_inside_their_bound_on_what_Swin_was_given(string name)
    {
        GoldenCase golden = GoldenFolder.ReadAll(Folder).Single(candidate => candidate.Name == name);
        SafetensorsFile file = GoldenFolder.Load(golden);
        PortCase forward = new(golden.Config, golden.ElementType, GoldenSuite.InputOf(golden, file)) { Grid = golden.Grid };
        using OptimizedPort port = new();
        foreach (PortCase asked in new[] { forward, forward with { OutputGradient = [GoldenSuite.Values(golden, file, "do")] } })
            Assert.All(Agreement.Compare(asked, port.Run(asked), OptimizedPort.ModelOf(golden.Config, golden.ElementType)), agreement => Assert.True(agreement.Agrees, $"{agreement}"));

        // Swin's own o and gradients, which Reference agrees with, are as near as two roundings in f32.
        PortAnswer.Forward output = (PortAnswer.Forward)port.Run(forward);
        Tensor<double> swin = GoldenSuite.Values(golden, file, "o");
        for (int i = 0; i < swin.Elements.Length; i++)
            Assert.Equal(swin.Elements[i], output.Output.Elements[i], 1e-5);
    }

    /// <summary>What a query does not see does not touch it: a key of NaN makes NaN of the rows that see it, and of no other.</summary>
    [Theory]
    [MemberData(nameof(Masks))]
    public void A_key_that_is_NaN_touches_the_rows_that_see_it_and_no_other(MaskPolicy mask)
    {
        S2Grid grid = GridCases.Of(
            S2Config.Create(new() { Tokens = 48, Heads = 4, KvHeads = 1, HeadDim = 8, GroupSize = GroupSizeRule.Of(48), Shift = 0, Mask = mask }), new(4, 2, 1), new(12, 6, 2));
        float[] q = Noise(48 * 4 * 8, 1), k = Noise(48 * 8, 2), v = Noise(48 * 8, 3), o = new float[q.Length], lse = new float[48 * 4];
        float[] dout = Noise(q.Length, 4), dq = new float[q.Length], dk = new float[k.Length], dv = new float[k.Length];
        using S2AttentionPlan plan = S2AttentionPlan.OfGrid(grid, new() { Threads = 2 });
        for (int poisoned = 0; poisoned < 48; poisoned += 5)
        {
            float[] bad = [.. k];
            bad.AsSpan(poisoned * 8, 8).Fill(float.NaN);
            plan.Forward<float>(q, bad, v, o, lse);
            plan.Backward<float>(q, bad, v, o, lse, dout, dq, dk, dv);
            for (int t = 0; t < 48; t++)
                for (int head = 0; head < 4; head++)
                {
                    Assert.Equal(grid.Visible(head, t, poisoned), !o.AsSpan((t * 4 + head) * 8, 8).ToArray().All(float.IsFinite));
                    Assert.Equal(grid.Visible(head, t, poisoned), !dq.AsSpan((t * 4 + head) * 8, 8).ToArray().All(float.IsFinite));
                }
        }
    }

    /// <summary>Gradients in f16 and bf16 are those in f32, rounded once: the sums behind them stand in the order of the windows.</summary>
    [Fact]
    public void Gradients_in_the_storage_type_are_rounded_once()
    {
        S2Grid grid = GridOf(MaskPolicy.LocalCausal);
        using S2AttentionPlan plan = S2AttentionPlan.OfGrid(grid, new() { Threads = 2 });
        KernelRun.RoundsStoredGradientsOnce(plan, grid.Tokens);
    }

    /// <summary>Every read and write lies in its buffer, and in the rows that it is about; one place beyond a window does not, on either side of the table.</summary>
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void No_kernel_leaves_a_buffer_over_a_grid(VectorWidth width)
    {
        CheckedKernels kernels = CheckedKernels.Compile();
        foreach (ElementType type in new[] { ElementType.F32, ElementType.BF16 })
            foreach (MaskPolicy mask in MaskPolicies.All)
            {
                S2Grid grid = GridOf(mask);
                AttentionCase item = Example with { Config = grid.Tokens, Type = type };
                KernelRun.Run(item, new() { VectorWidth = width, Threads = 1 }, grid: grid).AssertSame(kernels.Run(item, width, grid), "Debug");
            }
    }

    [Theory]
    [InlineData("GridWindows.cs", "new((int*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(tokens)), tokens.Length)", "new((int*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(tokens)), tokens.Length - 1)")]
    [InlineData("GridWindows.cs", "window.Tokens.CopyTo(tokens, at);", "window.Tokens.CopyTo(tokens, at); tokens[at] = grid.Tokens.Tokens;")]
    public void A_table_that_leads_out_of_a_tensor_is_caught_in_Debug(string file, string before, string after)
    {
        CheckedKernels faulty = CheckedKernels.CompileWith(file, before, after);
        S2Grid grid = GridOf(MaskPolicy.Split);
        InvalidOperationException error = Assert.Throws<InvalidOperationException>(() => faulty.Run(Example with { Config = grid.Tokens }, VectorWidth.Bits128, grid));
        Assert.StartsWith("A kernel left its buffer", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_call_allocates_nothing_also_where_keys_are_padded()
    {
        const int Side = 56, Tokens = Side * Side;
        S2Config config = S2Config.Create(new() { Tokens = Tokens, Heads = 2, HeadDim = 4, GroupSize = GroupSizeRule.Of(49), Shift = 0, Mask = MaskPolicy.BidirectionalSplit });
        S2Grid grid = S2Grid.Create(config, new(Side, 7, 3), new(Side, 7, 3));
        using S2AttentionPlan plan = S2AttentionPlan.OfGrid(grid, new() { Threads = 1 });
        float[] q = Noise(Tokens * 8, 1), o = new float[q.Length], lse = new float[Tokens * 2], dq = new float[q.Length], dk = new float[q.Length], dv = new float[q.Length];
        byte[] valid = [.. Enumerable.Repeat((byte)1, Tokens)];
        long before = 0;
        for (int i = 0; i < 2; i++)
        {
            before = GC.GetAllocatedBytesForCurrentThread();
            plan.Forward<float>(q, q, q, o, lse, valid);
            plan.Backward<float>(q, q, q, o, lse, q, dq, dk, dv, valid);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void A_wrong_call_is_named_and_an_empty_batch_writes_nothing()
    {
        S2Grid grid = GridOf(MaskPolicy.Bidirectional);
        Assert.Equal("grid", Assert.Throws<ArgumentNullException>(() => S2AttentionPlan.OfGrid(null!)).ParamName);
        Assert.Equal("options.Threads", Assert.Throws<ArgumentOutOfRangeException>(() => S2AttentionPlan.OfGrid(grid, new() { Threads = 0 })).ParamName);
        Assert.Equal("options.Batch", Assert.Throws<ArgumentOutOfRangeException>(() => S2AttentionPlan.OfGrid(grid, new() { Batch = -1 })).ParamName);
        const int Many = 32768;
        S2Config large = S2Config.Create(new() { Tokens = Many * (Many + 1), Heads = 2, HeadDim = 1, GroupSize = GroupSizeRule.Of(1), Mask = MaskPolicy.Split });
        ArgumentOutOfRangeException error = Assert.Throws<ArgumentOutOfRangeException>(() => S2AttentionPlan.OfGrid(S2Grid.Create(large, new(Many, 8, 0), new(Many + 1, 8, 0))));
        Assert.Contains($"Tokens must be at most {Array.MaxLength / 2} on a grid where some heads shift and some do not", error.Message, StringComparison.Ordinal);
        using S2AttentionPlan empty = S2AttentionPlan.OfGrid(grid, new() { Batch = 0 });
        empty.Forward<float>([], [], [], [], []);
        empty.Backward<BFloat16, BFloat16>([], [], [], [], [], [], [], [], []);
        using S2AttentionPlan plan = S2AttentionPlan.OfGrid(grid);
        float[] q = new float[grid.Tokens.Batch * grid.Tokens.Tokens * 6 * 20];
        Assert.Equal("key", Assert.Throws<ArgumentException>(() => plan.Forward<float>(q, [1], q, new float[q.Length])).ParamName);
    }

    // 240 tokens; all axes whole where the policy asks for it.
    private static S2Grid GridOf(MaskPolicy mask) =>
        GridCases.Of(Example.Config.With(request => request with { Mask = mask }), mask.CutsWrappedRun() ? Axes : [.. Axes.Select((axis, i) => i == 0 ? new GridAxis<int>(4, 2, 1) : axis)]);

    private static float[] Noise(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
    }
}
