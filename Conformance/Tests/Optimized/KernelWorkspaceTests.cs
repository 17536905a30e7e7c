// Does it matter what a worker's memory held before? Each item finds it full of NaN, and every bit stays what it was.
using System.Runtime.InteropServices;
using S2Attn.Conformance.Cases;
using S2Attn.Optimized;
using S2Attn.Optimized.Kernels;
using S2Attn.Reference;
using S2Attn.Spec;

namespace S2Attn.Tests.Optimized;

/// <summary>
/// Buffers are used again for block after block, so that what was not written holds the numbers of another block: often zeros or numbers that a weight of 0 hides, and a fault shows at few sizes.
/// A NaN is hidden by nothing.
/// </summary>
public sealed unsafe class KernelWorkspaceTests
{
    [Theory]
    [MemberData(nameof(ExponentialTests.Widths), MemberType = typeof(ExponentialTests))]
    public void No_pass_reads_what_it_did_not_write_and_slices_have_the_rows_of_the_whole(VectorWidth width)
    {
        IEngines engines = Engines.For(width);
        int seed = 0;
        foreach (int dim in new[] { 3, 64, 100 })
        {
            // Slices begin at every distance from a block of keys and around the first tile's end, and are a few panels long.
            int panel = engines.TileColumns, tile = new BlockSizes(dim, engines.TileRows, panel).TileKeys;
            int[] nearTile = dim == 64 ? [] : [tile - panel - 1, tile - panel + 2, tile - 3];
            foreach (int from in Enumerable.Range(0, engines.TileRows + 1).Concat(nearTile))
                foreach (int count in from <= engines.TileRows ? new[] { 1, panel + 1, 2 * panel, 3 * panel - 1 } : [panel + 1])
                {
                    MaskPolicy mask = MaskPolicies.All[seed % 5];
                    int length = 2 * ((from + count + 1) / 2);
                    PaddingPattern padding = seed % 3 == 0 ? PaddingPattern.Sparse : PaddingPattern.None;
                    AttentionCase item = Cases.Of(2 * length, length, mask, shift: seed % length, heads: 2, kvHeads: 1, headDim: dim, padding: padding, seed: seed++);
                    Check(item with { Config = item.Config.With(request => request with { Prefix = 1 + 37 * seed % request.Tokens, IsPrefixWhole = seed % 2 == 0 }) }, engines, null);
                    float[][] whole = Check(item, engines, null);
                    S2Slice slice = S2Slice.Create(item.Config, new() { FirstQuery = from, EndQuery = from + count });
                    float[][] part = Check(item, engines, slice);
                    for (int tensor = 0; tensor < 3; tensor++)
                    {
                        int row = whole[tensor].Length / item.Config.Tokens;
                        Assert.True(
                            whole[tensor].AsSpan(from * row, count * row).SequenceEqual(part[tensor].AsSpan(from * row, count * row)),
                            $"tensor {tensor} of the slice has other bits than that of the whole: {item} {slice.Queries}");
                    }
                }
        }
    }

    private static float[][] Check(AttentionCase item, IEngines engines, S2Slice? slice)
    {
        float[][] clean = Run(item, engines, engines.Single, slice), spoiled = Run(item, engines, new SpoilingEngine(engines, item.Config.HeadDim), slice);
        foreach ((float[] expected, float[] found) in clean.Zip(spoiled))
            Assert.True(MemoryMarshal.AsBytes<float>(expected).SequenceEqual(MemoryMarshal.AsBytes<float>(found)), $"{item} {slice?.Queries}");
        return clean;
    }

    // o, lse, dq, dk and dv of a sequence or a part of it, on one thread.
    private static float[][] Run(AttentionCase item, IEngines engines, IEngine<float> engine, S2Slice? slice)
    {
        S2Config config = item.Config;
        AttentionInput<double> input = item.BuildInput();
        float[] q = Floats(input.Query), k = Floats(input.Key), v = Floats(input.Value), dout = Floats(item.BuildOutputGradient());
        float[] o = new float[q.Length], lse = new float[q.Length / config.HeadDim], dq = new float[q.Length], dk = new float[k.Length], dv = new float[k.Length];
        byte[] valid = [.. input.Valid.Map(real => real ? (byte)1 : (byte)0).Elements];
        BlockSizes sizes = new(config.HeadDim, engines.TileRows, engines.TileColumns);
        Geometry geometry = new(config, slice is null ? Sequences.Alike(config, 1) : Sequences.Of(slice, 1), 1, new(0, config.Tokens), isSlice: slice is not null, sizes);
        using PlanResources resources = new(1, engines.WorkspaceFloats(sizes), pool: null);
        Calls<float> calls = new(geometry, engine, new OneWorker(), resources, mayTakeFewer: false);
        fixed (float* query = q, key = k, value = v, outputGradient = dout, output = o, logSumExp = lse, queryGradient = dq, keyGradient = dk, valueGradient = dv)
        fixed (byte* real = valid)
        {
            Problem<float> problem = new()
            {
                Query = Of(query, config.Heads, config.HeadDim),
                Key = Of(key, config.KvHeads, config.HeadDim),
                Value = Of(value, config.KvHeads, config.HeadDim),
                Output = Of(output, config.Heads, config.HeadDim),
                LogSumExp = Of(logSumExp, config.Heads, 1),
                Valid = item.IsPadded ? new(real, new(config.Tokens, 1, 0), 1) : default,
                OutputGradient = Of(outputGradient, config.Heads, config.HeadDim),
                QueryGradient = Of(queryGradient, config.Heads, config.HeadDim),
                KeyGradient = Of(keyGradient, config.KvHeads, config.HeadDim),
                ValueGradient = Of(valueGradient, config.KvHeads, config.HeadDim),
            };
            calls.Run(problem, isBackward: false, default);
            calls.Run(problem, isBackward: true, default);
        }

        return [o, lse, dq, dk, dv];

        Rows<float> Of(float* data, int heads, int width) => new(data, TensorStrides.Dense(TensorLayout.TokenMajor, config.Tokens, heads, width), width);

        static float[] Floats(Tensor<double> tensor) => [.. tensor.Map(value => (float)value).Elements];
    }

    private sealed class OneWorker : IWorkScheduler
    {
        public void Run(int workers, Action<int> body) => body(0);
    }

    /// <summary>The kernels in memory that is spoiled before each item, and so without a tile that the item before has loaded.</summary>
    private sealed class SpoilingEngine(IEngines engines, int headDim) : IEngine<float>
    {
        private readonly int floats = (int)engines.WorkspaceFloats(new(headDim, engines.TileRows, engines.TileColumns));

        public void Forward(Geometry geometry, in Problem<float> problem, long item, long nextItem, ref KeyTile ahead, Workspace workspace)
        {
            Spoil(workspace);
            KeyTile none = default;
            engines.Single.Forward(geometry, problem, item, -1, ref none, workspace);
        }

        public void Backward(Geometry geometry, in Problem<float> problem, int phase, long item, Workspace workspace)
        {
            Spoil(workspace);
            engines.Single.Backward(geometry, problem, phase, item, workspace);
        }

        public void BackwardOfPrefix(Geometry geometry, in Problem<float> problem, long item, Workspace workspace)
        {
            Spoil(workspace);
            engines.Single.BackwardOfPrefix(geometry, problem, item, workspace);
        }

        public void Decode(DecodeWork<float> work, long item, long nextItem, Workspace workspace) => throw new NotSupportedException();

        public void Merge(DecodeWork<float> work, in Rows<float> output, in Rows<float> logSumExp) => throw new NotSupportedException();

        public void ClearKeyGradients(Geometry geometry, in Problem<float> problem, long item) => engines.Single.ClearKeyGradients(geometry, problem, item);

        public void StoreKeyGradients(Geometry geometry, in Problem<float> problem, long item) => engines.Single.StoreKeyGradients(geometry, problem, item);

        private void Spoil(Workspace workspace)
        {
            workspace.Reset();
            workspace.Take(floats).Span(floats).Fill(float.NaN);
        }
    }
}
